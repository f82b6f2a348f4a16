use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;

use super::*;

fn at(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn datum(schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value_to_vec(value).unwrap()
}

const NESTED: &str = r#"{"type":"record","name":"outer","namespace":"a","fields":[
    {"name":"header","type":["null",{"type":"record","name":"h","fields":[
        {"name":"host","type":"string"},
        {"name":"time","type":{"type":"long","logicalType":"timestamp-micros"}}]}]},
    {"name":"time","type":"string"},
    {"name":"again","type":["null","h"]},
    {"name":"tags","type":{"type":"map","values":{"type":"array","items":"int"}}},
    {"name":"kind","type":{"type":"enum","name":"k","symbols":["X","Y"]}},
    {"name":"sum","type":{"type":"fixed","name":"f","size":3}}]}"#;

fn header(time: i64) -> Value {
    Value::Record(vec![
        ("host".into(), Value::String("h1".into())),
        ("time".into(), Value::TimestampMicros(time)),
    ])
}

fn nested() -> Vec<u8> {
    let tags = [("t".to_owned(), Value::Array(vec![Value::Int(-1), Value::Int(i32::MAX)]))];
    datum(
        NESTED,
        Value::Record(vec![
            ("header".into(), Value::Union(1, Box::new(header(77)))),
            ("time".into(), Value::String("noon".into())),
            ("again".into(), Value::Union(0, Box::new(Value::Null))),
            ("tags".into(), Value::Map(tags.into())),
            ("kind".into(), Value::Enum(1, "Y".into())),
            ("sum".into(), Value::Fixed(3, vec![1, 2, 3])),
        ]),
    )
}

#[test]
fn a_field_is_found_by_its_path_through_unions_and_named_types() {
    let shape = Shape::parse(NESTED).unwrap();
    let bytes = nested();
    let captured = |path: &str| shape.walk(&bytes, &at(path)).unwrap();
    let micros = Captured::Whole { value: 77, meaning: Meaning::Micros };
    assert_eq!(captured("header.time"), micros);
    assert_eq!(captured("time"), Captured::Text("noon"));
    assert_eq!(captured("again"), Captured::Null);
    assert_eq!(captured("again.time"), Captured::Absent);
    assert_eq!(captured("tags"), Captured::Other);
    assert_eq!(captured("kind"), Captured::Other);
    assert_eq!(captured("header"), Captured::Other);
    assert_eq!(captured("nothing"), Captured::Absent);
    assert_eq!(shape.walk(&bytes, &[]), Ok(Captured::Absent));
}

#[test]
fn every_truncation_is_noticed_and_so_is_every_extra_byte() {
    let shape = Shape::parse(NESTED).unwrap();
    let bytes = nested();
    for length in 0..bytes.len() {
        assert!(
            matches!(shape.walk(&bytes[..length], &[]), Err(InvalidDatum::Truncated { .. })),
            "cut at {length}"
        );
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(shape.walk(&longer, &[]), Err(InvalidDatum::Trailing { extra: 1 }));
}

#[test]
fn values_that_a_reader_would_refuse_are_refused() {
    let refused = |schema: &str, bytes: &[u8]| {
        matches!(Shape::parse(schema).unwrap().walk(bytes, &[]), Err(InvalidDatum::Illegal { .. }))
    };
    assert!(refused(r#""boolean""#, &[2]));
    assert!(refused(r#""int""#, &[0x80, 0x80, 0x80, 0x80, 0x20]));
    assert!(refused(r#""long""#, &[0xff; 11]));
    assert!(refused(r#""string""#, &[2, 0xff]));
    assert!(refused(r#""bytes""#, &[1]));
    assert!(refused(r#"["null","int"]"#, &[4]));
    assert!(refused(r#"{"type":"enum","name":"e","symbols":["A"]}"#, &[2]));
}

#[test]
fn a_few_bytes_cannot_claim_a_billion_items() {
    let nulls = Shape::parse(r#"{"type":"array","items":"null"}"#).unwrap();
    let mut bytes = Vec::new();
    crate::avro::put_long(&mut bytes, i64::MAX);
    assert_eq!(nulls.walk(&bytes, &[]), Err(InvalidDatum::TooLarge));
    assert!(nulls.walk(&[6, 0], &[]).is_ok());
}

#[test]
fn nesting_beyond_any_reader_is_refused_rather_than_followed() {
    let schema = r#"{"type":"record","name":"list","fields":[
        {"name":"next","type":["null","list"]}]}"#;
    let shape = Shape::parse(schema).unwrap();
    let mut shallow = vec![2; 20];
    shallow.push(0);
    assert!(shape.walk(&shallow, &[]).is_ok());
    assert_eq!(shape.walk(&vec![2; 100_000], &[]), Err(InvalidDatum::TooDeep));
}

#[test]
fn blocks_with_a_byte_size_are_read_too() {
    let shape = Shape::parse(r#"{"type":"array","items":"int"}"#).unwrap();
    // Count -2, size 2, two items, end.
    assert!(shape.walk(&[3, 4, 2, 4, 0], &[]).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_what_passes_is_what_the_reference_reads(
        bytes in prop::collection::vec(any::<u8>(), 0..40)
    ) {
        let schema = Schema::parse_str(NESTED).unwrap();
        let walked = Shape::parse(NESTED).unwrap().walk(&bytes, &at("header.time"));
        let mut rest = bytes.as_slice();
        let read = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut rest);
        if walked.is_ok() {
            prop_assert!(read.is_ok() && rest.is_empty());
        }
    }

    #[test]
    fn longs_read_back(value in any::<i64>(), tail in prop::collection::vec(any::<u8>(), 0..3)) {
        let mut bytes = Vec::new();
        crate::avro::put_long(&mut bytes, value);
        bytes.extend_from_slice(&tail);
        prop_assert_eq!(take_long(&bytes), Some((value, tail.as_slice())));
    }
}

/// Records that each hold the one before it twice: 2^36 values, and not one byte.
fn doubling() -> String {
    let mut schema = r#"{"type":"record","name":"r0","fields":[]}"#.to_owned();
    for level in 1..=36 {
        schema = format!(
            r#"{{"type":"record","name":"r{level}","fields":[{{"name":"a","type":{schema}}},{{"name":"b","type":"r{}"}}]}}"#,
            level - 1
        );
    }
    schema
}

#[test]
fn a_schema_that_makes_much_of_no_bytes_is_refused_in_time() {
    let shape = Shape::parse(&doubling()).unwrap();
    assert_eq!(shape.walk(&[], &[]), Err(InvalidDatum::TooLarge));
}

#[test]
fn many_small_blocks_may_claim_no_more_nulls_than_one_large_one() {
    let shape = Shape::parse(r#"{"type":"array","items":"null"}"#).unwrap();
    let mut bytes = Vec::new();
    for _ in 0..100_000 {
        crate::avro::put_long(&mut bytes, 1 << 20);
    }
    bytes.push(0);
    assert_eq!(shape.walk(&bytes, &[]), Err(InvalidDatum::TooLarge));
}
