use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, FallocateFlags};
use rustix::io::{Errno, pread};

use crate::{Disk, DiskFile, Entry, EntryKind, LockError, Space, fill};

mod uncached;

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// One open file of the operating system.
#[derive(Debug)]
pub struct RealFile {
    file: File,
    source: Source,
}

/// A held `flock`, released when dropped or when the process ends.
#[derive(Debug)]
pub struct RealLock {
    #[expect(dead_code, reason = "the lock lives exactly as long as the file is open")]
    file: File,
}

/// Where a file's bytes are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The system's memory, where they are there.
    Cached,
    /// The disk.
    Uncached,
}

impl RealFile {
    const fn cached(file: File) -> Self {
        Self { file, source: Source::Cached }
    }
}

impl Disk for RealDisk {
    type File = RealFile;
    type Lock = RealLock;

    fn create_new(&self, path: &Path) -> io::Result<RealFile> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path).map(RealFile::cached)
    }

    fn open(&self, path: &Path) -> io::Result<RealFile> {
        OpenOptions::new().read(true).write(true).open(path).map(RealFile::cached)
    }

    fn open_uncached(&self, path: &Path) -> io::Result<RealFile> {
        let (file, source) = uncached::open(path)?;
        Ok(RealFile { file, source })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let kind =
                if entry.file_type()?.is_dir() { EntryKind::Directory } else { EntryKind::File };
            entries.push(Entry { name: entry.file_name(), kind });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
    }

    fn lock(&self, path: &Path) -> Result<RealLock, LockError> {
        let failed = |source| LockError::Io { path: path.to_path_buf(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(path).ok().filter(|text| !text.is_empty());
                return Err(LockError::Held { path: path.to_path_buf(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Only for the error message of whoever comes second; a full disk must not stop us here.
        let named =
            file.set_len(0).and_then(|()| write!(file, "process {}", std::process::id())).is_ok();
        if !named {
            file.set_len(0).map_err(failed)?;
        }
        Ok(RealLock { file })
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            let read = match self.source {
                Source::Cached => self.file.read_at(buffer, position),
                Source::Uncached => uncached::read(&self.file, buffer, position),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Memory that is about to be read into is not zeroed first, which cost a fetch from the page
    /// cache a tenth of its time.
    fn read_vec_at(&self, len: usize, position: u64) -> io::Result<Vec<u8>> {
        if self.source == Source::Uncached {
            let mut bytes = vec![0; len];
            self.read_exact_at(&mut bytes, position)?;
            return Ok(bytes);
        }
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = position.saturating_add(bytes.len() as u64);
            match pread(&self.file, spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // There may have been room for more.
        bytes.truncate(len);
        Ok(bytes)
    }

    fn write_all_vectored_at(
        &self,
        mut slices: &mut [IoSlice<'_>],
        position: u64,
    ) -> io::Result<()> {
        let mut at = position;
        // Leading empty slices would make a complete write look like one that wrote nothing.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match rustix::io::pwritev(&self.file, slices, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut slices, written);
                    at = at.saturating_add(written as u64);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let from = self.len()?;
        let Some(missing) = len.checked_sub(from).filter(|missing| *missing != 0) else {
            return Ok(());
        };
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), from, missing) {
            // Not every file system can. Zeros take their room on most of those.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(self, len),
            done => Ok(done?),
        }
    }

    fn forget_cached(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }
}
