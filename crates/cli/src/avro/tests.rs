use serde_json::{Value, json};

use super::decode::Undecodable;
use super::*;

const DOWNLOAD_HUE: &str = r#"{"type":"record","name":"sdgdownloadhue",
    "namespace":"br.com.produban.openbus.model.avro","fields":[
    {"name":"appId","type":"string"},
    {"name":"category","type":{"type":"enum","name":"options_method",
        "symbols":["METRIC","SECURITY"]}},
    {"name":"watermark","type":["string","null"]},
    {"name":"ferramenta","type":["string","null"],"default":"hue"},
    {"name":"extraInfo","type":{"type":"map","values":"string"}}]}"#;
const PERSON: &str = r#"{"type":"record","name":"person","fields":[
    {"name":"name","type":"string"},{"name":"age","type":"int"}]}"#;

#[track_caller]
fn round_trip(schema: &str, written: &Value, read: &Value) {
    let shape = Shape::parse(schema).unwrap();
    let datum = shape.encode(written).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(shape.decode(&datum).unwrap(), *read);
}

#[track_caller]
fn refused(schema: &str, value: &Value) -> String {
    Shape::parse(schema).unwrap().encode(value).unwrap_err().to_string()
}

#[test]
fn the_course_s_person_is_encoded_as_avro_says() {
    let shape = Shape::parse(PERSON).unwrap();
    let datum = shape.encode(&json!({"name": "Quenaz", "age": 32})).unwrap();
    assert_eq!(datum, b"\x0cQuenaz\x40");
}

#[test]
fn apache_avro_reads_what_is_encoded_here() {
    let value = json!({"appId": "a", "category": "SECURITY", "watermark": null,
        "extraInfo": {"k": "v"}});
    let datum = Shape::parse(DOWNLOAD_HUE).unwrap().encode(&value).unwrap();
    let schema = apache_avro::Schema::parse_str(DOWNLOAD_HUE).unwrap();
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
    let read = Value::try_from(reader.read_value(&mut datum.as_slice()).unwrap()).unwrap();
    assert_eq!(read["category"], "SECURITY");
    assert_eq!(read["watermark"], Value::Null);
    assert_eq!(read["ferramenta"], "hue");
    assert_eq!(read["extraInfo"]["k"], "v");
}

#[test]
fn the_branch_of_a_union_may_be_named_or_left_out() {
    let record = |watermark: Value| {
        json!({"appId": "a", "category": "METRIC", "watermark": watermark,
            "ferramenta": null, "extraInfo": {}})
    };
    round_trip(DOWNLOAD_HUE, &record(json!("w")), &record(json!({"string": "w"})));
    round_trip(DOWNLOAD_HUE, &record(json!({"string": "w"})), &record(json!({"string": "w"})));
    round_trip(DOWNLOAD_HUE, &record(Value::Null), &record(Value::Null));
}

#[test]
fn every_type_survives_the_way_there_and_back() {
    let schema = r#"{"type":"record","name":"All","namespace":"n","fields":[
        {"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},
        {"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"y","type":"bytes"},
        {"name":"x","type":{"type":"fixed","name":"Two","size":2}},
        {"name":"a","type":{"type":"array","items":"long"}},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"u","type":["null","Two",{"type":"array","items":"All"}]}]}"#;
    let inner = json!({"b": false, "i": -1, "l": i64::MIN, "f": 0.1, "d": 1e300, "y": "\u{ff}\0",
        "x": "ab", "a": [], "t": 0, "u": null});
    let outer = json!({"b": true, "i": i32::MAX, "l": i64::MAX, "f": -2.5, "d": 0.1, "y": "",
        "x": "\u{80}c", "a": [1, -1, 64, -65], "t": 1_700_000_000_000_i64,
        "u": {"array": [inner, {"b": true, "i": 0, "l": 0, "f": 0.0, "d": 0.0, "y": "",
            "x": "zz", "a": [], "t": 0, "u": {"n.Two": "hi"}}]}});
    let shape = Shape::parse(schema).unwrap();
    let datum = shape.encode(&outer).unwrap_or_else(|error| panic!("{error}"));
    let read = shape.decode(&datum).unwrap();
    assert_eq!(shape.encode(&read).unwrap(), datum);
    assert_eq!(read["f"].as_f64(), Some(-2.5));
    assert_eq!(read["u"]["array"][0]["l"], i64::MIN);
    assert_eq!(read["u"]["array"][0]["f"].to_string(), "0.1");
    assert_eq!(read["u"]["array"][1]["u"]["n.Two"], "hi");
}

#[test]
fn an_error_names_the_field_by_its_path() {
    let text = refused(PERSON, &json!({"name": "Marcos", "age": "16"}));
    assert_eq!(text, "age: expected int, found the string \"16\"");
    assert_eq!(
        refused(PERSON, &json!({"name": "Marcos"})),
        "age: the field is missing, and has no default"
    );
    assert_eq!(
        refused(PERSON, &json!({"name": "Marcos", "age": 1, "agee": 16})),
        "agee: person has no such field; it has name, age"
    );
    assert_eq!(
        refused(PERSON, &json!({"name": "Marcos", "age": 3_000_000_000_u32})),
        "age: 3000000000 does not fit into int"
    );
    assert_eq!(refused(PERSON, &json!([])), "the value: expected person, found the array []");
}

#[test]
fn a_path_leads_through_maps_arrays_and_unions() {
    let schema = r#"{"type":"map","values":["null",{"type":"array","items":
        {"type":"enum","name":"E","symbols":["A","B"]}}]}"#;
    assert_eq!(
        refused(schema, &json!({"k": ["A", "C"]})),
        "k[1]: \"C\" is none of the symbols A, B"
    );
    let union = r#"{"type":"record","name":"R","fields":[{"name":"u","type":["int","string"]}]}"#;
    assert_eq!(
        refused(union, &json!({"u": true})),
        "u: expected int or string, found the boolean true"
    );
}

#[test]
fn a_missing_field_takes_its_default() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"next","type":["null","R"],"default":null}]}"#;
    round_trip(schema, &json!({}), &json!({"next": null}));
}

#[test]
fn damaged_datums_are_refused_at_every_cut() {
    let shape = Shape::parse(DOWNLOAD_HUE).unwrap();
    let value = json!({"appId": "a", "category": "METRIC", "watermark": "w",
        "extraInfo": {"k": "v"}});
    let mut datum = shape.encode(&value).unwrap();
    for length in 0..datum.len() {
        assert_eq!(shape.decode(&datum[..length]), Err(Undecodable::Truncated), "{length}");
    }
    datum.push(0);
    assert_eq!(shape.decode(&datum), Err(Undecodable::Trailing { extra: 1 }));
}

#[test]
fn a_few_bytes_cannot_claim_a_world_of_nulls() {
    let shape = Shape::parse(r#"{"type":"array","items":"null"}"#).unwrap();
    let claim = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(shape.decode(claim), Err(Undecodable::TooLarge));
}

#[test]
fn data_that_nests_without_end_is_refused() {
    let shape =
        Shape::parse(r#"{"type":"record","name":"R","fields":[{"name":"n","type":["null","R"]}]}"#)
            .unwrap();
    assert_eq!(shape.decode(&[2; 1000]), Err(Undecodable::TooDeep));
}

#[test]
fn numbers_that_json_has_not_are_words_both_ways() {
    for (word, number) in
        [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)]
    {
        let double = Shape::parse(r#""double""#).unwrap();
        let datum = double.encode(&json!(word)).unwrap();
        let read = f64::from_le_bytes(datum.as_slice().try_into().unwrap());
        assert_eq!(read.to_string(), number.to_string());
        assert_eq!(double.decode(&datum), Ok(json!(word)));
        let float = Shape::parse(r#""float""#).unwrap();
        let datum = float.encode(&json!(word)).unwrap();
        assert_eq!(float.decode(&datum), Ok(json!(word)));
    }
    assert!(refused(r#""double""#, &json!("nan?")).contains("expected double"));
    // A text stays one where there is a choice.
    let choice = r#"["double","string"]"#;
    round_trip(choice, &json!({"string": "NaN"}), &json!({"string": "NaN"}));
    round_trip(choice, &json!("NaN"), &json!({"string": "NaN"}));
}

#[test]
fn a_mistake_at_the_end_of_a_long_list_is_found_in_time() {
    let list = r#"{"type":"record","name":"list","fields":[
        {"name":"n","type":"int"},{"name":"next","type":["null","list"],"default":null}]}"#;
    let mut value = json!({"n": "not a number"});
    for n in 0..90 {
        value = json!({"n": n, "next": value});
    }
    let error = refused(list, &value);
    assert!(error.ends_with("next.n: expected int, found the string \"not a number\""), "{error}");
}

#[test]
fn a_datum_cannot_claim_more_values_than_its_bytes_justify() {
    let nulls = Shape::parse(r#"{"type":"array","items":"null"}"#).unwrap();
    // Blocks of 32,768 nulls, three bytes each.
    let mut datum = [0x80, 0x80, 0x04].repeat(100_000);
    datum.push(0);
    assert_eq!(nulls.decode(&datum), Err(Undecodable::TooLarge));
    let mut schema = r#"{"type":"record","name":"r0","fields":[]}"#.to_owned();
    for level in 1..=36 {
        schema = format!(
            r#"{{"type":"record","name":"r{level}","fields":[{{"name":"a","type":{schema}}},{{"name":"b","type":"r{}"}}]}}"#,
            level - 1
        );
    }
    assert_eq!(Shape::parse(&schema).unwrap().decode(&[]), Err(Undecodable::TooLarge));
}

#[test]
fn a_hostile_schema_is_read_or_refused_and_nothing_worse() {
    let record = |fields: &str| format!(r#"{{"type":"record","name":"r","fields":[{fields}]}}"#);
    let field = |of: &str| record(&format!(r#"{{"name":"f","type":{of}}}"#));
    let nested = |depth: usize| {
        let open = r#"{"type":"array","items":"#.repeat(depth);
        format!("{open}\"int\"{}", "}".repeat(depth))
    };
    let symbols: Vec<_> = (0..20_000).map(|n| format!(r#""s{n}""#)).collect();
    let branches: Vec<_> =
        (0..5_000).map(|n| format!(r#"{{"type":"fixed","name":"f{n}","size":1}}"#)).collect();
    let schemas = [
        String::new(),
        "null".to_owned(),
        "7".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"type":[]}"#.to_owned(),
        r#"{"type":"record","name":"R-1","fields":[]}"#.to_owned(),
        r#"{"type":"record","name":"","fields":[]}"#.to_owned(),
        r#"{"type":"record","name":"a..b","fields":[]}"#.to_owned(),
        r#"{"type":"record","name":"r","namespace":"a-b","fields":[]}"#.to_owned(),
        r#"{"type":"record","name":"é","fields":[]}"#.to_owned(),
        r#"{"type":"record","name":"r"}"#.to_owned(),
        r#"{"type":"record","name":"r","fields":{}}"#.to_owned(),
        record(r#"{"name":"f-1","type":"int"}"#),
        record(r#"{"name":"f","type":"int"},{"name":"f","type":"int"}"#),
        record(r#"{"name":"f","type":"int","default":"x"}"#),
        record(r#"{"name":"f","type":["null","int"],"default":3}"#),
        record(r#"{"name":"f"}"#),
        field(r#""r""#),
        field(r#"["r","r"]"#),
        field(r#"["null",["int"]]"#),
        field(r#"{"type":"enum","name":"e","symbols":[]}"#),
        field(r#"{"type":"enum","name":"e","symbols":["A-1","A-1"],"default":"X"}"#),
        field(r#"{"type":"fixed","name":"x","size":-1}"#),
        field(r#"{"type":"fixed","name":"x","size":1e400}"#),
        field(r#"{"type":"fixed","name":"x","size":18446744073709551615}"#),
        field(r#"{"type":"fixed","name":"x","size":3,"logicalType":"duration"}"#),
        field(r#"{"type":"fixed","name":"x","size":1,"logicalType":"decimal","precision":99}"#),
        field(r#"{"type":"bytes","logicalType":"decimal","precision":0,"scale":9}"#),
        field(r#"{"type":"bytes","logicalType":"decimal"}"#),
        field(r#"{"type":"bytes","logicalType":"decimal","precision":-4,"scale":-4}"#),
        field(r#"{"type":"int","logicalType":"timestamp-millis"}"#),
        field(r#"{"type":"string","logicalType":"uuid"}"#),
        field(r#"{"type":"bytes","logicalType":"big-decimal"}"#),
        field(&format!(r#"{{"type":"enum","name":"e","symbols":[{}]}}"#, symbols.join(","))),
        field(&format!("[{}]", branches.join(","))),
        nested(60),
        nested(120),
        nested(100_000),
    ];
    for schema in &schemas {
        let Ok(shape) = Shape::parse(schema) else { continue };
        for datum in [&[][..], &[0; 16], &[0x7f; 64], &[0xff; 64]] {
            drop(shape.decode(datum));
        }
        for value in [json!(null), json!({}), json!({"f": {}}), json!([[[]]]), json!("")] {
            drop(shape.encode(&value));
        }
    }
}
