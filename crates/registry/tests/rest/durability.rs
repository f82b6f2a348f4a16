//! Ids and versions under concurrency, and over restarts. `interleaving` holds the races that
//! chance would hardly ever hit.

use std::collections::BTreeSet;
use std::sync::Arc;

use kv_store::MemoryStore;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Registry, any_port, record};

/// Two registries on one store, as instances behind one address would be.
fn pair() -> [Arc<Registry>; 2] {
    let store = Arc::new(MemoryStore::default());
    [(); 2].map(|()| Arc::new(Registry::on(Arc::clone(&store) as _, any_port())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_registrations_never_share_an_id_or_a_version() {
    let registries = pair();
    let [first, _] = &registries;
    first.put("/config", &json!({"compatibility": "NONE"})).await;
    let mut tasks = JoinSet::new();
    for number in 0..60_usize {
        for registry in &registries {
            let registry = Arc::clone(registry);
            let (subject, schema) = (format!("s{}", number % 3), record(&[&format!("f{number}")]));
            tasks.spawn(
                async move { registry.register(&subject, &schema).await.json()["id"].as_u64() },
            );
        }
    }
    let ids: BTreeSet<_> = tasks.join_all().await.into_iter().map(Option::unwrap).collect();
    assert_eq!(ids, (1..=60).collect());
    for subject in ["s0", "s1", "s2"] {
        let versions = first.get(&format!("/subjects/{subject}/versions")).await.json();
        assert_eq!(versions, json!((1..=20).collect::<Vec<_>>()));
    }
}

#[tokio::test]
async fn a_restart_keeps_everything_and_gives_no_id_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = || registry::Config { data_dir: dir.path().join("registry"), ..any_port() };
    let registry = Registry::run(config().build().unwrap());
    registry.put("/config/s", &json!({"compatibility": "NONE"})).await;
    registry.put("/mode/t", &json!({"mode": "READONLY"})).await;
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
    registry.register("s", "\"string\"").await.is(r#"{"id":2}"#);
    registry.delete("/subjects/s/versions/2").await.is("2");
    registry.delete("/subjects/s/versions/2?permanent=true").await.is("2");
    let before = registry.get("/schemas?deleted=true").await;
    registry.stop().await;

    let registry = Registry::run(config().build().unwrap());
    assert_eq!(registry.get("/schemas?deleted=true").await, before);
    registry.get("/config/s").await.is(r#"{"compatibilityLevel":"NONE"}"#);
    registry.get("/mode/t").await.is(r#"{"mode":"READONLY"}"#);
    registry.register("s", "\"bytes\"").await.is(r#"{"id":3}"#);
    registry.stop().await;
}

#[tokio::test]
async fn two_registries_do_not_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = || registry::Config { data_dir: dir.path().join("registry"), ..any_port() };
    let first = config().build().unwrap();
    let refused = config().build().unwrap_err().to_string();
    assert!(refused.contains("in use"), "{refused}");
    drop(first);
}
