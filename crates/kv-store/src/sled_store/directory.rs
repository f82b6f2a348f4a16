//! The store's directory: who has it open, and whether a store was ever made in it.
//!
//! Both are kept in the file `kv-store`: it is locked while the store is open, and holds a line
//! once the store was made. sled takes a file of garbage for an empty database; the line is how
//! an emptied store is told from a new one.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::KvError;

const MARKER: &[u8] = b"dohle kv-store 1\n";

/// How often, and how far apart, it is looked whether sled has let go: 2 s in all.
const RELEASE_ATTEMPTS: u32 = 400;
const RELEASE_INTERVAL: Duration = Duration::from_millis(5);

/// Whether there was a store in the directory before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    New,
    Existing,
}

/// A locked directory; the operating system unlocks it when the process ends.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    marker: File,
}

impl Directory {
    /// Makes the directory if need be, and locks it.
    pub(super) fn lock(path: &Path) -> Result<Self, KvError> {
        create(path)?;
        let marker_path = path.join("kv-store");
        let marker = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&marker_path)
            .map_err(failed("open", &marker_path))?;
        take(&marker, path)?;
        let directory = Self { path: path.to_owned(), marker };
        directory.wait_for_sled()?;
        Ok(directory)
    }

    pub(super) fn origin(&self) -> Result<Origin, KvError> {
        let length = self.marker.metadata().map_err(failed("read", &self.path))?.len();
        Ok(if length == 0 { Origin::New } else { Origin::Existing })
    }

    /// Records, durably, that the directory holds a store.
    pub(super) fn mark(&mut self) -> Result<(), KvError> {
        self.marker.write_all(MARKER).map_err(failed("write", &self.path))?;
        self.marker.sync_data().map_err(failed("sync", &self.path))
    }

    /// sled's threads may hold its file for a moment after the last handle of this process is
    /// dropped.
    fn wait_for_sled(&self) -> Result<(), KvError> {
        let db_path = self.path.join("db");
        let db = match File::open(&db_path) {
            Ok(db) => db,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(failed("open", &db_path)(source)),
        };
        for _ in 0..RELEASE_ATTEMPTS {
            match take(&db, &self.path) {
                Err(KvError::Locked { .. }) => thread::park_timeout(RELEASE_INTERVAL),
                decided => return decided,
            }
        }
        Err(KvError::Locked { dir: self.path.clone() })
    }
}

/// Makes a directory and those above it, durably.
fn create(path: &Path) -> Result<(), KvError> {
    let parent = parent(path);
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(&parent)?;
            fs::create_dir(path).map_err(failed("create", path))?;
        }
        created => created.map_err(failed("create", path))?,
    }
    let names = File::open(&parent).map_err(failed("open", &parent))?;
    names.sync_all().map_err(failed("sync", &parent))
}

/// The directory that holds `path`'s name.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Locks `file`, until it is closed.
fn take(file: &File, dir: &Path) -> Result<(), KvError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(KvError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", dir)(source)),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KvError {
    move |source| KvError::Io { action, path: path.to_owned(), source }
}
