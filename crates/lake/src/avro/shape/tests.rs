use super::*;
use crate::avro::Captured;

#[track_caller]
fn reads(schema: &str, datum: &[u8]) {
    let walked = Shape::parse(schema).unwrap().walk(datum, &[]);
    assert_eq!(walked, Ok(Captured::Absent), "{schema}");
}

#[test]
fn what_registries_differ_on_is_read_all_the_same() {
    // Names that are not ASCII.
    reads(r#"{"type":"record","name":"R","fields":[{"name":"usuário","type":"int"}]}"#, &[2]);
    // A reference to what is defined further on.
    reads(
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"Fwd"},
            {"name":"b","type":{"type":"fixed","name":"Fwd","size":3}}]}"#,
        &[1, 2, 3, 4, 5, 6],
    );
    // A record by its name in protocols, and a type in a type.
    reads(r#"{"type":"error","name":"E","fields":[]}"#, &[]);
    reads(r#"{"type":{"type":"string"}}"#, &[2, b'x']);
}

#[test]
fn names_are_found_in_their_namespace_and_outside_any() {
    reads(
        r#"{"type":"record","name":"a.b.R","fields":[
            {"name":"one","type":{"type":"enum","name":"E","symbols":["X"]}},
            {"name":"two","type":"E"},{"name":"three","type":"a.b.E"},
            {"name":"four","type":["null",{"type":"record","name":"S","namespace":"c","fields":[
                {"name":"five","type":"a.b.E"},{"name":"six","type":["null","S"]}]}]}]}"#,
        &[0, 0, 0, 2, 0, 0],
    );
}

#[test]
fn a_text_that_does_not_tell_the_form_says_what_is_missing() {
    let why = |text: &str| Shape::parse(text).unwrap_err().to_string();
    assert!(why("no json").starts_with("the schema's text is not JSON"));
    assert_eq!(
        why(r#"{"type":"record","name":"person","fields":[{"name":"age","type":"integer"}]}"#),
        "the schema refers to integer, which is no Avro type and which it does not define"
    );
    assert_eq!(
        why(r#"{"type":"record","name":"person"}"#),
        "the schema holds nothing, where a list of fields must be"
    );
    assert_eq!(
        why(r#"{"type":"fixed","name":"f","size":-1}"#),
        "the schema holds -1, where the size of a fixed must be"
    );
    assert!(why("[1]").contains("a name, an object or a list"));
}
