use serde_json::json;

use super::*;

fn text(separator: Option<&str>) -> LineFormat {
    LineFormat::Text { key_separator: separator.map(str::to_owned), empty: EmptyValue::Empty }
}

fn read(format: &LineFormat, line: &'static str) -> Input {
    format.read(&Bytes::from_static(line.as_bytes())).unwrap()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn a_blank_line_is_an_empty_record() {
    let input = read(&text(None), "");
    assert_eq!(input.value, InputValue::Text(Bytes::new()));
    assert_eq!(input.key, None);
}

#[test]
fn a_blank_line_is_a_tombstone_where_that_was_asked_for() {
    let format = LineFormat::Text { key_separator: Some(":".into()), empty: EmptyValue::Tombstone };
    let input = read(&format, "customer-7:");
    assert_eq!((input.key, input.value), (Some(bytes("customer-7")), InputValue::Null));
}

#[test]
fn the_first_separator_ends_the_key() {
    let input = read(&text(Some(":")), "k:v:w");
    assert_eq!((input.key, input.value), (Some(bytes("k")), InputValue::Text(bytes("v:w"))));
    let input = read(&text(Some("=>")), "=>v");
    assert_eq!((input.key, input.value), (Some(bytes("")), InputValue::Text(bytes("v"))));
}

#[test]
fn a_line_without_its_separator_is_refused_and_not_sent_without_a_key() {
    let error = text(Some("\t")).read(&bytes("no tab")).unwrap_err();
    assert!(matches!(error, LineError::NoKey { .. }), "{error}");
}

#[test]
fn a_json_line_is_what_consume_prints() {
    let input = read(
        &LineFormat::Json,
        r#"{"topic":"t","partition":2,"offset":9,"timestamp":5,"key":"k","value":{"a":1},
            "value_schema_id":3,"headers":[{"key":"h","value":"v"},{"key":"n","value":null}]}"#,
    );
    assert_eq!(input.key, Some(bytes("k")));
    assert_eq!(input.value, InputValue::Json(json!({"a": 1})));
    assert_eq!(input.partition, Some(PartitionId::new(2)));
    assert_eq!(input.timestamp, Some(Timestamp::from_millis(5)));
    assert_eq!(input.headers.len(), 2);
    assert_eq!(input.headers[1].value, None);
}

#[test]
fn bytes_survive_the_way_through_json() {
    let input = read(&LineFormat::Json, r#"{"value_base64":"/wA="}"#);
    assert_eq!(input.value, InputValue::Text(Bytes::from_static(&[0xff, 0])));
    let error = LineFormat::Json.read(&bytes(r#"{"value_base64":"!"}"#)).unwrap_err();
    assert!(matches!(error, LineError::Base64 { member: "value_base64", .. }), "{error}");
}

#[test]
fn a_header_has_a_name_which_may_be_any_bytes() {
    let line =
        r#"{"headers":[{"key_base64":"/wA=","value":"v"},{"key":"","value_base64":"/wA="}]}"#;
    let headers = read(&LineFormat::Json, line).headers;
    let binary = Bytes::from_static(&[0xff, 0]);
    assert_eq!(headers[0], Header { key: binary.clone(), value: Some(bytes("v")) });
    assert_eq!(headers[1], Header { key: Bytes::new(), value: Some(binary) });
    let error = LineFormat::Json.read(&bytes(r#"{"headers":[{"value":"v"}]}"#)).unwrap_err();
    assert!(matches!(error, LineError::NoHeaderKey), "{error}");
}

#[test]
fn a_json_line_without_a_value_is_a_tombstone() {
    assert_eq!(read(&LineFormat::Json, r#"{"key":"k"}"#).value, InputValue::Null);
    assert_eq!(read(&LineFormat::Json, r#"{"key":"k","value":null}"#).value, InputValue::Null);
}

#[test]
fn json_that_no_schema_encodes_is_sent_as_its_text() {
    assert_eq!(InputValue::Json(json!("plain")).into_bytes(), Some(bytes("plain")));
    assert_eq!(InputValue::Json(json!({"a": 1})).into_bytes(), Some(bytes(r#"{"a":1}"#)));
    assert_eq!(InputValue::Null.into_bytes(), None);
}

#[test]
fn what_is_no_json_object_is_refused() {
    for line in ["", "[1]", "{", "{\"headers\":1}"] {
        let error = LineFormat::Json.read(&bytes(line)).unwrap_err();
        assert!(matches!(error, LineError::Json(_)), "{line:?}: {error}");
    }
}
