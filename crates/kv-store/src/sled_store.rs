use std::any::Any;
use std::io;
use std::ops::Bound;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use crate::{Committed, CorruptionCause, KeyValue, KvError, KvStore, Transaction};

mod directory;
mod durability;
#[cfg(test)]
mod tests;

use directory::{Directory, Origin};
use durability::{Durability, FileSyncer, Syncer};

/// sled's default is 1 GiB; what is kept here is small.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Beside the tree of the entries: it is never empty in a store that still has its content.
const FORMAT_TREE: &str = "format";
const FORMAT_KEY: &str = "version";

/// A [`KvStore`] in one directory, on sled.
///
/// sled's `flush` does not reach the disk and it corrupts itself when a part of its files is lost
/// with the power; the private module `durability` adds what is missing. One commit runs at a
/// time and readers wait for it, so that nobody reads what the disk may still lose.
#[derive(Debug)]
pub struct SledStore {
    dir: PathBuf,
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    // Before the directory: sled lets go of its files before the directory is unlocked.
    db: sled::Db,
    durability: Durability,
    health: Health,
    directory: Directory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Sound,
    /// A write or a sync failed: the disk's content is unknown.
    Failed,
}

impl SledStore {
    /// Opens the store in `dir`, or makes one there.
    ///
    /// # Errors
    ///
    /// [`KvError::Locked`] if it is open elsewhere, [`KvError::Corrupted`] if its files cannot be
    /// read, [`KvError::Io`] if the directory cannot be made, read or synced.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, KvError> {
        Self::open_with(dir.into(), Box::new(FileSyncer))
    }

    fn open_with(dir: PathBuf, syncer: Box<dyn Syncer>) -> Result<Self, KvError> {
        let directory = Directory::lock(&dir)?;
        let db = open_sled(&dir)?;
        let durability = Durability::begin(&dir, syncer)?;
        let format = db.open_tree(FORMAT_TREE).map_err(|error| from_sled("open", &dir, error))?;
        let origin = directory.origin()?;
        if origin == Origin::Existing && format.is_empty() {
            return Err(KvError::Corrupted { dir, cause: CorruptionCause::Emptied });
        }
        format.insert(FORMAT_KEY, &[1]).map_err(|error| from_sled("write", &dir, error))?;
        let mut inner = Inner { db, durability, health: Health::Sound, directory };
        // A process that was killed may have left in the page cache what it never synced; it is
        // read from now on, so it has to last.
        inner.flush(&dir)?;
        if origin == Origin::New {
            inner.directory.mark()?;
        }
        Ok(Self { dir, inner: RwLock::new(inner) })
    }

    /// Reads under the lock, unless the store has failed.
    fn read<T>(&self, read: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, KvError> {
        let failed = || KvError::Failed { dir: self.dir.clone() };
        // A poisoned lock is a commit that panicked half way.
        let inner = self.inner.read().ok().ok_or_else(failed)?;
        match inner.health {
            Health::Sound => read(&inner.db).map_err(|error| from_sled("read", &self.dir, error)),
            Health::Failed => Err(failed()),
        }
    }
}

impl KvStore for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.read(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        let start = match after {
            Some(after) if prefix <= after => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        self.read(|db| {
            let mut found = Vec::new();
            for entry in db.range::<&[u8], _>((start, Bound::Unbounded)).take(limit) {
                let (key, value) = entry?;
                if !key.starts_with(prefix) {
                    break;
                }
                found.push((key.to_vec(), value.to_vec()));
            }
            Ok(found)
        })
    }

    fn commit(&self, transaction: Transaction) -> Result<Committed, KvError> {
        transaction.validate()?;
        let failed = || KvError::Failed { dir: self.dir.clone() };
        let mut inner = self.inner.write().ok().ok_or_else(failed)?;
        if inner.health == Health::Failed {
            return Err(failed());
        }
        for (key, expected) in &transaction.checks {
            let held = inner.db.get(key).map_err(|error| from_sled("read", &self.dir, error))?;
            if held.as_deref() != expected.as_deref() {
                return Ok(Committed::Conflict { key: key.clone() });
            }
        }
        if !transaction.is_read_only() {
            inner.apply(&self.dir, &transaction)?;
        }
        Ok(Committed::Yes)
    }
}

impl Inner {
    fn apply(&mut self, dir: &Path, transaction: &Transaction) -> Result<(), KvError> {
        let mut batch = sled::Batch::default();
        for key in &transaction.deletes {
            batch.remove(key.as_slice());
        }
        for (key, value) in &transaction.puts {
            batch.insert(key.as_slice(), value.as_slice());
        }
        // Also if this panics, nothing else may be done with the store.
        self.health = Health::Failed;
        self.db.apply_batch(batch).map_err(|error| from_sled("write", dir, error))?;
        self.flush(dir)
    }

    /// Makes everything applied so far durable, or ends the store's life.
    fn flush(&mut self, dir: &Path) -> Result<(), KvError> {
        self.health = Health::Failed;
        self.db.flush().map_err(|error| from_sled("flush", dir, error))?;
        self.durability.after_flush()?;
        self.health = Health::Sound;
        Ok(())
    }
}

/// Opens sled, which panics on some kinds of damage.
fn open_sled(dir: &Path) -> Result<sled::Db, KvError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        // Every commit flushes; a timer would only add a thread.
        .flush_every_ms(None);
    match panic::catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => opened.map_err(|error| from_sled("open", dir, error)),
        Err(panicked) => Err(KvError::Corrupted {
            dir: dir.to_owned(),
            cause: CorruptionCause::Panicked { message: panic_message(panicked.as_ref()) },
        }),
    }
}

fn panic_message(panicked: &(dyn Any + Send)) -> String {
    if let Some(text) = panicked.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panicked.downcast_ref::<String>().cloned().unwrap_or_default()
}

fn from_sled(action: &'static str, dir: &Path, error: sled::Error) -> KvError {
    match error {
        // How sled says that a file is shorter than it has to be.
        sled::Error::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            KvError::Io { action, path: dir.to_owned(), source }
        }
        error @ (sled::Error::Io(_)
        | sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. }) => {
            KvError::Corrupted { dir: dir.to_owned(), cause: CorruptionCause::Reported(error) }
        }
    }
}
