//! What sled's `flush` leaves undone (rule C1).
//!
//! sled 0.34 ends `flush` with `sync_file_range`, which neither waits for the disk's cache nor
//! writes the file's length, and it never syncs the files in `blobs/` nor any directory. So after
//! every flush: sync `db`, each file in `blobs/` that is new, and that directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::KvError;

/// Makes written bytes last; a seam for tests.
pub(super) trait Syncer: fmt::Debug + Send + Sync {
    /// Syncs an open file's data and length, or an open directory's entries.
    fn sync(&self, file: &File, path: &Path) -> io::Result<()>;
}

/// The real one.
#[derive(Debug)]
pub(super) struct FileSyncer;

impl Syncer for FileSyncer {
    fn sync(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_data()
    }
}

/// Syncs a sled directory's files.
#[derive(Debug)]
pub(super) struct Durability {
    syncer: Box<dyn Syncer>,
    /// Kept open: a write error that happens between two syncs is reported to files open then.
    db: (File, PathBuf),
    blobs: (File, PathBuf),
    /// Names in `blobs/` that are synced; sled never writes a blob again.
    synced: BTreeSet<OsString>,
}

impl Durability {
    /// Takes over the files sled has just opened or made, and syncs the names they were made by.
    pub(super) fn begin(dir: &Path, syncer: Box<dyn Syncer>) -> Result<Self, KvError> {
        for path in [dir.join("conf"), dir.to_owned()] {
            sync(syncer.as_ref(), &open(&path)?, &path)?;
        }
        let (db, blobs) = (dir.join("db"), dir.join("blobs"));
        Ok(Self {
            syncer,
            db: (open(&db)?, db),
            blobs: (open(&blobs)?, blobs),
            synced: BTreeSet::new(),
        })
    }

    /// Makes durable what sled has flushed.
    pub(super) fn after_flush(&mut self) -> Result<(), KvError> {
        let syncer = self.syncer.as_ref();
        let present = names(&self.blobs.1)?;
        let mut added = false;
        for name in present.difference(&self.synced) {
            let path = self.blobs.1.join(name);
            // sled deletes blobs that nothing refers to any more, at times of its own.
            match File::open(&path) {
                Ok(blob) => sync(syncer, &blob, &path)?,
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(KvError::Io { action: "open", path, source }),
            }
            added = true;
        }
        if added {
            sync(syncer, &self.blobs.0, &self.blobs.1)?;
        }
        self.synced = present;
        sync(syncer, &self.db.0, &self.db.1)
    }
}

fn open(path: &Path) -> Result<File, KvError> {
    File::open(path).map_err(|source| KvError::Io { action: "open", path: path.to_owned(), source })
}

fn sync(syncer: &dyn Syncer, file: &File, path: &Path) -> Result<(), KvError> {
    syncer.sync(file, path).map_err(|source| KvError::Io {
        action: "sync",
        path: path.to_owned(),
        source,
    })
}

fn names(dir: &Path) -> Result<BTreeSet<OsString>, KvError> {
    let io = |source| KvError::Io { action: "list", path: dir.to_owned(), source };
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        names.insert(entry.map_err(io)?.file_name());
    }
    Ok(names)
}
