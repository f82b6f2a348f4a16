//! Refusals, and asking beforehand.

use serde_json::{Value, json};

use crate::harness::{Answer, Registry, record};

async fn test(registry: &Registry, path: &str, schema: &str) -> Answer {
    registry.post(&format!("/compatibility/subjects/{path}"), &json!({"schema": schema})).await
}

#[tokio::test]
async fn a_refusal_names_subject_path_and_old_version() {
    let registry = Registry::start();
    registry.register("s", &record(&["a"])).await.is(r#"{"id":1}"#);
    let message = registry.register("s", &record(&["a", "b"])).await.fails(409, 409);
    assert_eq!(
        message,
        "Schema being registered is incompatible with an earlier schema for subject \"s\", \
         details: [{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'b' at \
         path '/fields/1' in the new schema has no default value and is missing in the old \
         schema', additionalInfo:'b'}, {oldSchemaVersion: 1}, {oldSchema: \
         '{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}'}, \
         {validateFields: 'false', compatibility: 'BACKWARD'}]"
    );
    registry.get("/subjects/s/versions").await.is("[1]");
}

#[tokio::test]
async fn asking_beforehand_changes_nothing() {
    let registry = Registry::start();
    registry.register("s", &record(&["a", "b"])).await.is(r#"{"id":1}"#);
    test(&registry, "s/versions/latest", &record(&["a"])).await.is(r#"{"is_compatible":true}"#);
    test(&registry, "s/versions/1?verbose=true", &record(&["a"]))
        .await
        .is(r#"{"is_compatible":true,"messages":[]}"#);
    test(&registry, "s/versions/latest", &record(&["c"])).await.is(r#"{"is_compatible":false}"#);
    let verbose = test(&registry, "s/versions/latest?verbose=true", &record(&["c"])).await.json();
    let Value::Array(messages) = &verbose["messages"] else { panic!("{verbose}") };
    assert_eq!(messages.len(), 4);
    registry.get("/schemas").await.json().as_array().unwrap().len();
    registry.get("/subjects/s/versions").await.is("[1]");
    registry.register("t", "\"int\"").await.is(r#"{"id":2}"#);
}

#[tokio::test]
async fn an_unknown_subject_accepts_anything_but_has_no_versions() {
    let registry = Registry::start();
    for path in ["s/versions/latest", "s/versions"] {
        test(&registry, path, "\"int\"").await.is(r#"{"is_compatible":true}"#);
    }
    test(&registry, "s/versions/1", "\"int\"").await.fails(404, 40402);
    test(&registry, "s/versions/zero", "\"int\"").await.fails(422, 42202);
}

#[tokio::test]
async fn an_invalid_schema_is_an_error_unless_the_caller_asked_why() {
    let registry = Registry::start();
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
    test(&registry, "s/versions/latest", "{").await.fails(422, 42201);
    let verbose = test(&registry, "s/versions/latest?verbose=true", "{").await;
    assert_eq!((verbose.status, &verbose.json()["is_compatible"]), (200, &json!(false)));
}

#[tokio::test]
async fn one_version_is_compared_with_that_version_alone() {
    let registry = Registry::start();
    registry.put("/config", &json!({"compatibility": "NONE"})).await;
    registry.register("s", "\"string\"").await.is(r#"{"id":1}"#);
    registry.register("s", "\"int\"").await.is(r#"{"id":2}"#);
    registry.put("/config", &json!({"compatibility": "BACKWARD_TRANSITIVE"})).await;
    test(&registry, "s/versions/2", "\"long\"").await.is(r#"{"is_compatible":true}"#);
    test(&registry, "s/versions/1", "\"long\"").await.is(r#"{"is_compatible":false}"#);
    test(&registry, "s/versions", "\"long\"").await.is(r#"{"is_compatible":false}"#);
    registry.register("s", "\"long\"").await.fails(409, 409);
    registry.put("/config", &json!({"compatibility": "BACKWARD"})).await;
    test(&registry, "s/versions", "\"long\"").await.is(r#"{"is_compatible":true}"#);
    registry.register("s", "\"long\"").await.is(r#"{"id":3}"#);
}

#[tokio::test]
async fn deleted_versions_do_not_count() {
    let registry = Registry::start();
    registry.register("s", "\"string\"").await.is(r#"{"id":1}"#);
    registry.register("s", "\"int\"").await.fails(409, 409);
    registry.delete("/subjects/s").await.is("[1]");
    registry.register("s", "\"int\"").await.is(r#"{"id":2}"#);
    registry.get("/subjects/s/versions?deleted=true").await.is("[1,2]");
}
