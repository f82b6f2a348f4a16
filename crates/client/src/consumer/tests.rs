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

#[test]
fn room_is_made_for_what_is_wanted_and_no_more() {
    let capacity = |from| {
        let records = records_from(&batch(), Offset::new(from), MAX_PAYLOAD_BYTES).unwrap();
        records.capacity()
    };
    assert_eq!((capacity(10), capacity(12)), (3, 1));
}

#[test]
fn a_batch_is_not_believed_how_many_records_it_holds() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    let zeros = vec![0; 64 << 20];
    builder.push(Timestamp::from_millis(0), None, Some(&zeros), &[]).unwrap();
    let built = builder.build().unwrap();
    let mut bytes = built.bytes().to_vec();
    for at in [23..27, 57..61] {
        bytes.get_mut(at).unwrap().copy_from_slice(&i32::MAX.to_be_bytes());
    }
    if let Err(RecordError::Checksum { computed, .. }) = Batch::verify(Bytes::from(bytes.clone())) {
        bytes.get_mut(17..21).unwrap().copy_from_slice(&computed.to_be_bytes());
    }
    let batch = Batch::verify(Bytes::from(bytes)).unwrap();
    assert!(RESERVED_AT_ONCE < batch.records().unwrap().size_hint().1.unwrap());
    // Whoever believed it would ask for a gigabyte here.
    records_from(&batch, Offset::ZERO, MAX_PAYLOAD_BYTES).unwrap_err();
}
