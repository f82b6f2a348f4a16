//! What the course does, to the letter.

use serde_json::json;

use crate::harness::Registry;

/// As its author wrote it; `register_schema.py` strips tabs and newlines.
const DOWNLOADHUE: &str = r#"{ "namespace": "br.com.produban.openbus.model.avro", "type": "record", "doc": "Avro schema to download hue", "name": "sdgdownloadhue", "fields": [ {"name": "appId", "type": "string"}, {"name": "category", "type": {"type": "enum", "name": "options_method", "symbols": ["METRIC", "SECURITY", "TELEMETRY", "APPLICATION"]}}, {"name": "watermark", "type": ["string", "null"]}, {"name": "cluster", "type": ["string", "null"], "default": "Cluster DCN"}, {"name": "extraInfo", "type": {"type": "map", "values": "string"}} ]}"#;

const ANSWER: &str = r#"{"subject":"downloadhue-value","version":1,"id":1,"schema":"{\"type\":\"record\",\"name\":\"sdgdownloadhue\",\"namespace\":\"br.com.produban.openbus.model.avro\",\"doc\":\"Avro schema to download hue\",\"fields\":[{\"name\":\"appId\",\"type\":\"string\"},{\"name\":\"category\",\"type\":{\"type\":\"enum\",\"name\":\"options_method\",\"symbols\":[\"METRIC\",\"SECURITY\",\"TELEMETRY\",\"APPLICATION\"]}},{\"name\":\"watermark\",\"type\":[\"string\",\"null\"]},{\"name\":\"cluster\",\"type\":[\"string\",\"null\"],\"default\":\"Cluster DCN\"},{\"name\":\"extraInfo\",\"type\":{\"type\":\"map\",\"values\":\"string\"}}]}"}"#;

#[tokio::test]
async fn the_slides_curl_prints_what_the_slide_shows() {
    let registry = Registry::start();
    let missing = registry.get("/subjects/downloadhue-value/versions/1").await;
    assert_eq!(missing.fails(404, 40401), "Subject 'downloadhue-value' not found.");
    registry.register("downloadhue-value", DOWNLOADHUE).await.is(r#"{"id":1}"#);
    registry.register("downloadhue-value", DOWNLOADHUE).await.is(r#"{"id":1}"#);
    registry.get("/subjects/downloadhue-value/versions/1").await.is(ANSWER);
    registry.get("/subjects/downloadhue-value/versions/latest").await.is(ANSWER);
}

#[tokio::test]
async fn a_schema_that_is_not_avro_is_refused_with_the_field_named() {
    let registry = Registry::start();
    let record = json!({"type": "record", "name": "person", "fields": [
        {"name": "name", "type": "string"}, {"name": "age", "type": "integer"},
    ]});
    let message =
        registry.register("downloadhue-value", &record.to_string()).await.fails(422, 42201);
    assert!(
        message.starts_with(
            "Invalid schema {subject=downloadhue-value,version=0,id=-1,schemaType=AVRO,\
             references=[],metadata=null,ruleSet=null,schema={\"type\":"
        ),
        "{message}"
    );
    assert!(
        message.ends_with(
            "} with refs [] of type AVRO, details: \"integer\" is not a defined name. The type of \
             the \"age\" field must be a defined name or a {\"type\": ...} expression. did you \
             mean \"int\"?"
        ),
        "{message}"
    );
    let bare = registry.register("downloadhue-value", r#"{"name":"age","type":"integer"}"#).await;
    let message = bare.fails(422, 42201);
    assert!(message.ends_with(r#"Type not supported: integer in "age"; did you mean "int"?"#));
    registry.get("/subjects").await.is("[]");
}

#[tokio::test]
async fn a_subject_that_nobody_registered_under_is_not_found() {
    let registry = Registry::start();
    let person = json!({"type": "record", "name": "person", "namespace": "br.com.xyz", "fields": [
        {"name": "name", "type": "string"}, {"name": "age", "type": "string"},
    ]});
    registry.register("person_alertas-value", &person.to_string()).await.is(r#"{"id":1}"#);
    registry.get("/subjects/person/versions/1").await.fails(404, 40401);
}
