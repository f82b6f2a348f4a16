use super::*;

#[track_caller]
fn canonical(text: &str, expected: &str) {
    assert_eq!(Schema::parse(text).unwrap().canonical(), expected);
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(Schema::parse(text).unwrap_err().to_string(), expected);
}

#[test]
fn spelling_does_not_make_a_schema_another_one() {
    let expected =
        r#"{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"f","type":"string"}]}"#;
    canonical(expected, expected);
    canonical(
        r#" {"fields": [{"type": {"type": "string"}, "name": "f"}], "name": "a.b.R", "type": "record"} "#,
        expected,
    );
}

#[test]
fn everything_that_java_compares_is_kept() {
    for text in [
        r#"{"type":"record","name":"R","doc":"d","fields":[{"name":"f","type":"int","doc":"d","order":"ignore","aliases":["g"],"x":[1,null]}],"y":{"b":1,"a":2},"aliases":["Q","o.P"]}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":0}"#,
        r#"{"type":"enum","name":"E","symbols":["B","A"],"default":"A","aliases":["D"]}"#,
        r#"{"type":"map","values":{"type":"int","x":2},"default":{}}"#,
    ] {
        canonical(text, text);
    }
}

#[test]
fn a_name_means_the_nearest_definition() {
    canonical(
        r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":{"type":"fixed","name":"F","namespace":"","size":1}},{"name":"b","type":"F"}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"fixed","name":"F","namespace":"","size":1}},{"name":"b","type":"F"}]}"#,
    );
    // With both defined, the null namespace's needs its dot or it would turn into the other.
    canonical(
        r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":{"type":"fixed","name":".F","size":1}},{"name":"b","type":{"type":"fixed","name":"F","size":2}},{"name":"c","type":".F"},{"name":"d","type":"F"}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"fixed","name":"F","namespace":"","size":1}},{"name":"b","type":{"type":"fixed","name":"F","size":2}},{"name":"c","type":".F"},{"name":"d","type":"F"}]}"#,
    );
    canonical(
        r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":{"type":"fixed","name":"int","size":1}},{"name":"b","type":"n.int"}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"fixed","name":"int","size":1}},{"name":"b","type":"n.int"}]}"#,
    );
}

#[test]
fn a_type_that_is_almost_avro_is_answered_with_the_right_word() {
    refused(
        r#"{"type":"record","name":"R","fields":[{"name":"age","type":["null","integer"]}]}"#,
        r#"Undefined name: "integer" in "age"; did you mean "int"?"#,
    );
    refused(
        r#"{"type":"record","name":"R","fields":[{"name":"age","type":{"type":"STRING"}}]}"#,
        r#"Type not supported: STRING in "age"; did you mean "string"?"#,
    );
    refused(r#"{"type":"array","items":"Nowhere"}"#, r#"Undefined name: "Nowhere""#);
}

#[test]
fn a_definition_where_none_is_read_does_not_count() {
    for unread in [
        r#"{"type":"enum","name":"E","symbols":[],"fields":[{"type":{"type":"fixed","name":"X","size":1}}]}"#,
        r#"{"type":"int","items":{"type":"fixed","name":"X","size":1}}"#,
        r#"{"type":"map","values":"int","x":{"type":"fixed","name":"X","size":1}}"#,
    ] {
        let text = format!(r#"["X",{unread}]"#);
        refused(&text, r#"Undefined name: "X""#);
    }
}

#[test]
fn a_default_in_quotes_is_a_number_where_the_field_is_fractional() {
    canonical(
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"double","default":"1e3"},{"name":"b","type":"float","default":"NaN"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"double","default":1000.0},{"name":"b","type":"float","default":"NaN"}]}"#,
    );
    refused(
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"1"}]}"#,
        r#"Invalid default for field a: "1" not a "int""#,
    );
    refused(
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":2147483648}]}"#,
        r#"Invalid default for field a: 2147483648 not a "int""#,
    );
}

#[test]
fn a_records_default_may_leave_out_what_has_a_default() {
    let with = |inner: &str, default: &str| {
        Schema::parse(&format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{{"type":"record","name":"I","fields":[{inner}]}},"default":{default}}}]}}"#
        ))
    };
    assert!(with(r#"{"name":"x","type":"int","default":1}"#, "{}").is_ok());
    assert!(with(r#"{"name":"x","type":"int"}"#, r#"{"x":1}"#).is_ok());
    assert!(with(r#"{"name":"x","type":"int"}"#, "{}").is_err());
    assert!(with(r#"{"name":"x","type":"int"}"#, r#"{"x":"1"}"#).is_err());
}

#[test]
fn references_lend_their_names_and_are_written_as_names() {
    let mut parser = Parser::new();
    parser.add_reference(r#"{"type":"enum","name":"o.Colour","symbols":["RED"]}"#).unwrap();
    parser
        .add_reference(
            r#"{"type":"record","name":"o.Car","fields":[{"name":"c","type":"Colour"}]}"#,
        )
        .unwrap();
    let schema = parser.parse(r#"{"type":"array","items":"o.Car"}"#).unwrap();
    assert_eq!(schema.canonical(), r#"{"type":"array","items":"o.Car"}"#);
    assert_eq!(
        schema.resolved(),
        r#"{"type":"array","items":{"type":"record","name":"Car","namespace":"o","fields":[{"name":"c","type":{"type":"enum","name":"Colour","symbols":["RED"]}}]}}"#
    );
    assert!(Schema::parse(&schema.canonical()).is_err());
}

#[test]
fn a_name_that_a_reference_defines_cannot_be_defined_again() {
    let mut parser = Parser::new();
    parser.add_reference(r#"{"type":"fixed","name":"F","size":1}"#).unwrap();
    let again = parser.parse(r#"{"type":"fixed","name":"F","size":1}"#);
    assert_eq!(again.unwrap_err().to_string(), "Can't redefine: F");
}

#[test]
fn normalised_schemas_differ_in_meaning_only() {
    let spelled = [
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"f","type":"int"}],"b":1,"a":2,"aliases":["Y","X"]}"#,
        r#"{"type":"record","name":"n.R","aliases":["n.X","Y"],"a":2,"b":1,"fields":[{"name":"f","type":"int","order":"ascending"}]}"#,
    ];
    let [first, second] = spelled.map(|text| Schema::parse(text).unwrap());
    assert_ne!(first.canonical(), second.canonical());
    assert_eq!(first.normalized(), second.normalized());
}
