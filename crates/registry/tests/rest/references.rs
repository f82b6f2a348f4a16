//! Schemas that take names from others.

use serde_json::{Value, json};

use crate::harness::Registry;

const COLOUR: &str = r#"{"type":"enum","name":"o.Colour","symbols":["RED"]}"#;
const CAR: &str =
    r#"{"type":"record","name":"Car","namespace":"o","fields":[{"name":"c","type":"Colour"}]}"#;

fn car() -> Value {
    json!({"schema": CAR, "references": [{"name": "o.Colour", "subject": "colour", "version": 1}]})
}

/// `colour` with id 1, and `car`, which refers to it, with id 2.
async fn colour_and_car() -> Registry {
    let registry = Registry::start();
    registry.register("colour", COLOUR).await.is(r#"{"id":1}"#);
    registry.post("/subjects/car/versions", &car()).await.is(r#"{"id":2}"#);
    registry
}

#[tokio::test]
async fn references_are_shown_where_the_schema_is_shown() {
    let registry = colour_and_car().await;
    let references = r#""references":[{"name":"o.Colour","subject":"colour","version":1}]"#;
    let schema = json!(CAR);
    registry
        .get("/subjects/car/versions/1")
        .await
        .is(&format!(r#"{{"subject":"car","version":1,"id":2,{references},"schema":{schema}}}"#));
    registry.get("/schemas/ids/2").await.is(&format!(r#"{{"schema":{schema},{references}}}"#));
    registry.get("/subjects/colour/versions/1/referencedby").await.is("[2]");
    registry.get("/subjects/car/versions/1/referencedby").await.is("[]");
}

#[tokio::test]
async fn a_schema_without_its_references_is_invalid() {
    let registry = colour_and_car().await;
    registry.register("other", CAR).await.fails(422, 42201);
    let missing = json!({"schema": CAR, "references": [{"name": "o.Colour", "subject": "colour", "version": 2}]});
    let message = registry.post("/subjects/car/versions", &missing).await.fails(422, 42201);
    assert!(
        message.ends_with(r#"No schema reference found for subject "colour" and version 2"#),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_referred_to_cannot_be_deleted() {
    let registry = colour_and_car().await;
    registry.delete("/subjects/colour/versions/1").await.fails(422, 42206);
    registry.delete("/subjects/colour").await.fails(422, 42206);
    registry.delete("/subjects/car").await.is("[1]");
    registry.get("/subjects/colour/versions/1/referencedby").await.is("[]");
    registry.delete("/subjects/colour").await.is("[1]");
    // The deleted schema may still be read by id, and needs this one to be understood.
    registry.delete("/subjects/colour?permanent=true").await.fails(422, 42206);
    registry.delete("/subjects/car?permanent=true").await.is("[1]");
    registry.delete("/subjects/colour?permanent=true").await.is("[1]");
}

#[tokio::test]
async fn lookup_without_references_finds_the_schema_that_resolves_to_the_same() {
    let registry = colour_and_car().await;
    let inlined = CAR.replace(r#""Colour""#, COLOUR);
    let found = registry.look_up("car", &inlined).await.json();
    assert_eq!((&found["version"], &found["id"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn the_latest_version_is_noted_by_its_number() {
    let registry = colour_and_car().await;
    let latest = json!({"schema": CAR, "references": [{"name": "o.Colour", "subject": "colour", "version": -1}]});
    registry.post("/subjects/car/versions", &latest).await.is(r#"{"id":2}"#);
}

#[tokio::test]
async fn compatibility_is_judged_with_the_references() {
    let registry = colour_and_car().await;
    let wider = COLOUR.replace(r#"["RED"]"#, r#"["RED","BLUE"]"#);
    registry.put("/config/colour", &json!({"compatibility": "BACKWARD"})).await;
    registry.register("colour", &wider).await.is(r#"{"id":3}"#);
    registry.put("/config/car", &json!({"compatibility": "FORWARD"})).await;
    let car = json!({"schema": CAR, "references": [{"name": "o.Colour", "subject": "colour", "version": 2}]});
    let message = registry.post("/subjects/car/versions", &car).await.fails(409, 409);
    assert!(message.contains("missing enum symbols '[BLUE]' at path '/fields/0/type/symbols'"));
}

#[tokio::test]
async fn a_chain_of_references_as_long_as_allowed_is_followed() {
    let registry = Registry::start();
    registry.register("s0", r#"{"type":"fixed","name":"T0","size":1}"#).await.is(r#"{"id":1}"#);
    for number in 1..30 {
        let below = number - 1;
        let body = json!({
            "schema": json!({"type": "record", "name": format!("T{number}"), "fields": [
                {"name": "f", "type": format!("T{below}")},
            ]}).to_string(),
            "references": [{"name": format!("T{below}"), "subject": format!("s{below}"), "version": 1}],
        });
        let path = format!("/subjects/s{number}/versions");
        registry.post(&path, &body).await.is(&format!(r#"{{"id":{}}}"#, number + 1));
    }
}
