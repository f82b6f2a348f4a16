//! Content types, paths and bodies.

use std::sync::Arc;

use kv_store::MemoryStore;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, CONTENT_TYPE, Registry, any_port, record};

async fn with_accept(registry: &Registry, accept: &str) -> Answer {
    let request = registry.request(Method::GET, "/subjects").header("Accept", accept);
    Answer::of(request.send().await.unwrap()).await
}

async fn with_content_type(registry: &Registry, content_type: &str) -> Answer {
    let body = json!({"schema": "\"int\""}).to_string();
    let request = registry.request(Method::POST, "/subjects/s/versions").body(body);
    Answer::of(request.header("Content-Type", content_type).send().await.unwrap()).await
}

#[tokio::test]
async fn the_root_answers_an_empty_object() {
    let registry = Registry::start();
    registry.get("/").await.is("{}");
    registry.post("/", &json!({})).await.is("{}");
}

#[tokio::test]
async fn the_client_chooses_among_three_content_types() {
    let registry = Registry::start();
    for (accept, answered) in [
        ("*/*", CONTENT_TYPE),
        ("application/vnd.schemaregistry+json", "application/vnd.schemaregistry+json"),
        ("application/json", "application/json"),
        ("application/vnd.schemaregistry.v1+json, application/json; q=0.5", CONTENT_TYPE),
    ] {
        let answer = with_accept(&registry, accept).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (200, answered), "{accept}");
    }
    let refused = with_accept(&registry, "text/html").await;
    assert_eq!(refused.fails(406, 406), "HTTP 406 Not Acceptable");
    assert_eq!(refused.content_type, CONTENT_TYPE);
}

#[tokio::test]
async fn bodies_are_read_in_four_content_types() {
    let registry = Registry::start();
    for content_type in [
        CONTENT_TYPE,
        "application/vnd.schemaregistry+json",
        "application/json; charset=utf-8",
        "application/octet-stream",
    ] {
        with_content_type(&registry, content_type).await.is(r#"{"id":1}"#);
    }
    let refused = with_content_type(&registry, "application/x-www-form-urlencoded").await;
    assert_eq!(refused.fails(415, 415), "HTTP 415 Unsupported Media Type");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let registry = Registry::start();
    for path in ["/nowhere", "/associations/x", "/schemas/ids/abc"] {
        assert_eq!(registry.get(path).await.fails(404, 404), "HTTP 404 Not Found", "{path}");
    }
    let refused = registry.put("/subjects", &json!({})).await;
    assert_eq!(refused.fails(405, 405), "HTTP 405 Method Not Allowed");
    assert_eq!(refused.content_type, CONTENT_TYPE);
}

#[tokio::test]
async fn a_trailing_slash_changes_nothing() {
    let registry = Registry::start();
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
    registry.get("/config/").await.is(r#"{"compatibilityLevel":"BACKWARD"}"#);
    registry.get("/subjects/").await.is(r#"["s"]"#);
    registry
        .get("/subjects/s/versions/latest/")
        .await
        .is(r#"{"subject":"s","version":1,"id":1,"schema":"\"int\""}"#);
}

#[tokio::test]
async fn a_subject_may_hold_a_slash_and_any_script() {
    let registry = Registry::start();
    for (path, subject) in
        [("a%2Fb", "a/b"), ("a%20b", "a b"), ("caf%C3%A9", "café"), ("%3A.x%3Aa", ":.x:a")]
    {
        registry.register(path, "\"int\"").await.is(r#"{"id":1}"#);
        let found = registry.get(&format!("/subjects/{path}/versions/1")).await.json();
        assert_eq!(found["subject"], subject);
    }
    registry.get("/subjects").await.is(r#"[":.x:a","a b","a/b","café"]"#);
}

#[tokio::test]
async fn a_subject_of_control_characters_is_refused() {
    let registry = Registry::start();
    for path in ["", "a%00b", "%0A", "%20", "__GLOBAL", &"x".repeat(2000)] {
        registry.register(path, "\"int\"").await.fails(422, 42208);
    }
    // Not even UTF-8.
    registry.register("%FF", "\"int\"").await.fails(404, 404);
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused_by_what_is_wrong_with_it() {
    let registry = Registry::start();
    let send = async |body: &str| {
        registry.send(Method::POST, "/subjects/s/versions", body.to_owned()).await
    };
    send("{").await.fails(400, 400);
    send("[1,2").await.fails(400, 400);
    send(r#"{"schema":"\"int\"","references":7}"#).await.fails(400, 400);
    send("null").await.fails(422, 422);
    send("").await.fails(422, 422);
    let message = send(r#"{"schema":{"type":"int"}}"#).await.fails(422, 422);
    assert!(message.contains("must be a string"), "{message}");
    send("{}").await.fails(422, 42201);
    send(r#"{"schema":"  "}"#).await.fails(422, 42201);
    let message = send(r#"{"schema":"{}","schemaType":"JSON"}"#).await.fails(422, 42201);
    assert!(message.starts_with("Invalid schema type JSON"), "{message}");
    send(r#"{"schema":"\"int\"","schemaType":"AVRO","metadata":null,"later":[1]}"#)
        .await
        .is(r#"{"id":1}"#);
}

#[tokio::test]
async fn no_schema_text_brings_the_registry_down() {
    let registry = Registry::start();
    for text in [
        "{",
        "int",
        "null",
        "42",
        "[\"int\",[\"int\"]]",
        "{\"type\":\"record\",\"name\":\"R-1\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"R\"}",
        "\"int\" \"int\"",
        &"[".repeat(100_000),
        "{\"type\":\"fixed\",\"name\":\"F\",\"size\":1e99}",
    ] {
        let message = registry.register("s", text).await.fails(422, 42201);
        assert!(message.len() < 20_000);
    }
    registry.get("/subjects").await.is("[]");
}

#[tokio::test]
async fn a_schema_of_many_pieces_comes_back_whole() {
    let registry = Registry::start();
    let doc = "ção\u{1F600}".repeat(60_000);
    let schema = json!({"type": "record", "name": "R", "doc": doc, "fields": []}).to_string();
    registry.register("s", &schema).await.is(r#"{"id":1}"#);
    assert_eq!(registry.get("/schemas/ids/1/schema").await.text, schema);
}

#[tokio::test]
async fn a_schema_over_a_megabyte_is_refused_as_too_large() {
    let registry = Registry::start();
    let doc = "x".repeat(1024 * 1024);
    let schema = json!({"type": "record", "name": "R", "doc": doc, "fields": []}).to_string();
    registry.register("s", &schema).await.fails(422, 42209);
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read() {
    let config = registry::Config { max_body_bytes: 1000, ..any_port() };
    let registry = Registry::on(Arc::new(MemoryStore::default()), config);
    registry.register("s", &" ".repeat(2000)).await.fails(413, 413);
    registry.register("s", &record(&["a"])).await.is(r#"{"id":1}"#);
}

#[tokio::test]
async fn an_avro_version_has_exactly_four_fields() {
    let registry = Registry::start();
    registry.register("s", "\"int\"").await.is(r#"{"id":1}"#);
    for answer in
        [registry.get("/subjects/s/versions/1").await, registry.look_up("s", "\"int\"").await]
    {
        let Value::Object(body) = answer.json() else { panic!("{answer:?}") };
        let fields: Vec<_> = body.keys().map(String::as_str).collect();
        assert_eq!(fields, ["subject", "version", "id", "schema"]);
    }
    registry.get("/schemas/ids/1").await.is(r#"{"schema":"\"int\""}"#);
}
