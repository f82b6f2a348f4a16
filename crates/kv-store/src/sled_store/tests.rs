use std::collections::BTreeSet;
use std::fs::{self, File};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use types::{Coded, Reason};

use super::*;

/// Remembers what was synced, and fails when told to.
#[derive(Clone, Debug, Default)]
struct RecordingSyncer {
    synced: Arc<Mutex<BTreeSet<PathBuf>>>,
    broken: Arc<Mutex<bool>>,
}

impl RecordingSyncer {
    fn take(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.synced.lock().unwrap())
    }

    fn break_down(&self) {
        *self.broken.lock().unwrap() = true;
    }
}

impl Syncer for RecordingSyncer {
    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        if *self.broken.lock().unwrap() {
            return Err(io::ErrorKind::Other.into());
        }
        self.synced.lock().unwrap().insert(path.to_owned());
        file.sync_data()
    }
}

fn recorded() -> (TempDir, RecordingSyncer, SledStore) {
    let dir = tempfile::tempdir().unwrap();
    let syncer = RecordingSyncer::default();
    let store = SledStore::open_with(dir.path().join("kv"), Box::new(syncer.clone())).unwrap();
    (dir, syncer, store)
}

fn put(key: &str, value: impl Into<Vec<u8>>) -> Transaction {
    Transaction::new().put(key, value)
}

#[test]
fn c1_every_commit_syncs_the_db_file() {
    let (dir, syncer, store) = recorded();
    let db = dir.path().join("kv/db");
    assert!(syncer.take().contains(&db), "at open");
    for n in 0..3 {
        assert_eq!(store.commit(put("key", n.to_string())).unwrap(), Committed::Yes);
        assert_eq!(syncer.take(), BTreeSet::from([db.clone()]));
    }
}

#[test]
fn c1_a_new_blob_and_its_directory_are_synced_once() {
    let (dir, syncer, store) = recorded();
    syncer.take();
    let blobs = dir.path().join("kv/blobs");
    let blob = blobs.join("4711");
    fs::write(&blob, "a node too large for sled's log").unwrap();
    assert_eq!(store.commit(put("key", "1")).unwrap(), Committed::Yes);
    let done = syncer.take();
    assert!(done.contains(&blob) && done.contains(&blobs), "{done:?}");
    assert_eq!(store.commit(put("key", "2")).unwrap(), Committed::Yes);
    assert_eq!(syncer.take(), BTreeSet::from([dir.path().join("kv/db")]));
}

#[test]
fn c1_values_of_full_size_leave_no_blob_unsynced() {
    let (dir, syncer, store) = recorded();
    for n in 0..40 {
        let value = vec![n; crate::MAX_VALUE_LEN];
        assert_eq!(store.commit(put(&format!("chunk/{n:02}"), value)).unwrap(), Committed::Yes);
    }
    let done = syncer.take();
    let present = fs::read_dir(dir.path().join("kv/blobs")).unwrap();
    for blob in present.map(|entry| entry.unwrap().path()) {
        assert!(done.contains(&blob), "{} was never synced", blob.display());
    }
}

#[test]
fn a_failed_sync_is_final() {
    let (_dir, syncer, store) = recorded();
    syncer.break_down();
    assert!(matches!(store.commit(put("key", "1")), Err(KvError::Io { action: "sync", .. })));
    assert!(matches!(store.get(b"key"), Err(KvError::Failed { .. })));
    assert!(matches!(store.scan(b"", None, 1), Err(KvError::Failed { .. })));
    assert!(matches!(store.commit(put("key", "2")), Err(KvError::Failed { .. })));
}

#[test]
fn a_second_opener_is_told_that_the_directory_is_in_use() {
    let (dir, _syncer, store) = recorded();
    let path = dir.path().join("kv");
    assert!(matches!(SledStore::open(&path), Err(KvError::Locked { dir }) if dir == path));
    drop(store);
    SledStore::open(&path).unwrap();
}

#[test]
fn what_was_committed_is_there_after_each_of_many_reopenings() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0_u32..20 {
        let store = SledStore::open(dir.path()).unwrap();
        let held = store.scan(b"", None, 100).unwrap();
        assert_eq!(held.len(), n as usize);
        assert_eq!(store.commit(put(&format!("{n:02}"), "x")).unwrap(), Committed::Yes);
    }
}

#[test]
fn damage_is_a_typed_error_and_no_panic() {
    for damage in [Damage::Garbage, Damage::Cut] {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        for n in 0..30 {
            let value = vec![n; 60_000];
            assert_eq!(store.commit(put(&format!("{n:02}"), value)).unwrap(), Committed::Yes);
        }
        drop(store);
        damage.inflict(dir.path());
        let error = SledStore::open(dir.path()).map(|store| store.scan(b"", None, 100));
        match error {
            Err(error) => assert_eq!(error.reason(), Reason::StorageError, "{error}"),
            // sled believes a log that ends early: what is gone is then simply not there.
            Ok(scan) => assert!(scan.is_err() || matches!(damage, Damage::Cut)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Garbage,
    Cut,
}

impl Damage {
    fn inflict(self, dir: &Path) {
        let db = dir.join("db");
        let bytes = fs::read(&db).unwrap();
        match self {
            Self::Garbage => fs::write(&db, vec![0xA5; bytes.len()]).unwrap(),
            Self::Cut => fs::write(&db, bytes.get(..bytes.len() / 2).unwrap()).unwrap(),
        }
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("snap.") {
                fs::write(path, "garbage").unwrap();
            }
        }
    }
}
