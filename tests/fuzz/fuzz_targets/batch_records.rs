//! Records that are packed by one of the codecs and read again; then the packed bytes are changed,
//! under a checksum that is right.

#![no_main]

use bytes::Bytes;
use fuzz::batches::{ask, built, read};
use fuzz::tape::Tape;
use fuzz::{sealing, within};
use libfuzzer_sys::fuzz_target;
use record::{Batch, Compression, HEADER_LEN, Header, Record};
use types::{Offset, Timestamp};

const MEMORY: usize = 32 << 20;
const MAX_RECORDS: u64 = 64;

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || {
        let mut tape = Tape::new(bytes);
        let codec = Compression::ALL[usize::from(tape.byte()) % Compression::ALL.len()];
        let edits: Vec<(u16, u8)> =
            (0..tape.byte() % 4).map(|_| (tape.short(), tape.byte())).collect();
        let records = records(&mut tape);
        let Some(batch) = built(&records, codec) else { return };
        let taken = Batch::split(batch.bytes().clone(), batch.bytes().len());
        assert_eq!(taken, Ok(vec![batch.clone()]));
        assert_eq!(read(&batch), Ok(records));

        let mut packed = batch.bytes().to_vec();
        let len = packed.len() - HEADER_LEN;
        for (at, byte) in edits {
            packed[HEADER_LEN + usize::from(at) % len] = byte;
        }
        sealing::batches(&mut packed);
        ask(&packed.into());
    });
});

fn records(tape: &mut Tape<'_>) -> Vec<Record> {
    let owned = |field: &[u8]| Bytes::copy_from_slice(field);
    let mut records = Vec::new();
    for offset in 0..MAX_RECORDS {
        if tape.is_over() {
            break;
        }
        let how = tape.byte();
        let timestamp = if how & 1 == 0 { tape.long() } else { u64::from(tape.byte()) };
        let headers = (0..how >> 1 & 3).map(|_| Header {
            key: owned(tape.field().unwrap_or_default()),
            value: tape.field().map(owned),
        });
        let headers = headers.collect();
        // So that codecs have something to find.
        let times = 1 + usize::from(how >> 4) * 8;
        records.push(Record {
            offset: Offset::new(offset),
            timestamp: Timestamp::from_millis(timestamp.cast_signed()),
            key: tape.field().map(owned),
            value: tape.field().map(|value| value.repeat(times).into()),
            headers,
        });
    }
    records
}
