//! One broken rule each, and the error that names it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may stop"
)]

use bytes::Bytes;
use record::{Batch, BatchBuilder, Compression, HEADER_LEN, RecordError};
use types::{Coded, Reason, Timestamp};

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

#[track_caller]
fn record_refused(at: usize, bytes: &[u8], expected: &'static str) {
    let records = Batch::verify(tampered(at, bytes)).unwrap().records().unwrap();
    match records.last() {
        Some(Err(RecordError::InvalidRecord { problem, .. })) => assert_eq!(problem, expected),
        other => panic!("{expected}: {other:?}"),
    }
}

#[test]
fn header_fields_that_cannot_be_are_named() {
    let minus_one = &(-1_i32).to_be_bytes();
    header_refused(0, &(-1_i64).to_be_bytes(), "baseOffset");
    header_refused(0, &i64::MAX.to_be_bytes(), "baseOffset");
    header_refused(8, &48_i32.to_be_bytes(), "batchLength");
    header_refused(8, minus_one, "batchLength");
    header_refused(12, &(-2_i32).to_be_bytes(), "partitionLeaderEpoch");
    header_refused(21, &[0, 5], "attributes");
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
    record_refused(first + 3, &[4], "its offset is out of order or beyond the batch");
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
fn a_count_below_the_records_there_is_noticed() {
    let problem = "the header counts fewer records than there are bytes of";
    record_refused(57, &1_i32.to_be_bytes(), problem);
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
fn a_codec_not_read_yet_is_refused_from_a_producer_and_kept_in_a_log() {
    let zstd = tampered(21, &[0, 4]);
    let refused = RecordError::UnsupportedCompression { codec: Compression::Zstd };
    assert_eq!(Batch::split(zstd.clone(), usize::MAX), Err(refused.clone()));
    assert_eq!(Batch::verify(zstd).unwrap().records().err(), Some(refused));
}

#[test]
fn an_older_format_is_named() {
    let refused = Batch::verify(tampered(16, &[1]));
    assert_eq!(refused, Err(RecordError::UnsupportedMagic { found: 1 }));
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
