//! What a log stores of its producers: bytes as a file might hold them, with the right checksum and
//! without, and then batches as clients might send them.

#![no_main]

use commit_log::{ProducerLimits, ProducerSnapshot, ProducerStates, SnapshotPoint, Verdict};
use fuzz::sealing::{Kind, seal};
use fuzz::tape::Tape;
use fuzz::within;
use libfuzzer_sys::fuzz_target;
use record::{BatchHeader, HEADER_LEN};
use types::{LogId, Offset, Sequence, Timestamp};

const MEMORY: usize = 4 << 20;
const LIMITS: ProducerLimits = ProducerLimits { expiration_ms: 1000, max_producers: 3 };

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || {
        let mut tape = Tape::new(bytes);
        let len = usize::from(tape.short() % 1024);
        let mut stored = tape.bytes(len).to_vec();
        ProducerSnapshot::decode(&stored);
        seal(Kind::Producers, &mut stored);
        let states = match ProducerSnapshot::decode(&stored) {
            Some(snapshot) => restored(snapshot),
            None => ProducerStates::new(LIMITS),
        };
        written(states, &mut tape);
    });
});

/// Puts states together from a snapshot; what they store reads back as the same.
fn restored(snapshot: ProducerSnapshot) -> ProducerStates {
    let point = snapshot.point;
    let states =
        ProducerStates::restore(LIMITS, snapshot.clone(), Timestamp::from_millis(i64::MAX));
    assert_eq!(ProducerSnapshot::decode(&states.snapshot(point)), Some(snapshot));
    states
}

/// Judges and notes batches: what was written is not new when it comes again.
fn written(mut states: ProducerStates, tape: &mut Tape<'_>) {
    let mut end = Offset::new(1 << 40);
    let mut now = Timestamp::from_millis(0);
    while !tape.is_over() {
        let how = tape.byte();
        now = Timestamp::from_millis(now.as_millis().saturating_add(i64::from(tape.short())));
        let Some(header) = header(tape) else { continue };
        if how & 1 == 0 {
            states.apply(&header, now);
        } else if let Ok(Verdict::New(note)) = states.check([&header], end, now) {
            let records = u64::from(header.last_offset_delta) + 1;
            let Some(behind) = end.checked_add(records) else { return };
            let before = stored(&states);
            let undo = states.settle(note);
            if header.producer.is_some() && !header.is_control {
                let again = states.check([&header], behind, now);
                let expected = Verdict::Duplicate { base_offset: end, end: behind };
                assert_eq!(again, Ok(expected));
            }
            if how & 2 == 0 {
                end = behind;
            } else {
                states.take_back(undo);
                assert_eq!(stored(&states), before);
            }
        }
        if how & 4 != 0 {
            states.expire(now);
        }
        assert!(ProducerSnapshot::decode(&stored(&states)).is_some());
    }
}

fn stored(states: &ProducerStates) -> Vec<u8> {
    let log = LogId::from_bytes([0; 16]);
    states.snapshot(SnapshotPoint { log, end: Offset::MAX, last_epoch: None })
}

/// A header whose fields that matter here are few and small, so that they meet again.
fn header(tape: &mut Tape<'_>) -> Option<BatchHeader> {
    let mut bytes = [0; HEADER_LEN];
    bytes[11] = 49;
    bytes[16] = 2;
    let [base, flags, records, producer, epoch] = [(); 5].map(|()| tape.byte());
    bytes[6] = base;
    bytes[22] = flags & 0x30;
    bytes[26] = records % 8;
    bytes[60] = records % 8 + 1;
    bytes[50] = producer % 8;
    bytes[52] = epoch % 4;
    let number = tape.byte();
    // Half of them lie just before the numbers begin again.
    let first = match number.checked_sub(128) {
        Some(before_last) => Sequence::MAX.get() - u32::from(before_last),
        None => u32::from(number),
    };
    bytes[53..57].copy_from_slice(&first.to_be_bytes());
    BatchHeader::parse(&bytes).ok()
}
