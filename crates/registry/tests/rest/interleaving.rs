//! Two registries on one store, where the second acts after the first has decided and before it
//! commits. Whatever the decision rested on, it is made anew.

use std::sync::{Arc, Mutex};

use kv_store::{Committed, KeyValue, KvError, KvStore, MemoryStore, Transaction};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::harness::{Answer, Registry, any_port, record};

type Interruption = Box<dyn FnOnce() + Send>;

/// A store on which something happens just before the next commit.
struct Interrupted {
    store: Arc<MemoryStore>,
    next: Mutex<Option<Interruption>>,
}

impl KvStore for Interrupted {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.store.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        self.store.scan(prefix, after, limit)
    }

    fn commit(&self, transaction: Transaction) -> Result<Committed, KvError> {
        let interruption = self.next.lock().unwrap().take();
        if let Some(interruption) = interruption {
            interruption();
        }
        self.store.commit(transaction)
    }
}

struct Pair {
    interrupted: Registry,
    store: Arc<Interrupted>,
    other: Arc<Registry>,
}

impl Pair {
    fn start() -> Self {
        let memory = Arc::new(MemoryStore::default());
        let store = Arc::new(Interrupted { store: Arc::clone(&memory), next: Mutex::new(None) });
        Self {
            interrupted: Registry::on(Arc::clone(&store) as _, any_port()),
            other: Arc::new(Registry::on(memory, any_port())),
            store,
        }
    }

    /// What the first registry answers if the other is asked `method path body` in the middle.
    async fn ask(&self, first: (&str, &str, Value), meanwhile: (&str, &str, Value)) -> Answer {
        let (other, handle) = (Arc::clone(&self.other), Handle::current());
        let (method, path, body) = meanwhile;
        let (method, path) = (method.parse().unwrap(), path.to_owned());
        let interruption: Interruption = Box::new(move || {
            let answer = handle.block_on(other.send(method, &path, body.to_string()));
            assert_eq!(answer.status, 200, "{answer:?}");
        });
        *self.store.next.lock().unwrap() = Some(interruption);
        let (method, path, body) = first;
        let answer = self.interrupted.send(method.parse().unwrap(), path, body.to_string()).await;
        assert!(self.store.next.lock().unwrap().is_none(), "nothing was committed: {answer:?}");
        answer
    }
}

fn schema(text: &str) -> Value {
    json!({"schema": text})
}

#[tokio::test]
async fn an_id_that_was_just_given_out_is_not_given_out_again() {
    let pair = Pair::start();
    let answer = pair
        .ask(
            ("POST", "/subjects/s/versions", schema("\"int\"")),
            ("POST", "/subjects/t/versions", schema("\"long\"")),
        )
        .await;
    answer.is(r#"{"id":2}"#);
    pair.other.get("/schemas/ids/1").await.is(r#"{"schema":"\"long\""}"#);
}

#[tokio::test]
async fn a_version_that_was_just_given_out_is_not_given_out_again() {
    let pair = Pair::start();
    let answer = pair
        .ask(
            ("POST", "/subjects/s/versions", schema(&record(&[]))),
            ("POST", "/subjects/s/versions", schema(&record(&["a"]))),
        )
        .await;
    answer.is(r#"{"id":2}"#);
    assert_eq!(pair.other.get("/subjects/s/versions/1").await.json()["id"], 1);
    assert_eq!(pair.other.get("/subjects/s/versions/2").await.json()["id"], 2);
}

#[tokio::test]
async fn two_incompatible_schemas_do_not_both_pass() {
    let pair = Pair::start();
    let answer = pair
        .ask(
            ("POST", "/subjects/s/versions", schema("\"int\"")),
            ("POST", "/subjects/s/versions", schema("\"string\"")),
        )
        .await;
    answer.fails(409, 409);
}

#[tokio::test]
async fn a_level_that_was_just_raised_counts() {
    let pair = Pair::start();
    pair.other.register("s", "\"int\"").await.is(r#"{"id":1}"#);
    for scope in ["/config", "/config/s"] {
        pair.other.put(scope, &json!({"compatibility": "NONE"})).await;
        let answer = pair
            .ask(
                ("POST", "/subjects/s/versions", schema("\"string\"")),
                ("PUT", scope, json!({"compatibility": "FULL"})),
            )
            .await;
        answer.fails(409, 409);
    }
}

#[tokio::test]
async fn a_mode_that_was_just_set_counts() {
    for scope in ["/mode", "/mode/s"] {
        let pair = Pair::start();
        let answer = pair
            .ask(
                ("POST", "/subjects/s/versions", schema("\"int\"")),
                ("PUT", scope, json!({"mode": "READONLY"})),
            )
            .await;
        answer.fails(422, 42205);
    }
}

fn user() -> Value {
    json!({
        "schema": r#"{"type":"array","items":"F"}"#,
        "references": [{"name": "F", "subject": "base", "version": 1}],
    })
}

async fn with_base() -> Pair {
    let pair = Pair::start();
    let base = r#"{"type":"fixed","name":"F","size":1}"#;
    pair.other.register("base", base).await.is(r#"{"id":1}"#);
    pair
}

#[tokio::test]
async fn what_was_just_deleted_is_not_referred_to() {
    let pair = with_base().await;
    let answer = pair
        .ask(
            ("POST", "/subjects/user/versions", user()),
            ("DELETE", "/subjects/base/versions/1", Value::Null),
        )
        .await;
    answer.fails(422, 42201);
}

#[tokio::test]
async fn what_was_just_referred_to_is_not_deleted() {
    for path in ["/subjects/base/versions/1", "/subjects/base"] {
        let pair = with_base().await;
        let answer = pair
            .ask(("DELETE", path, Value::Null), ("POST", "/subjects/user/versions", user()))
            .await;
        answer.fails(422, 42206);
    }
}

#[tokio::test]
async fn an_id_that_was_just_brought_along_is_not_taken_by_another_content() {
    let pair = Pair::start();
    for subject in ["s", "t"] {
        pair.other.put(&format!("/mode/{subject}"), &json!({"mode": "IMPORT"})).await;
    }
    let bring = |text: &str, id: u32| json!({"schema": text, "id": id});
    pair.other.post("/subjects/s/versions", &bring("\"int\"", 9)).await.is(r#"{"id":9}"#);
    // Below the next one that would be given out, so that this one does not change.
    let answer = pair
        .ask(
            ("POST", "/subjects/s/versions", bring("\"string\"", 7)),
            ("POST", "/subjects/t/versions", bring("\"long\"", 7)),
        )
        .await;
    answer.fails(422, 42205);
    pair.other.get("/schemas/ids/7").await.is(r#"{"schema":"\"long\""}"#);
}
