//! Versions, ids and deletion.

use serde_json::json;

use crate::harness::{Registry, record};

/// A subject `s` with versions 1 to 3 and the ids 1 to 3.
async fn three_versions() -> Registry {
    let registry = Registry::start();
    registry
        .put("/config", &json!({"compatibility": "NONE"}))
        .await
        .is(r#"{"compatibility":"NONE"}"#);
    for (id, fields) in [(1, &["a"][..]), (2, &["a", "b"]), (3, &["a", "b", "c"])] {
        registry.register("s", &record(fields)).await.is(&format!(r#"{{"id":{id}}}"#));
    }
    registry
}

#[tokio::test]
async fn one_content_has_one_id_in_all_subjects() {
    let registry = three_versions().await;
    registry.register("t", &record(&["a", "b"])).await.is(r#"{"id":2}"#);
    registry.get("/subjects/t/versions").await.is("[1]");
    registry
        .get("/schemas/ids/2/versions")
        .await
        .is(r#"[{"subject":"s","version":2},{"subject":"t","version":1}]"#);
    registry.get("/schemas/ids/2/subjects").await.is(r#"["s","t"]"#);
    registry.get("/schemas/ids/9").await.fails(404, 40403);
    assert_eq!(registry.get("/schemas/ids/-9").await.fails(404, 40403), "Schema -9 not found");
    registry.get("/schemas/ids/9/versions").await.fails(404, 40403);
    let found = registry.get("/schemas/ids/1?fetchMaxId=true").await.json();
    assert_eq!(found["maxId"], 3);
}

#[tokio::test]
async fn docs_and_defaults_make_another_schema_and_spelling_does_not() {
    let registry = three_versions().await;
    let spelled =
        r#"{ "fields": [{"type": {"type": "int"}, "name": "a"}], "name": "R", "type": "record" }"#;
    registry.register("s", spelled).await.is(r#"{"id":1}"#);
    let with_doc = record(&["a"]).replace(r#""name":"R","#, r#""name":"R","doc":"d","#);
    registry.register("s", &with_doc).await.is(r#"{"id":4}"#);
}

#[tokio::test]
async fn versions_are_selected_by_number_or_as_the_latest() {
    let registry = three_versions().await;
    for selector in ["3", "latest", "-1"] {
        let found = registry.get(&format!("/subjects/s/versions/{selector}")).await.json();
        assert_eq!((&found["version"], &found["id"]), (&json!(3), &json!(3)), "{selector}");
    }
    assert_eq!(
        registry.get("/subjects/s/versions/9").await.fails(404, 40402),
        "Version 9 not found."
    );
    for selector in ["0", "-2", "abc"] {
        registry.get(&format!("/subjects/s/versions/{selector}")).await.fails(422, 42202);
    }
    let text = registry.get("/subjects/s/versions/1/schema").await;
    text.is(&record(&["a"]));
}

#[tokio::test]
async fn lookup_finds_what_is_registered_and_says_what_is_missing() {
    let registry = three_versions().await;
    let found = registry.look_up("s", &record(&["a", "b"])).await.json();
    assert_eq!((&found["version"], &found["id"]), (&json!(2), &json!(2)));
    assert_eq!(registry.look_up("s", "\"int\"").await.fails(404, 40403), "Schema not found");
    registry.look_up("nobody", "\"int\"").await.fails(404, 40401);
    registry.look_up("s", "").await.fails(404, 40403);
    registry.look_up("s", "{").await.fails(422, 42201);
}

#[tokio::test]
async fn a_soft_deleted_version_is_hidden_but_readable_by_id() {
    let registry = three_versions().await;
    registry.delete("/subjects/s/versions/latest").await.is("3");
    registry.get("/subjects/s/versions").await.is("[1,2]");
    registry.get("/subjects/s/versions?deleted=true").await.is("[1,2,3]");
    registry.get("/subjects/s/versions?deletedOnly=true").await.is("[3]");
    registry.get("/subjects/s/versions/3").await.fails(404, 40402);
    assert_eq!(registry.get("/subjects/s/versions/3?deleted=true").await.json()["id"], 3);
    registry.get("/schemas/ids/3/schema").await.is(&record(&["a", "b", "c"]));
    registry.get("/schemas/ids/3/versions").await.is("[]");
    registry.delete("/subjects/s/versions/3").await.fails(404, 40406);
    registry.look_up("s", &record(&["a", "b", "c"])).await.fails(404, 40403);
}

#[tokio::test]
async fn registering_what_was_soft_deleted_gives_its_id_and_a_new_version() {
    let registry = three_versions().await;
    registry.delete("/subjects/s/versions/1").await.is("1");
    registry.register("s", &record(&["a"])).await.is(r#"{"id":1}"#);
    registry.get("/subjects/s/versions?deleted=true").await.is("[2,3,4]");
}

#[tokio::test]
async fn permanent_deletion_needs_soft_deletion_first() {
    let registry = three_versions().await;
    registry.delete("/subjects/s/versions/2?permanent=true").await.fails(404, 40407);
    registry.delete("/subjects/s?permanent=true").await.fails(404, 40405);
    registry.delete("/subjects/s/versions/2").await.is("2");
    registry.delete("/subjects/s/versions/2?permanent=true").await.is("2");
    registry.delete("/subjects/s/versions/2?permanent=true").await.fails(404, 40402);
    registry.get("/schemas/ids/2").await.fails(404, 40403);
    registry.delete("/subjects/s").await.is("[1,3]");
    registry.delete("/subjects/s").await.fails(404, 40404);
    registry.get("/subjects").await.is("[]");
    registry.get("/subjects?deleted=true").await.is(r#"["s"]"#);
    registry.get("/subjects/s/versions/latest").await.fails(404, 40401);
    registry.delete("/subjects/s?permanent=true").await.is("[1,3]");
    registry.delete("/subjects/s").await.fails(404, 40401);
    registry.get("/subjects?deleted=true").await.is("[]");
}

#[tokio::test]
async fn an_id_is_never_given_to_other_content() {
    let registry = three_versions().await;
    registry.delete("/subjects/s").await.is("[1,2,3]");
    registry.delete("/subjects/s?permanent=true").await.is("[1,2,3]");
    registry.register("s", "\"int\"").await.is(r#"{"id":4}"#);
    registry.get("/subjects/s/versions").await.is("[1]");
    // Data written under the old id decodes again.
    registry.register("s", &record(&["a"])).await.is(r#"{"id":1}"#);
}

#[tokio::test]
async fn lists_are_cut_by_prefix_offset_and_limit() {
    let registry = three_versions().await;
    for subject in ["orders-key", "orders-value"] {
        registry.register(subject, "\"int\"").await.is(r#"{"id":4}"#);
    }
    registry.get("/subjects?subjectPrefix=orders").await.is(r#"["orders-key","orders-value"]"#);
    registry.get("/subjects?subjectPrefix=:*:").await.is(r#"["orders-key","orders-value","s"]"#);
    registry.get("/subjects?offset=1&limit=1").await.is(r#"["orders-value"]"#);
    registry.get("/subjects/s/versions?offset=1&limit=-1").await.is("[2,3]");
    let listed = registry.get("/schemas?subjectPrefix=s&latestOnly=true").await.json();
    let versions: Vec<_> = listed.as_array().unwrap().iter().map(|each| &each["version"]).collect();
    assert_eq!(versions, [3]);
    assert_eq!(registry.get("/schemas").await.json().as_array().unwrap().len(), 5);
    registry.get("/schemas/types").await.is(r#"["AVRO"]"#);
}

#[tokio::test]
async fn normalising_makes_spellings_of_one_schema_the_same() {
    let registry = Registry::start();
    let spelled = json!({"schema": r#"{"type":"record","name":"R","namespace":"n","fields":[],"b":1,"a":2}"#});
    let other = json!({"schema": r#"{"type":"record","name":"n.R","fields":[],"a":2,"b":1}"#});
    registry.post("/subjects/s/versions?normalize=true", &spelled).await.is(r#"{"id":1}"#);
    registry.post("/subjects/s/versions?normalize=true", &other).await.is(r#"{"id":1}"#);
    registry.put("/config/s", &json!({"normalize": true})).await.is(r#"{"normalize":true}"#);
    registry.post("/subjects/s/versions", &other).await.is(r#"{"id":1}"#);
    registry.get("/subjects/s/versions").await.is("[1]");
}
