//! One broken rule each, and the error that names it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may stop"
)]

use bytes::Bytes;
use record::{
    Batch, BatchBuilder, BatchChecksum, BatchHeader, Batches, Compression, HEADER_LEN,
    MAX_PAYLOAD_BYTES, RecordError,
};
use types::{Coded, Offset, Reason, Timestamp};

fn batch(records: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..records {
        builder.push(Timestamp::from_millis(5), None, Some(b"value"), &[]).unwrap();
    }
    builder.build().unwrap().bytes().to_vec()
}

/// A batch of two with `bytes` at `at`, and the checksum it should then have.
fn tampered(at: usize, bytes: &[u8]) -> Bytes {
    let mut batch = batch(2);
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let checked = Batch::verify(Bytes::from(batch.clone()));
    if let Err(RecordError::Checksum { computed, .. }) = checked {
        batch[17..21].copy_from_slice(&computed.to_be_bytes());
    }
    Bytes::from(batch)
}

#[track_caller]
fn header_refused(at: usize, bytes: &[u8], expected: &'static str) {
    match Batch::verify(tampered(at, bytes)) {
        Err(RecordError::InvalidHeader { field, .. }) => assert_eq!(field, expected),
        other => panic!("{expected}: {other:?}"),
    }
}

/// Refused from a producer by the name of the record, and where it is read from a log.
#[track_caller]
fn record_refused(at: usize, bytes: &[u8], expected: &'static str) {
    let refused = Batch::split(tampered(at, bytes), usize::MAX).unwrap_err();
    let named = RecordError::InvalidRecord { index: 0, problem: expected };
    assert_eq!(refused, named);
    let records = Batch::verify(tampered(at, bytes)).unwrap().records().unwrap();
    assert_eq!(records.last(), Some(Err(named)));
}

#[test]
fn header_fields_that_cannot_be_are_named() {
    let minus_one = &(-1_i32).to_be_bytes();
    header_refused(0, &(-1_i64).to_be_bytes(), "baseOffset");
    header_refused(0, &i64::MAX.to_be_bytes(), "baseOffset");
    header_refused(8, &48_i32.to_be_bytes(), "batchLength");
    header_refused(8, minus_one, "batchLength");
    header_refused(12, &(-2_i32).to_be_bytes(), "partitionLeaderEpoch");
    header_refused(23, minus_one, "lastOffsetDelta");
    header_refused(43, &(-2_i64).to_be_bytes(), "producerId");
    header_refused(43, &[0; 8], "producerEpoch");
    header_refused(57, &3_i32.to_be_bytes(), "recordsCount");
    header_refused(57, minus_one, "recordsCount");
}

#[test]
fn malformed_records_are_named() {
    // The first record: length 11, attributes, deltas 0 and 0, key -1, value of 5, no headers.
    let first = HEADER_LEN;
    record_refused(first, &[1], "its length is negative");
    record_refused(first, &[120], "it is cut off");
    record_refused(first + 4, &[60], "its key does not fit in it");
    record_refused(first + 5, &[60], "its value does not fit in it");
    record_refused(first + 5, b"\x08valu\0", "it is longer than its fields");
    record_refused(first + 11, &[1], "its header count is negative or missing");
    record_refused(first + 11, &[2], "the name of a header is absent or does not fit in it");
    // From the base timestamp to the first record's delta, which turns 1.
    let mut last = tampered(27, &i64::MAX.to_be_bytes())[27..=first + 2].to_vec();
    last.splice(first + 2 - 27.., [2]);
    record_refused(27, &last, "its timestamp overflows");
}

#[test]
fn offset_deltas_count_from_0_without_a_gap() {
    let problem = "its offset delta is not its place in the batch";
    let refused = |bytes| Batch::split(bytes, usize::MAX);
    let second = HEADER_LEN + 12;
    for (record, index) in [(HEADER_LEN, 0), (second, 1)] {
        let wrong = RecordError::InvalidRecord { index, problem };
        assert_eq!(refused(tampered(record + 3, &[4])), Err(wrong.clone()));
        assert_eq!(refused(tampered(record + 3, &[1])), Err(wrong));
    }
}

#[test]
fn as_many_records_as_the_header_counts_are_there_and_no_more() {
    // The last offset delta, and far behind it the count.
    let counted = |count: u8| {
        let mut bytes = tampered(23, &[0, 0, 0, count - 1])[23..].to_vec();
        bytes[57 - 23 + 3] = count;
        Batch::split(tampered(23, &bytes), usize::MAX)
    };
    let surplus = "the header counts fewer records than there are bytes of";
    assert_eq!(counted(1), Err(RecordError::InvalidRecord { index: 1, problem: surplus }));
    let missing = RecordError::InvalidRecord { index: 2, problem: "it is cut off" };
    assert_eq!(counted(3), Err(missing));
    assert_eq!(counted(2).map(|batches| batches.len()), Ok(1));
}

#[test]
fn a_producer_does_not_stamp_records_with_the_time_of_their_append() {
    let refused = Batch::split(tampered(22, &[8]), usize::MAX).unwrap_err();
    let named = matches!(refused, RecordError::InvalidHeader { field: "timestampType", .. });
    assert!(named, "{refused:?}");
    assert!(Batch::verify(tampered(22, &[8])).is_ok());
}

#[test]
fn a_bomb_is_refused_before_it_takes_memory() {
    // Records that unpack to a byte more than may be.
    let mut builder = BatchBuilder::new(Compression::Zstd);
    let value = vec![0; MAX_PAYLOAD_BYTES / 2];
    for _ in 0..2 {
        builder.push(Timestamp::from_millis(0), None, Some(&value), &[]).unwrap();
    }
    let bomb = builder.build().unwrap();
    assert!(bomb.bytes().len() < 64 * 1024);
    let refused = Batch::split(bomb.bytes().clone(), usize::MAX).unwrap_err();
    assert_eq!(refused.reason(), Reason::MessageTooLarge);
}

#[test]
fn what_a_producer_sends_has_no_gaps() {
    // Two records under an announced last offset of 2 are a compacted batch: fine in a log.
    let gap = tampered(23, &2_i32.to_be_bytes());
    assert!(Batch::verify(gap.clone()).is_ok());
    let refused = Batch::split(gap, usize::MAX).unwrap_err();
    assert_eq!(refused.reason(), Reason::InvalidRecord);
}

#[test]
fn one_batch_too_large_refuses_all() {
    let both = Bytes::from([batch(1), batch(9)].concat());
    let limit = batch(1).len();
    let refused = Batch::split(both, limit).unwrap_err();
    assert_eq!(refused.reason(), Reason::MessageTooLarge);
}

#[test]
fn a_codec_without_a_number_is_refused_by_naming_it() {
    for number in 5..8 {
        let refused = Batch::verify(tampered(21, &[0, number])).unwrap_err();
        assert_eq!(refused, RecordError::UnknownCompression { number: u16::from(number) });
        assert_eq!(refused.reason(), Reason::UnsupportedCompressionType);
    }
}

#[test]
fn an_older_format_is_named() {
    let refused = Batch::verify(tampered(16, &[1]));
    assert_eq!(refused, Err(RecordError::UnsupportedMagic { found: 1 }));
}

#[test]
fn a_batch_that_comes_in_pieces_is_judged_like_one_that_is_whole() {
    let mut bytes = batch(50);
    let judge = |bytes: &[u8], piece| {
        let mut checksum = BatchChecksum::new(&BatchHeader::parse(bytes).unwrap());
        bytes[BatchChecksum::FROM..].chunks(piece).for_each(|piece| checksum.update(piece));
        checksum.verify()
    };
    for piece in [1, 7, 100, bytes.len()] {
        assert_eq!(judge(&bytes, piece), Ok(()), "{piece}");
    }
    bytes[100] ^= 1;
    let whole = Batch::verify(Bytes::from(bytes.clone())).unwrap_err();
    assert_eq!(judge(&bytes, 7), Err(whole));
}

#[test]
fn two_batches_are_not_one() {
    let refused = Batch::verify(Bytes::from([batch(1), batch(2)].concat()));
    assert_eq!(refused, Err(RecordError::TrailingBytes { excess: batch(2).len() }));
}

#[test]
fn a_batch_without_records_is_not_built() {
    assert!(BatchBuilder::new(Compression::None).build().is_err());
}

#[test]
fn the_end_of_a_batch_that_is_not_whole_is_known_if_the_one_behind_it_agrees() {
    let at = |base: u64| {
        let mut bytes = batch(2);
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes
    };
    let next_end = |bytes: Vec<u8>| Batches::new(Bytes::from(bytes)).next_end();
    let mut rotten = at(10);
    *rotten.last_mut().unwrap() ^= 1;
    assert_eq!(next_end([rotten.clone(), at(12)].concat()), Some(Offset::new(12)));
    assert_eq!(next_end(rotten.clone()), None, "no witness");
    assert_eq!(next_end([rotten.clone(), at(13)].concat()), None);
    // The last delta of its offsets, now 5.
    rotten[26] ^= 4;
    assert_eq!(next_end([rotten, at(12)].concat()), None);
    assert_eq!(next_end(Vec::new()), None);
}
