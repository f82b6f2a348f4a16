mod model;

use record::HEADER_LEN;
use types::{LeaderEpoch, LogId};

use super::*;

const SPARED_MS: u64 = 15 * 60 * 1000;
const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

/// The header of a batch, as far as producers are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    producer: u64,
    epoch: u16,
    first: u32,
    records: u32,
}

/// One of producer 7 in epoch 0.
fn sent(first: u32, records: u32) -> Sent {
    Sent { producer: 7, epoch: 0, first, records }
}

impl Sent {
    fn bytes(self, base: u64) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &base.to_be_bytes());
        put(8, &49_u32.to_be_bytes());
        put(16, &[2]);
        put(23, &(self.records - 1).to_be_bytes());
        put(43, &self.producer.to_be_bytes());
        put(51, &self.epoch.to_be_bytes());
        put(53, &self.first.to_be_bytes());
        put(57, &self.records.to_be_bytes());
        bytes
    }

    fn header(self) -> BatchHeader {
        self.placed(0)
    }

    fn placed(self, base: u64) -> BatchHeader {
        BatchHeader::parse(&self.bytes(base)).unwrap()
    }
}

fn of_no_producer() -> BatchHeader {
    let mut header = sent(0, 1).header();
    header.producer = None;
    header
}

fn states() -> ProducerStates {
    ProducerStates::new(ProducerLimits::default())
}

fn check_at(
    states: &ProducerStates,
    batches: &[Sent],
    base: u64,
    now: Timestamp,
) -> Result<Verdict, ProducerRefusal> {
    let headers: Vec<BatchHeader> = batches.iter().map(|batch| batch.header()).collect();
    states.check(&headers, Offset::new(base), now)
}

/// Appends what must be new, at `base`; returns how to undo it.
#[track_caller]
fn append(states: &mut ProducerStates, batches: &[Sent], base: u64) -> Undo {
    match check_at(states, batches, base, NOW) {
        Ok(Verdict::New(note)) => states.settle(note),
        other => panic!("{batches:?} are not new: {other:?}"),
    }
}

#[track_caller]
fn duplicate(states: &ProducerStates, batches: &[Sent], base_offset: u64, end: u64) {
    let (base_offset, end) = (Offset::new(base_offset), Offset::new(end));
    let verdict = check_at(states, batches, 1000, NOW);
    assert_eq!(verdict, Ok(Verdict::Duplicate { base_offset, end }));
}

#[track_caller]
fn refused(states: &ProducerStates, batches: &[Sent], reason: Reason) {
    match check_at(states, batches, 1000, NOW) {
        Err(refusal) => assert_eq!(refusal.reason(), reason, "{refusal}"),
        Ok(verdict) => panic!("{batches:?} were not refused: {verdict:?}"),
    }
}

#[track_caller]
fn accepted(states: &ProducerStates, batches: &[Sent]) {
    let verdict = check_at(states, batches, 1000, NOW);
    assert!(matches!(verdict, Ok(Verdict::New(_))), "{verdict:?}");
}

/// Six batches of two records each, written between those of another producer.
fn six_batches() -> ProducerStates {
    let mut states = states();
    for batch in 0..6 {
        append(&mut states, &[sent(2 * batch, 2)], u64::from(batch) * 10);
        let other = Sent { producer: 8, ..sent(8 * batch, 8) };
        append(&mut states, &[other], u64::from(batch) * 10 + 2);
    }
    states
}

#[test]
fn each_of_the_last_five_runs_is_known_again_and_where_it_lies() {
    let states = six_batches();
    for batch in 1..6 {
        let at = u64::from(batch) * 10;
        duplicate(&states, &[sent(2 * batch, 2)], at, at + 2);
    }
    refused(&states, &[sent(0, 2)], Reason::OutOfOrderSequenceNumber);
    accepted(&states, &[sent(12, 1)]);
}

#[test]
fn a_batch_of_records_that_were_cut_otherwise_before_is_known_again() {
    let states = six_batches();
    duplicate(&states, &[sent(10, 1)], 50, 51);
    duplicate(&states, &[sent(11, 1)], 51, 52);
}

#[test]
fn what_nobody_interrupts_is_known_again_however_much_it_is() {
    let mut states = states();
    for batch in 0..100 {
        append(&mut states, &[sent(2 * batch, 2)], 10 + 2 * u64::from(batch));
    }
    duplicate(&states, &[sent(0, 2)], 10, 12);
    duplicate(&states, &[sent(90, 2), sent(92, 2)], 100, 104);
    refused(&states, &[sent(198, 3)], Reason::OutOfOrderSequenceNumber);
    accepted(&states, &[sent(200, 1)]);
}

#[test]
fn a_number_that_comes_again_is_that_of_a_new_record() {
    let mut states = states();
    let half = 1 << 30;
    append(&mut states, &[sent(0, 5)], 0);
    append(&mut states, &[sent(5, half)], 100);
    append(&mut states, &[sent(half + 5, half - 5)], 5_000_000_000);
    accepted(&states, &[sent(0, 5)]);
    // Nor is one that is ahead, since the one before it was refused for a moment.
    refused(&states, &[sent(5, 5)], Reason::OutOfOrderSequenceNumber);
}

#[test]
fn a_gap_is_refused_and_so_is_a_batch_that_was_written_in_part() {
    let states = six_batches();
    for other in [sent(13, 1), sent(10, 3), sent(9, 2), sent(1, 2)] {
        let refusal = check_at(&states, &[other], 1000, NOW);
        assert_eq!(refusal.map_err(|refusal| refusal.reason()), {
            Err(Reason::OutOfOrderSequenceNumber)
        });
    }
}

#[test]
fn a_refusal_says_what_is_expected() {
    let refusal = check_at(&six_batches(), &[sent(20, 1)], 1000, NOW).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "a batch of producer 7 begins at sequence 20, but 12 is next: send what comes before it \
         first, or begin a new epoch at sequence 0"
    );
}

#[test]
fn a_producer_that_is_not_known_begins_at_sequence_0() {
    refused(&states(), &[sent(3, 1)], Reason::UnknownProducerId);
    accepted(&states(), &[sent(0, 1)]);
    // Its life before may have been in any epoch.
    accepted(&states(), &[Sent { epoch: 9, ..sent(0, 1) }]);
}

#[test]
fn a_new_epoch_begins_at_sequence_0_and_fences_those_before() {
    let mut states = six_batches();
    let next = |first| Sent { epoch: 1, ..sent(first, 1) };
    refused(&states, &[next(12)], Reason::OutOfOrderSequenceNumber);
    append(&mut states, &[next(0)], 100);
    refused(&states, &[sent(12, 1)], Reason::InvalidProducerEpoch);
    // Not even a retry of the old life is answered, for its outcome may differ.
    refused(&states, &[sent(10, 2)], Reason::InvalidProducerEpoch);
    duplicate(&states, &[next(0)], 100, 101);
}

#[test]
fn sequences_start_again_behind_the_last_one() {
    let mut states = states();
    let last = Sequence::MAX.get();
    append(&mut states, &[sent(0, last - 1)], 0);
    append(&mut states, &[sent(last - 1, 1)], 10_000_000_000);
    let over = sent(last, 3);
    append(&mut states, &[over], 10_000_000_001);
    duplicate(&states, &[over], 10_000_000_001, 10_000_000_004);
    refused(&states, &[sent(3, 1)], Reason::OutOfOrderSequenceNumber);
    append(&mut states, &[sent(2, 1)], 10_000_000_004);
    duplicate(&states, &[sent(last - 1, 1)], 10_000_000_000, 10_000_000_001);
    // To come, though the first run has one of that number; and written, if long ago.
    refused(&states, &[sent(4, 1)], Reason::OutOfOrderSequenceNumber);
    duplicate(&states, &[sent(last - 2, 1)], u64::from(last) - 2, u64::from(last) - 1);
}

#[test]
fn the_batches_of_one_append_follow_one_another() {
    let mut states = states();
    let other = Sent { producer: 8, ..sent(0, 4) };
    let all = [sent(0, 2), other, sent(2, 1), sent(3, 5)];
    append(&mut states, &all, 50);
    duplicate(&states, &all, 50, 62);
    duplicate(&states, &all[1..2], 52, 56);
    duplicate(&states, &all[3..], 57, 62);
    refused(&states, &[sent(8, 1), sent(10, 1)], Reason::OutOfOrderSequenceNumber);
}

#[test]
fn an_append_that_was_written_in_part_is_refused_as_a_whole() {
    let mut states = states();
    append(&mut states, &[sent(0, 2)], 0);
    for mixed in [&[sent(0, 2), sent(2, 2)][..], &[sent(2, 2), sent(0, 2)], &[sent(2, 1); 2]] {
        assert_eq!(check_at(&states, mixed, 2, NOW), Err(ProducerRefusal::PartlyWritten));
    }
    let plain = of_no_producer();
    let mixed = [sent(0, 2).header(), plain];
    let verdict = states.check(&mixed, Offset::new(2), NOW);
    assert_eq!(verdict, Err(ProducerRefusal::PartlyWritten));
}

#[test]
fn batches_of_no_producer_are_new_every_time() {
    let mut states = states();
    let plain = of_no_producer();
    for _ in 0..2 {
        let verdict = states.check([&plain], Offset::ZERO, NOW);
        assert_eq!(verdict, Ok(Verdict::New(Note::default())));
        states.apply(&plain, NOW);
    }
    assert!(states.is_empty());
}

#[test]
fn a_producer_without_a_sequence_is_refused() {
    let mut header = sent(0, 1).header();
    if let Some(producer) = &mut header.producer {
        producer.base_sequence = None;
    }
    let refusal = states().check([&header], Offset::ZERO, NOW).unwrap_err();
    assert_eq!(refusal.reason(), Reason::InvalidRecord);
}

#[test]
fn a_write_that_is_taken_back_was_never_there() {
    let mut states = six_batches();
    let before = states.clone();
    let newcomer = Sent { producer: 9, ..sent(0, 1) };
    let undo = append(&mut states, &[sent(12, 2), newcomer, sent(14, 1)], 60);
    let later = append(&mut states, &[sent(15, 1)], 64);
    states.take_back(later);
    states.take_back(undo);
    assert_eq!(states.producers, before.producers);
    assert_eq!(states.by_use, before.by_use);
    accepted(&states, &[sent(12, 2), newcomer]);
}

#[test]
fn an_idle_producer_is_forgotten_on_time_and_not_for_its_records_age() {
    let mut states = six_batches();
    let day = ProducerLimits::default().expiration_ms;
    let after = |millis: u64| Timestamp::from_millis(NOW.as_millis() + millis.cast_signed());
    let Ok(Verdict::New(note)) = check_at(&states, &[sent(12, 1)], 60, after(5)) else { panic!() };
    states.settle(note);
    assert_eq!(states.expire(after(day - 1)), 0);
    assert_eq!(states.expire(after(day)), 1);
    assert_eq!(states.expire(after(day + 4)), 0);
    assert_eq!(states.expire(after(day + 5)), 1);
    assert!(states.is_empty());
}

#[test]
fn whoever_is_idle_for_longest_makes_room_unless_that_is_not_for_long() {
    let limits = ProducerLimits { max_producers: 2, ..ProducerLimits::default() };
    let mut states = ProducerStates::new(limits);
    let of = |producer| Sent { producer, ..sent(0, 1) };
    append(&mut states, &[of(1), of(2)], 0);
    append(&mut states, &[Sent { producer: 1, ..sent(1, 1) }], 2);
    let spared = SPARED_MS.cast_signed();
    let early = Timestamp::from_millis(NOW.as_millis() + spared - 1);
    let refusal = check_at(&states, &[of(3)], 3, early);
    assert_eq!(refusal, Err(ProducerRefusal::TooMany { limit: 2 }));

    let late = Timestamp::from_millis(NOW.as_millis() + spared);
    let Ok(Verdict::New(note)) = check_at(&states, &[of(3)], 3, late) else { panic!() };
    let undo = states.settle(note);
    assert_eq!(states.producers.keys().map(|id| id.get()).collect::<Vec<_>>(), [1, 3]);
    states.take_back(undo);
    assert_eq!(states.producers.keys().map(|id| id.get()).collect::<Vec<_>>(), [1, 2]);

    // More at once than there may be.
    let refusal = check_at(&states, &[of(3), of(4), of(5)], 3, late);
    assert_eq!(refusal, Err(ProducerRefusal::TooMany { limit: 2 }));
}

#[test]
fn reading_a_log_back_forgets_whom_writing_it_forgot() {
    let limits = ProducerLimits { max_producers: 2, ..ProducerLimits::default() };
    let mut states = ProducerStates::new(limits);
    for (base, producer) in [(0, 1), (1, 2), (3, 3)] {
        states.apply(&Sent { producer, ..sent(0, 1) }.placed(base), NOW);
        if producer == 2 {
            states.apply(&Sent { producer: 1, ..sent(1, 1) }.placed(2), NOW);
        }
    }
    assert_eq!(states.producers.keys().map(|id| id.get()).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_log_that_is_read_twice_teaches_nothing_new() {
    let mut states = six_batches();
    let before = states.clone();
    for batch in 0..6 {
        states.apply(&sent(2 * batch, 2).placed(u64::from(batch) * 10), NOW);
    }
    assert_eq!(states.producers, before.producers);
}

#[test]
fn the_log_is_right_where_it_contradicts_what_was_known() {
    let mut states = six_batches();
    states.apply(&sent(40, 2).placed(60), NOW);
    duplicate(&states, &[sent(40, 2)], 60, 62);
    refused(&states, &[sent(12, 2)], Reason::OutOfOrderSequenceNumber);
    accepted(&states, &[sent(42, 1)]);
}

fn point(end: u64) -> SnapshotPoint {
    SnapshotPoint {
        log: LogId::from_bytes([5; 16]),
        end: Offset::new(end),
        last_epoch: Some(LeaderEpoch::new(3)),
    }
}

#[test]
fn a_snapshot_reads_back() {
    let states = six_batches();
    let bytes = states.snapshot(point(60));
    let snapshot = ProducerSnapshot::decode(&bytes).unwrap();
    assert_eq!(snapshot.point, point(60));
    let restored = ProducerStates::restore(ProducerLimits::default(), snapshot, NOW);
    assert_eq!(restored.snapshot(point(60)), bytes);
    for batch in 1..6 {
        let at = u64::from(batch) * 10;
        duplicate(&restored, &[sent(2 * batch, 2)], at, at + 2);
    }

    let empty = SnapshotPoint { last_epoch: None, ..point(0) };
    let read = ProducerSnapshot::decode(&ProducerStates::default().snapshot(empty)).unwrap();
    assert_eq!(read.point, empty);
}

#[test]
fn a_clock_that_was_ahead_keeps_nobody_for_ever() {
    let bytes = six_batches().snapshot(point(60));
    let now = Timestamp::from_millis(5);
    let snapshot = ProducerSnapshot::decode(&bytes).unwrap();
    let mut states = ProducerStates::restore(ProducerLimits::default(), snapshot, now);
    let day = ProducerLimits::default().expiration_ms.cast_signed();
    assert_eq!(states.expire(Timestamp::from_millis(day + 5)), 2);
}

#[test]
fn a_flipped_bit_in_a_snapshot_is_noticed_and_so_is_a_cut() {
    let bytes = six_batches().snapshot(point(60));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(ProducerSnapshot::decode(&damaged), None, "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert_eq!(ProducerSnapshot::decode(&bytes[..len]), None, "{len} bytes");
    }
}

#[test]
fn a_snapshot_that_knows_of_records_behind_its_end_is_none() {
    let states = six_batches();
    assert!(ProducerSnapshot::decode(&states.snapshot(point(60))).is_some());
    assert_eq!(ProducerSnapshot::decode(&states.snapshot(point(59))), None);
}
