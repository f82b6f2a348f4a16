use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use disk::{Disk, DiskFile, Entry, EntryKind, is_out_of_space};

use super::Directory;
use crate::ballast::Released;
use crate::error::{Action, Fenced, StorageFault};

/// The marker that keeps a fenced directory fenced.
const FENCE_FILE: &str = "fenced";
const LONGEST_CAUSE: usize = 4096;
/// The cause of a marker that the disk had no room for.
const NO_ROOM: &str = "a sync failed, or synced entries of its journal are not there any more";

/// Whether a sync failed, known to all who work for a directory from that moment on: nothing is
/// synced any more, and nothing that was not durable before is answered as durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Fence(Arc<OnceLock<String>>);

impl Fence {
    /// The first cause stays.
    pub(super) fn set(&self, fault: &StorageFault) -> &str {
        self.0.get_or_init(|| describe(fault))
    }

    /// As [`Fence::set`], while the writer goes on: it answers by this at once, and may be killed
    /// before it hears of the fault. So the directory is marked now, if the disk takes a mark without
    /// the ballast's room, which is the writer's.
    pub(super) fn set_in_background<D: Disk>(&self, disk: &D, path: &Path, fault: &StorageFault) {
        let cause = self.set(fault);
        mark(disk, path, cause).ok();
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }
}

impl<D: Disk> Directory<D> {
    /// Gives the directory up for good: after a failed sync the cache may show what the disk does
    /// not hold, so no later success means anything, nor does a restart.
    pub(super) fn fence(&mut self, fault: &StorageFault) -> Fenced {
        let cause = self.fence.set(fault).to_owned();
        // The disk that just failed may refuse the marker too. Nothing is written in this life all
        // the same, and the next one reads what the disk holds, not what its cache shows.
        let marked = mark(&self.disk, &self.path, &cause);
        if marked.is_err_and(|error| is_out_of_space(&error))
            && matches!(self.ballast.release(), Ok(Released::Yes))
        {
            mark(&self.disk, &self.path, &cause).ok();
        }
        Fenced { path: self.path.clone(), cause }
    }

    pub(super) fn check_fence(&self) -> Result<(), Fenced> {
        match self.fence.cause() {
            Some(cause) => Err(Fenced { path: self.path.clone(), cause: cause.to_owned() }),
            None => Ok(()),
        }
    }
}

fn describe(fault: &StorageFault) -> String {
    let cause = fault.source();
    cause.map_or_else(|| fault.to_string(), |cause| format!("{fault}: {cause}"))
}

/// Fences a directory for the starts to come.
pub(super) fn mark<D: Disk>(disk: &D, path: &Path, cause: &str) -> io::Result<()> {
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
    Ok(Some(if cause.is_empty() { NO_ROOM.to_owned() } else { cause }))
}

/// Lets a directory be used again, durably, if it is fenced.
pub(super) fn lift_fence<D: Disk>(disk: &D, path: &Path) -> Result<(), StorageFault> {
    let file = path.join(FENCE_FILE);
    match disk.remove_file(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => removed.map_err(Action::Remove.failed(&file))?,
    }
    disk.sync_dir(path).map_err(Action::Sync.failed(path))
}

/// Has all files below a folder read as they lie on the disk.
pub(super) fn forget_cached<D: Disk>(disk: &D, dir: &Path) -> Result<(), StorageFault> {
    for Entry { name, kind } in disk.list(dir).map_err(Action::List.failed(dir))? {
        let path = dir.join(name);
        match kind {
            EntryKind::Directory => forget_cached(disk, &path)?,
            EntryKind::File => {
                let file = disk.open(&path).map_err(Action::Open.failed(&path))?;
                file.forget_cached().map_err(Action::Read.failed(&path))?;
            }
        }
    }
    Ok(())
}
