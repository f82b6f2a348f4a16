use bytes::Bytes;
use record::{BatchBuilder, Compression, MAX_PAYLOAD_BYTES};
use types::{LeaderEpoch, Timestamp};

use super::*;

/// A batch of three at offsets 10 to 12.
fn batch() -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in [b"a", b"b", b"c"] {
        builder.push(Timestamp::from_millis(0), None, Some(value), &[]).unwrap();
    }
    let built = builder.build().unwrap();
    let mut bytes = built.placed_header(Offset::new(10), LeaderEpoch::ZERO).to_vec();
    bytes.extend_from_slice(&built.body());
    Batch::verify(Bytes::from(bytes)).unwrap()
}

#[track_caller]
fn check(from: u64, expected: &[u64]) {
    let records = records_from(&batch(), Offset::new(from), MAX_PAYLOAD_BYTES).unwrap();
    let offsets: Vec<_> = records.iter().map(|record| record.offset.get()).collect();
    assert_eq!(offsets, expected);
}

#[test]
fn records_before_the_offset_asked_for_are_dropped() {
    check(0, &[10, 11, 12]);
    check(10, &[10, 11, 12]);
    check(12, &[12]);
    check(13, &[]);
}
