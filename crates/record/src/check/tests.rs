//! The same verdict on the same records, wherever they come from.

use bytes::Bytes;
use proptest::prelude::*;
use types::Timestamp;

use super::*;
use crate::checksum::crc32c;
use crate::compression::Unpacker;
use crate::header::{CHECKED_FROM, patch_crc};
use crate::{Batch, BatchBuilder, Compression, HEADER_LEN, Header};

/// A codec that gives its bytes a few at a time.
struct Trickle<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Unpacker for Trickle<'_> {
    fn fill(&mut self) -> Result<&[u8], RecordError> {
        Ok(&self.rest[..self.step.min(self.rest.len())])
    }

    fn consume(&mut self, read: usize) {
        self.rest = &self.rest[read..];
    }

    fn left_over(&self) -> usize {
        0
    }
}

fn trickled(header: &BatchHeader, body: &[u8], step: usize) -> Result<Timestamp, RecordError> {
    let trickle = Box::new(Trickle { rest: body, step });
    Check::new(header).packed(Unpacked::around(trickle, Compression::Gzip, usize::MAX))
}

/// A batch of records with values of these lengths.
fn plain(values: &[usize]) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    let header = Header { key: Bytes::from_static(b"name"), value: None };
    for (at, len) in (0_i64..).zip(values) {
        let key = (at % 3 != 0).then_some(&b"key"[..]);
        let headers = if at % 2 == 0 { std::slice::from_ref(&header) } else { &[] };
        // Deltas of one to ten bytes.
        let millis = (1 << (7 * (at % 9))) - at;
        builder.push(Timestamp::from_millis(millis), key, Some(&vec![7; *len]), headers).unwrap();
    }
    builder.build().unwrap()
}

proptest! {
    #[test]
    fn records_that_come_a_few_bytes_at_a_time_are_the_same_records(
        values in prop::collection::vec(prop_oneof![9 => 0..300_usize, 1 => 0..70_000_usize], 1..12),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        count in prop::option::of(0..14_u32),
        step in 1..40_usize,
    ) {
        let batch = plain(&values);
        let mut header = batch.header().clone();
        header.record_count = count.unwrap_or(header.record_count);
        let mut body = batch.body().to_vec();
        for (at, byte) in edits {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let at_once = verdict(check(&header, &body));
        prop_assert_eq!(verdict(trickled(&header, &body, step)), at_once);

        // And packed by any codec.
        for codec in Compression::ALL {
            header.compression = *codec;
            let packed = codec.pack(body.clone(), 0).unwrap();
            prop_assert_eq!(verdict(check(&header, &packed)), at_once, "{}", codec);
        }
    }

    #[test]
    fn what_is_taken_can_be_read_and_what_is_refused_breaks_a_rule_of_reading_too(
        values in prop::collection::vec(0..70_usize, 1..12),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let batch = plain(&values);
        let mut bytes = batch.bytes().to_vec();
        for (at, byte) in edits {
            let at = HEADER_LEN + at.index(bytes.len() - HEADER_LEN);
            bytes[at] = byte;
        }
        let crc = crc32c(&bytes[CHECKED_FROM..]);
        patch_crc(&mut bytes, crc);
        let tampered = Batch::verify(Bytes::from(bytes)).unwrap();
        let read: Result<Vec<_>, _> = tampered.records().unwrap().collect();
        match (check(tampered.header(), &tampered.body()), read) {
            (Ok(max_timestamp), Ok(records)) => {
                let timestamps = records.iter().map(|record| record.timestamp);
                prop_assert_eq!(timestamps.max(), Some(max_timestamp));
                prop_assert_eq!(records.len(), values.len());
            }
            // A reader notices a gap between offsets where one more does not fit in.
            (Err(refused), Err(unreadable)) => {
                prop_assert!(place(refused) <= place(unreadable));
            }
            (checked, read) => prop_assert!(false, "{:?} but {:?}", checked, read),
        }
    }
}

/// The largest timestamp, or which record is refused. Of several rules that one record breaks,
/// which is named depends on what is read first.
fn verdict(checked: Result<Timestamp, RecordError>) -> Result<Timestamp, u32> {
    checked.map_err(place)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a test that fails may stop")]
fn place(error: RecordError) -> u32 {
    match error {
        RecordError::InvalidRecord { index, .. } => index,
        other => panic!("{other}"),
    }
}
