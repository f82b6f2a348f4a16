//! A store that is slow, full or broken.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use kv_store::{Committed, KeyValue, KvError, KvStore, MemoryStore, Transaction};
use registry::Config;

use crate::harness::{Registry, any_port};

/// A store whose reads wait while the gate is shut, and whose commits fail when told to.
#[derive(Default)]
struct Troubled {
    store: MemoryStore,
    shut: Mutex<bool>,
    opened: Condvar,
    full: AtomicBool,
}

impl Troubled {
    fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let shut = self.shut.lock().unwrap();
        drop(self.opened.wait_while(shut, |shut| *shut).unwrap());
    }
}

impl KvStore for Troubled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.wait();
        self.store.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        self.wait();
        self.store.scan(prefix, after, limit)
    }

    fn commit(&self, transaction: Transaction) -> Result<Committed, KvError> {
        if self.full.load(Ordering::Relaxed) {
            let source = io::Error::from(io::ErrorKind::StorageFull);
            return Err(KvError::Io { action: "sync", path: PathBuf::from("db"), source });
        }
        self.store.commit(transaction)
    }
}

#[tokio::test]
async fn a_slow_store_makes_requests_time_out_and_not_pile_up() {
    let store = Arc::new(Troubled::default());
    let config =
        Config { request_timeout_ms: 100, store_threads: 1, max_requests: 4, ..any_port() };
    let registry = Arc::new(Registry::on(Arc::clone(&store) as _, config));
    store.shut();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let registry = Arc::clone(&registry);
        tasks.spawn(async move { registry.get("/subjects").await.json()["error_code"].clone() });
    }
    let codes = tasks.join_all().await;
    assert!(codes.iter().all(|code| *code == 50002 || *code == 503), "{codes:?}");
    assert!(codes.iter().any(|code| *code == 50002), "{codes:?}");
    store.open();
    registry.get("/subjects").await.is("[]");
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_nothing_is_registered() {
    let store = Arc::new(Troubled::default());
    let registry = Registry::on(Arc::clone(&store) as _, any_port());
    store.full.store(true, Ordering::Relaxed);
    let message = registry.register("s", "\"int\"").await.fails(500, 50001);
    assert!(message.starts_with("Error in the backend data store: "), "{message}");
    store.full.store(false, Ordering::Relaxed);
    registry.get("/subjects").await.is("[]");
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
}
