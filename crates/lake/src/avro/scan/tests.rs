use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Reader, Schema};
use proptest::prelude::*;

use super::*;
use crate::avro::{BlockEncoder, Codec, Header};

/// Custom attributes and spacing that a re-serialised schema would lose.
const SCHEMA: &str = r#"{ "type" : "record","name":"r","x-owner":["a", 1.50],"fields":[
  {"name":"n","type":{"type":"long","logicalType":"made-up"}}, {"name":"s","type":"string"}]}"#;

fn row(n: i64) -> Vec<u8> {
    let schema = Schema::parse_str(SCHEMA).unwrap();
    let value = Value::Record(vec![
        ("n".into(), Value::Long(n)),
        ("s".into(), Value::String("abc".repeat(usize::try_from(n).unwrap() % 40))),
    ]);
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// A file and, for each block, where it ends and the rows up to there.
fn file(codec: Codec, blocks: &[i64]) -> (Vec<u8>, Vec<(usize, u64)>) {
    let sync = SyncMarker::of_file("t.0.7.avro");
    let mut bytes = Vec::new();
    let metadata = [("dohle.topic", "t".to_owned())];
    Header { schema: SCHEMA, codec, metadata: &metadata, sync }.encode(&mut bytes);
    let mut encoder = BlockEncoder::new(codec);
    let (mut next, mut ends) = (0, vec![(bytes.len(), 0)]);
    for rows in blocks {
        let datums: Vec<u8> = (next..next + rows).flat_map(row).collect();
        next += rows;
        encoder.encode(rows.unsigned_abs(), &datums, sync, &mut bytes);
        ends.push((bytes.len(), next.unsigned_abs()));
    }
    (bytes, ends)
}

fn scan(bytes: &[u8], piece: usize) -> Result<u64, InvalidContainer> {
    let mut scan = ContainerScan::new();
    for piece in bytes.chunks(piece) {
        scan.feed(piece)?;
    }
    scan.finish()
}

#[test]
fn the_reference_reader_reads_every_row_and_finds_the_schema_byte_for_byte() {
    let (bytes, _) = file(Codec::Null, &[3, 1, 500]);
    let rows: Vec<Value> = Reader::new(bytes.as_slice()).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 504);
    let (deflated, _) = file(Codec::Deflate, &[3, 1, 500]);
    let again: Vec<Value> = Reader::new(deflated.as_slice()).unwrap().map(Result::unwrap).collect();
    assert_eq!(again, rows);
    assert!(deflated.len() < bytes.len());
    let text = SCHEMA.as_bytes();
    assert!(bytes.windows(text.len()).any(|window| window == text));
}

#[test]
fn a_cut_at_a_block_boundary_is_a_valid_file_of_fewer_rows_and_any_other_cut_is_not() {
    let (bytes, ends) = file(Codec::Deflate, &[3, 1, 50]);
    for length in 0..bytes.len() {
        let at_boundary = ends.iter().find(|(end, _)| *end == length);
        match (scan(&bytes[..length], 7), at_boundary) {
            (Ok(rows), Some((_, expected))) => assert_eq!(rows, *expected),
            (Err(InvalidContainer::CutOff { .. }), None) => {}
            (result, _) => panic!("cut at {length}: {result:?}"),
        }
    }
}

#[test]
fn a_foreign_file_and_a_damaged_marker_are_noticed() {
    assert_eq!(scan(b"PAR1 something", 100), Err(InvalidContainer::Header));
    let (mut bytes, _) = file(Codec::Null, &[2]);
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(scan(&bytes, 100), Err(InvalidContainer::Marker { rows: 2 }));
}

proptest! {
    #[test]
    fn rows_are_counted_whatever_the_pieces(
        blocks in prop::collection::vec(1_i64..30, 0..6),
        piece in 1_usize..200,
        codec in prop::sample::select(vec![Codec::Null, Codec::Deflate, Codec::Snappy]),
    ) {
        let (bytes, _) = file(codec, &blocks);
        prop_assert_eq!(scan(&bytes, piece), Ok(blocks.iter().sum::<i64>().unsigned_abs()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let prefixed = [MAGIC.as_slice(), &bytes].concat();
        prop_assert!(scan(&prefixed, 9).is_err() || !bytes.is_empty());
    }
}
