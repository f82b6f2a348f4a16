use std::error::Error;
use std::io;
use std::path::Path;

use disk::{Disk, DiskFile};

use super::Directory;
use crate::error::{Action, Fenced, StorageFault};

/// The marker that keeps a fenced directory fenced.
const FENCE_FILE: &str = "fenced";
const LONGEST_CAUSE: usize = 4096;

impl<D: Disk> Directory<D> {
    /// Gives the directory up for good: after a failed sync the cache may show what the disk does
    /// not hold, so no later success means anything, nor does a restart.
    pub(super) fn fence(&mut self, fault: &StorageFault) -> Fenced {
        let cause = self.fenced.get_or_insert_with(|| describe(fault)).clone();
        // The disk that just failed may refuse the marker too. Whoever assigns partitions learns
        // of the fence from this process then, and it serves nothing until it is restarted.
        let _marked: Result<(), io::Error> = mark(&self.disk, &self.path, &cause);
        Fenced { path: self.path.clone(), cause }
    }

    pub(super) fn check_fence(&self) -> Result<(), Fenced> {
        match &self.fenced {
            Some(cause) => Err(Fenced { path: self.path.clone(), cause: cause.clone() }),
            None => Ok(()),
        }
    }
}

fn describe(fault: &StorageFault) -> String {
    let cause = fault.source();
    cause.map_or_else(|| fault.to_string(), |cause| format!("{fault}: {cause}"))
}

fn mark<D: Disk>(disk: &D, path: &Path, cause: &str) -> io::Result<()> {
    let file = match disk.create_new(&path.join(FENCE_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    };
    // The name alone fences; the text is for the human.
    disk.sync_dir(path)?;
    file.write_all_at(cause.as_bytes(), 0)?;
    file.sync_data()
}

/// Why a directory is fenced, if it is.
pub(super) fn read_fence<D: Disk>(disk: &D, path: &Path) -> Result<Option<String>, StorageFault> {
    let path = path.join(FENCE_FILE);
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Action::Open.failed(&path)(error)),
    };
    let len = file.len().map_err(Action::Read.failed(&path))?;
    let mut cause = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(LONGEST_CAUSE)];
    file.read_exact_at(&mut cause, 0).map_err(Action::Read.failed(&path))?;
    let cause = String::from_utf8_lossy(&cause).into_owned();
    Ok(Some(if cause.is_empty() { "a sync failed".to_owned() } else { cause }))
}
