//! The file operations that storage needs, real and faulty.
//!
//! [`Disk`] and [`DiskFile`] are the whole seam between storage and the operating system. What an
//! implementation may lose, and when it may no longer lose it, is their *law*, stated below and
//! held by one conformance suite over every implementation:
//!
//! 1. **Bytes.** A write or a change of length may be lost, wholly or in part and in any
//!    combination with others, until [`DiskFile::sync_data`] of that file returns `Ok`. Bytes whose
//!    length survived but whose content did not read as zeros.
//! 2. **Names.** Creating, renaming and removing an entry may each be lost, in any combination,
//!    until [`Disk::sync_dir`] of the directory that holds the entry returns `Ok`. A rename is kept
//!    or lost as one.
//! 3. **Failure.** After a failed write any part of it may be in the file. After a failed sync
//!    nothing is known about what was written since the last good one, and a later sync that
//!    succeeds says nothing about it either: the only safe reaction is to stop.
//! 4. **Reads.** A read may return fewer bytes than asked, and none only at the end of the file. A
//!    removed file stays readable through handles that were open before.
//!
//! [`RealDisk`] is the operating system's. [`FaultyDisk`] lives in memory and uses every freedom
//! the law grants, from a seed. Neither buffers: a returned write is visible to every reader.
//!
//! Not here: what a file means. That is for `commit-log` and others above.

mod faulty;
mod real;
mod replace;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

pub use faulty::{FaultyDisk, FaultyFile, FaultyLock, Operation, PlannedFault};
pub use real::{RealDisk, RealFile, RealLock};
pub use replace::replace_atomically;

/// The directory operations that storage needs. The crate's documentation states the law.
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// A held lock; dropping it releases it.
    type Lock: Debug + Send + Sync + 'static;

    /// Creates an empty file for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; else what the system reports.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` if there is none; else what the system reports.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file so as to read what the disk itself holds, past the copy that the system keeps in
    /// memory, wherever it can be told to. For reading only.
    ///
    /// # Errors
    /// `NotFound` if there is none; else what the system reports.
    fn open_uncached(&self, path: &Path) -> io::Result<Self::File>;

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// `NotFound` if there is no such directory; else what the system reports.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Creates one directory in an existing one.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; else what the system reports.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// `NotFound` if there is none; else what the system reports.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` if it holds entries; else what the system reports.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file or directory another name in the same directory, replacing a file of that name.
    ///
    /// # Errors
    /// What the system reports; the old name then still stands.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes every change of names in `dir` durable.
    ///
    /// # Errors
    /// What the system reports; then rule 3 of the law holds.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// How much can be written below `dir`.
    ///
    /// # Errors
    /// What the system reports.
    fn space(&self, dir: &Path) -> io::Result<Space>;

    /// Takes the exclusive lock that the file `path` stands for, creating the file if needed. The
    /// lock ends with its process, however that ends.
    ///
    /// # Errors
    /// [`LockError::Held`] if another holds it.
    fn lock(&self, path: &Path) -> Result<Self::Lock, LockError>;
}

/// The operations on one open file. The crate's documentation states the law.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads into `buffer` from `position` on; returns how many bytes, 0 only at the end.
    ///
    /// # Errors
    /// What the system reports.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all of `slices`, back to back from `position` on. The slices are used up.
    ///
    /// # Errors
    /// What the system reports; any part may then be in the file.
    fn write_all_vectored_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Makes the content and the length durable.
    ///
    /// # Errors
    /// What the system reports; then rule 3 of the law holds.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// What the system reports.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Extends the file to `len` bytes that take their room on the disk now: writing into them
    /// later needs no more. They read as zeros. Nothing happens to a file that is as long.
    ///
    /// # Errors
    /// What the system reports; some of the room may then be taken.
    fn allocate(&self, len: u64) -> io::Result<()> {
        fill(self, len)
    }

    /// Has the system forget what it keeps of the file in memory and does not have to write any
    /// more: after a failed sync only then do reads tell what the disk holds.
    ///
    /// # Errors
    /// What the system reports.
    fn forget_cached(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// What the system reports.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no byte.
    ///
    /// # Errors
    /// As [`DiskFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Fills `buffer` from `position` on, over as many reads as it takes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before; else what the system reports.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let mut rest = buffer;
        let mut at = position;
        while !rest.is_empty() {
            let read = self.read_at(rest, at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            rest = rest.get_mut(read..).unwrap_or_default();
            at = at.saturating_add(read as u64);
        }
        Ok(())
    }

    /// Reads `len` bytes from `position` on, over as many reads as it takes, into memory of their
    /// own.
    ///
    /// # Errors
    /// As [`DiskFile::read_exact_at`].
    fn read_vec_at(&self, len: usize, position: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }

    /// Writes all of `bytes` from `position` on.
    ///
    /// # Errors
    /// As [`DiskFile::write_all_vectored_at`].
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_all_vectored_at(&mut [IoSlice::new(bytes)], position)
    }
}

/// What one write fills while a file is allocated.
const ZEROS: usize = 1 << 20;

/// Extends a file to `len` bytes by writing zeros.
fn fill<F: DiskFile + ?Sized>(file: &F, len: u64) -> io::Result<()> {
    let mut at = file.len()?;
    let zeros = vec![0; ZEROS];
    while at < len {
        let step = usize::try_from(len - at).unwrap_or(ZEROS).min(ZEROS);
        file.write_all_at(zeros.get(..step).unwrap_or_default(), at)?;
        at = at.saturating_add(step as u64);
    }
    Ok(())
}

/// The room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What can still be written.
    pub free: u64,
    /// What the disk holds when nothing is on it.
    pub total: u64,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last part of its path.
    pub name: OsString,
    /// What the name stands for.
    pub kind: EntryKind,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another part of this one, holds it.
    #[error("{} is locked by {}", path.display(), holder.as_deref().unwrap_or("another process"))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself, if that could be read.
        holder: Option<String>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
}

/// Whether an operation failed because the process, or the system, has as many files open as it may:
/// then a file was not even opened, and nothing was changed.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| [Errno::NFILE, Errno::MFILE].contains(&errno))
}

/// Whether an operation failed for want of space, which passes when some is freed.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
