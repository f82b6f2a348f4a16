//! Room kept for when there is none left: a file that holds nothing.
//!
//! Deleting records writes before it frees: where a log begins has to be durable before its files
//! go. On a disk without a byte left that would be the end of it, so a data directory keeps a file
//! that can be given up for such writes, and for those of a start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use disk::{Disk, DiskFile, Space};

use crate::error::{Action, StorageFault};

const BALLAST_FILE: &str = "ballast";
/// What is allocated of it in one go: whoever gives it up meanwhile need not wait for more.
const STEP: u64 = 64 << 20;

/// The ballast of one data directory. May be used from any thread.
#[derive(Debug)]
pub struct Ballast<D: Disk> {
    disk: D,
    directory: PathBuf,
    file: PathBuf,
    bytes: u64,
    /// How often it was given up. Nobody waits for the disk to make a ballast: who makes one looks
    /// at this, and lets go of it if it was given up meanwhile.
    releases: AtomicU64,
}

/// What became of a ballast that was to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Its room is free now.
    Yes,
    /// There was none.
    Nothing,
}

impl<D: Disk> Ballast<D> {
    pub(crate) fn new(disk: &D, directory: &Path, bytes: u64) -> Self {
        Self {
            disk: disk.clone(),
            directory: directory.to_path_buf(),
            file: directory.join(BALLAST_FILE),
            bytes,
            releases: AtomicU64::new(0),
        }
    }

    /// Bytes that it keeps when it is there.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The room on the disk.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn space(&self) -> Result<Space, StorageFault> {
        self.disk.space(&self.directory).map_err(Action::Read.failed(&self.directory))
    }

    /// Bytes that are missing from it: all of them if it was given up.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn missing(&self) -> Result<u64, StorageFault> {
        match self.disk.open(&self.file).and_then(|file| file.len()) {
            Ok(len) => Ok(self.bytes.saturating_sub(len)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.bytes),
            Err(error) => Err(Action::Open.failed(&self.file)(error)),
        }
    }

    /// Gives it up. One that is being made is no more, at the latest when whoever makes it has done
    /// the step that it is at.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn release(&self) -> Result<Released, StorageFault> {
        self.releases.fetch_add(1, Ordering::SeqCst);
        self.remove()
    }

    /// Makes it again, or whole. What was made of it is given up if the disk has no room for all.
    /// For one thread at a time.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn restore(&self) -> Result<(), StorageFault> {
        self.restore_unless_released_since(self.releases.load(Ordering::SeqCst))
    }

    fn restore_unless_released_since(&self, releases: u64) -> Result<(), StorageFault> {
        let made = self.make(releases);
        if made.is_err() || self.was_released_since(releases) {
            // What fails here is told next time, too.
            let _removed = self.remove();
        }
        made
    }

    fn make(&self, releases: u64) -> Result<(), StorageFault> {
        let file = match self.disk.create_new(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.open(&self.file)
            }
            made => made,
        };
        let file = file.map_err(Action::Create.failed(&self.file))?;
        let mut len = file.len().map_err(Action::Read.failed(&self.file))?;
        while len < self.bytes && !self.was_released_since(releases) {
            len = len.saturating_add(STEP).min(self.bytes);
            file.allocate(len).map_err(Action::Write.failed(&self.file))?;
        }
        if self.was_released_since(releases) {
            return Ok(());
        }
        // A file system that allocates late has room for it only once it is written out. It holds
        // nothing that could be lost: a failure means that it is not there, and no more.
        file.sync_data().map_err(Action::Write.failed(&self.file))
    }

    fn was_released_since(&self, releases: u64) -> bool {
        self.releases.load(Ordering::SeqCst) != releases
    }

    fn remove(&self) -> Result<Released, StorageFault> {
        match self.disk.remove_file(&self.file) {
            Ok(()) => Ok(Released::Yes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Released::Nothing),
            Err(error) => Err(Action::Remove.failed(&self.file)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use disk::FaultyDisk;

    use super::*;

    #[test]
    fn one_that_is_given_up_while_it_is_made_is_no_more() {
        let disk = FaultyDisk::new(1);
        let ballast = Ballast::new(&disk, Path::new("/"), 1000);
        let begun = ballast.releases.load(Ordering::SeqCst);
        assert_eq!(ballast.release().unwrap(), Released::Nothing);
        ballast.restore_unless_released_since(begun).unwrap();
        assert_eq!((ballast.missing().unwrap(), disk.used()), (1000, 0));
        ballast.restore().unwrap();
        assert_eq!(ballast.missing().unwrap(), 0);
    }
}
