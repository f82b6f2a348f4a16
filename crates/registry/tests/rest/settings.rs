//! `/config` and `/mode`.

use serde_json::json;

use crate::harness::{Registry, record};

#[tokio::test]
async fn levels_are_set_by_one_word_and_asked_for_by_another() {
    let registry = Registry::start();
    registry.get("/config").await.is(r#"{"compatibilityLevel":"BACKWARD"}"#);
    registry
        .put("/config", &json!({"compatibility": "full"}))
        .await
        .is(r#"{"compatibility":"FULL"}"#);
    registry.get("/config").await.is(r#"{"compatibilityLevel":"FULL"}"#);
    registry.put("/config", &json!({})).await.is("{}");
    registry.get("/config").await.is(r#"{"compatibilityLevel":"FULL"}"#);
    registry.put("/config", &json!({"compatibility": "SIDEWARD"})).await.fails(422, 42203);
    registry.delete("/config").await.is(r#"{"compatibilityLevel":"FULL"}"#);
    registry.get("/config").await.is(r#"{"compatibilityLevel":"BACKWARD"}"#);
}

#[tokio::test]
async fn a_subject_has_the_registrys_level_until_it_has_its_own() {
    let registry = Registry::start();
    let message = registry.get("/config/s").await.fails(404, 40408);
    assert_eq!(message, "Subject 's' does not have subject-level compatibility configured");
    registry.get("/config/s?defaultToGlobal=true").await.is(r#"{"compatibilityLevel":"BACKWARD"}"#);
    registry.delete("/config/s").await.fails(404, 40401);
    registry
        .put("/config/s", &json!({"compatibility": "NONE"}))
        .await
        .is(r#"{"compatibility":"NONE"}"#);
    registry.get("/config/s").await.is(r#"{"compatibilityLevel":"NONE"}"#);
    registry.register("s", &record(&["a"])).await.is(r#"{"id":1}"#);
    registry.register("s", "\"int\"").await.is(r#"{"id":2}"#);
    registry.delete("/config/s").await.is(r#"{"compatibilityLevel":"NONE"}"#);
    registry.register("s", "\"string\"").await.fails(409, 409);
}

#[tokio::test]
async fn deleting_a_subject_for_good_forgets_its_settings() {
    let registry = Registry::start();
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
    registry.put("/config/s", &json!({"compatibility": "NONE"})).await;
    registry.delete("/subjects/s/versions/1").await.is("1");
    registry.get("/config/s").await.is(r#"{"compatibilityLevel":"NONE"}"#);
    registry.delete("/subjects/s/versions/1?permanent=true").await.is("1");
    registry.get("/config/s").await.fails(404, 40408);
}

#[tokio::test]
async fn a_read_only_registry_still_answers() {
    let registry = Registry::start();
    registry.get("/mode").await.is(r#"{"mode":"READWRITE"}"#);
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
    registry.put("/mode", &json!({"mode": "READONLY"})).await.is(r#"{"mode":"READONLY"}"#);
    // What is registered already needs no write.
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
    registry.register("s", "\"long\"").await.fails(422, 42205);
    registry.delete("/subjects/s").await.fails(422, 42205);
    registry.put("/config/s", &json!({"compatibility": "NONE"})).await.fails(422, 42205);
    registry.put("/mode", &json!({"mode": "SOMETIMES"})).await.fails(422, 42204);
    registry.put("/mode", &json!({"mode": "READWRITE"})).await.is(r#"{"mode":"READWRITE"}"#);
    registry.register("s", "\"long\"").await.is(r#"{"id":2}"#);
}

#[tokio::test]
async fn a_subject_may_have_a_mode_of_its_own() {
    let registry = Registry::start();
    registry.get("/mode/s").await.fails(404, 40409);
    registry.get("/mode/s?defaultToGlobal=true").await.is(r#"{"mode":"READWRITE"}"#);
    registry.put("/mode/s", &json!({"mode": "READONLY"})).await.is(r#"{"mode":"READONLY"}"#);
    registry.register("s", "\"int\"").await.fails(422, 42205);
    registry.register("t", "\"int\"").await.is(r#"{"id":1}"#);
    registry.delete("/mode/s").await.is(r#"{"mode":"READONLY"}"#);
    registry.delete("/mode/s").await.fails(404, 40401);
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
}

#[tokio::test]
async fn ids_are_brought_along_in_import_mode_only() {
    let registry = Registry::start();
    let with_id = json!({"schema": "\"int\"", "id": 7, "version": 3});
    registry.post("/subjects/s/versions", &with_id).await.fails(422, 42205);
    registry.put("/mode", &json!({"mode": "IMPORT"})).await.is(r#"{"mode":"IMPORT"}"#);
    registry.register("s", "\"int\"").await.fails(422, 42205);
    registry.post("/subjects/s/versions", &with_id).await.is(r#"{"id":7}"#);
    registry.get("/subjects/s/versions").await.is("[3]");
    let taken = json!({"schema": "\"long\"", "id": 7});
    registry.post("/subjects/s/versions", &taken).await.fails(422, 42205);
    registry.put("/mode", &json!({"mode": "READWRITE"})).await.is(r#"{"mode":"READWRITE"}"#);
    registry.register("s", "\"long\"").await.is(r#"{"id":8}"#);
    registry.put("/mode", &json!({"mode": "IMPORT"})).await.fails(422, 42205);
    registry.put("/mode?force=true", &json!({"mode": "IMPORT"})).await.is(r#"{"mode":"IMPORT"}"#);
}

#[tokio::test]
async fn an_explicit_version_must_be_the_next() {
    let registry = Registry::start();
    registry
        .post("/subjects/s/versions", &json!({"schema": "\"int\"", "version": 2}))
        .await
        .fails(422, 42201);
    registry
        .post("/subjects/s/versions", &json!({"schema": "\"int\"", "version": 1}))
        .await
        .is(r#"{"id":1}"#);
    registry
        .post("/subjects/s/versions", &json!({"schema": "\"int\"", "version": -1, "id": -1}))
        .await
        .is(r#"{"id":1}"#);
}
