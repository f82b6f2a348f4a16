use serde_json::json;

use super::*;

fn record() -> Shown {
    Shown {
        topic: TopicName::new("orders").unwrap(),
        partition: PartitionId::new(2),
        offset: Offset::new(41),
        timestamp: Timestamp::from_millis(1_700_000_000_000),
        key: Payload::Bytes(Bytes::from_static(b"k")),
        value: Payload::Bytes(Bytes::from_static(b"hello")),
        headers: vec![
            Header { key: "a".into(), value: Some(Bytes::from_static(b"1")) },
            Header { key: "b".into(), value: None },
        ],
    }
}

#[track_caller]
fn check(format: &str, record: &Shown, expected: &str) {
    let mut out = Vec::new();
    Format::parse(format).unwrap().render(record, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_template_names_every_part_of_a_record() {
    check(r"%t/%p@%o %T\n", &record(), "orders/2@41 1700000000000\n");
    check(r"%k(%K)=%v(%V)\t%h", &record(), "k(1)=hello(5)\ta=1,b=");
}

#[test]
fn a_percent_sign_and_a_backslash_can_mean_themselves() {
    check(r"100%% \\ %p", &record(), r"100% \ 2");
}

#[test]
fn text_that_is_not_ascii_is_kept() {
    check("→%p←", &record(), "→2←");
}

#[test]
fn what_is_no_template_is_refused_and_named() {
    let refused = |text| Format::parse(text).unwrap_err();
    assert_eq!(refused("%x"), TemplateError::Placeholder { found: 'x' });
    assert_eq!(refused(r"\q"), TemplateError::Escape { found: 'q' });
    assert_eq!(refused("100%"), TemplateError::Unfinished { last: '%' });
    assert_eq!(refused(r"a\"), TemplateError::Unfinished { last: '\\' });
}

#[test]
fn an_absent_part_is_empty_in_a_template_and_null_in_json() {
    let record = Shown { key: Payload::Null, value: Payload::Null, headers: vec![], ..record() };
    check("%k|%v|%V|%h", &record, "||0|");
    check(
        "json",
        &record,
        "{\"topic\":\"orders\",\"partition\":2,\"offset\":41,\"timestamp\":1700000000000,\
         \"key\":null,\"value\":null,\"headers\":[]}\n",
    );
}

#[test]
fn bytes_that_are_no_text_are_base64_in_json_and_raw_in_a_template() {
    let record = Shown { value: Payload::Bytes(Bytes::from_static(&[0xff, 0])), ..record() };
    let json = record.to_json();
    assert_eq!(json.get("value"), None);
    assert_eq!(json["value_base64"], "/wA=");
    let mut out = Vec::new();
    Format::parse("%v").unwrap().render(&record, &mut out);
    assert_eq!(out, [0xff, 0]);
}

#[test]
fn a_headers_name_and_value_that_are_no_text_are_base64_in_json() {
    let binary = Bytes::from_static(&[0xff, 0]);
    let header = Header { key: binary.clone(), value: Some(binary) };
    let record = Shown { headers: vec![header], ..record() };
    assert_eq!(
        record.to_json()["headers"],
        json!([{"key_base64": "/wA=", "value_base64": "/wA="}])
    );
}

#[test]
fn a_decoded_value_is_json_and_not_text_of_json() {
    let value = Payload::Avro { schema_id: SchemaId::new(7), json: json!({"name": "Quenaz"}) };
    let record = Shown { value, ..record() };
    assert_eq!(record.to_json()["value"]["name"], "Quenaz");
    assert_eq!(record.to_json()["value_schema_id"], 7);
    check("%v", &record, "{\"name\":\"Quenaz\"}");
}
