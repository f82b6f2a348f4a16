//! The states against a model that keeps every batch for ever and looks for it from the start.

use proptest::prelude::*;

use super::*;

/// The log as a list, and what would have to be known from it.
#[derive(Clone, Debug, Default)]
struct Model {
    /// Each batch and its base offset.
    log: Vec<(Sent, u64)>,
}

impl Model {
    fn end(&self) -> u64 {
        self.log.last().map_or(0, |(batch, base)| base + u64::from(batch.records))
    }

    /// What a single batch calls for: where it lies, nothing if it is the next, or a refusal.
    fn judge(&self, batch: Sent) -> Result<Option<(u64, u64)>, Reason> {
        let own = || self.log.iter().filter(|(it, _)| it.producer == batch.producer);
        let Some(epoch) = own().map(|(it, _)| it.epoch).max() else {
            return if batch.first == 0 { Ok(None) } else { Err(Reason::UnknownProducerId) };
        };
        if batch.epoch < epoch {
            return Err(Reason::InvalidProducerEpoch);
        }
        if epoch < batch.epoch {
            return if batch.first == 0 { Ok(None) } else { Err(Reason::OutOfOrderSequenceNumber) };
        }
        let life: Vec<(Sent, u64)> = own().filter(|(it, _)| it.epoch == epoch).copied().collect();
        let written: u64 = life.iter().map(|(it, _)| u64::from(it.records)).sum();
        if u64::from(batch.first) == written % NUMBERS {
            return Ok(None);
        }
        let back = (written + NUMBERS - u64::from(batch.first)) % NUMBERS;
        if NUMBERS / 2 < back {
            return Err(Reason::OutOfOrderSequenceNumber);
        }
        let runs = runs(&life);
        let mut last_five = runs.iter().rev().take(5);
        let found = last_five.find_map(|run| run.find(batch));
        found.map(Some).ok_or(Reason::OutOfOrderSequenceNumber)
    }

    /// What an append calls for, and the log behind it.
    fn append(&self, batches: &[Sent]) -> Result<(Self, Option<(u64, u64)>), Reason> {
        let mut after = self.clone();
        let mut written: Option<(u64, u64)> = None;
        for batch in batches {
            if let Some((base, end)) = after.judge(*batch)? {
                let (first, last) = written.unwrap_or((base, end));
                written = Some((first, last.max(end)));
            } else {
                let base = after.end();
                after.log.push((*batch, base));
            }
            if written.is_some() && self.log.len() < after.log.len() {
                return Err(Reason::InvalidRequest);
            }
        }
        Ok((after, written))
    }
}

/// How many sequence numbers there are.
const NUMBERS: u64 = 1 << 31;

/// Records that follow one another, by how many of their life came before, which no wrap changes.
struct Stretch {
    first: u64,
    base: u64,
    records: u64,
}

impl Stretch {
    fn find(&self, batch: Sent) -> Option<(u64, u64)> {
        let records = u64::from(batch.records);
        let before = (u64::from(batch.first) + NUMBERS - self.first % NUMBERS) % NUMBERS;
        let base = self.base + before;
        (before + records <= self.records).then_some((base, base + records))
    }
}

/// The batches of one life as stretches without anybody else's records in between.
fn runs(life: &[(Sent, u64)]) -> Vec<Stretch> {
    let mut runs: Vec<Stretch> = Vec::new();
    let mut first = 0;
    for (batch, base) in life {
        let records = u64::from(batch.records);
        match runs.last_mut().filter(|run| run.base + run.records == *base) {
            Some(run) => {
                let kept = (run.records + records).min(records.max(1 << 30));
                let forgotten = run.records + records - kept;
                run.first += forgotten;
                run.base += forgotten;
                run.records = kept;
            }
            None => runs.push(Stretch { first, base: *base, records }),
        }
        first += records;
    }
    runs
}

#[derive(Clone, Debug)]
enum Step {
    /// Batches, each given by what it does to the sequence that is expected.
    Append { batches: Vec<(u64, Attempt)>, then: Then },
    /// The log is cut to as many of its batches.
    Truncate(prop::sample::Index),
    /// A snapshot is taken, to be found by whoever looks for one.
    Snapshot,
    /// What is known is built anew: from the newest snapshot below the end, or without any.
    Reread { with_snapshots: bool },
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Stays,
    IsTakenBack,
}

#[derive(Clone, Debug)]
enum Attempt {
    /// The next batch.
    Next { records: u32 },
    /// One of those in the log once more.
    Again(prop::sample::Index),
    /// The first of the next epoch.
    NextEpoch { records: u32 },
    /// Anything.
    Wild { epoch: u16, first: u32, records: u32 },
}

fn records() -> impl Strategy<Value = u32> {
    prop_oneof![20 => 1..5_u32, 1 => Just(Sequence::MAX.get() - 6), 1 => Just(1_u32 << 30)]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let first = prop_oneof![0..30_u32, (Sequence::MAX.get() - 9)..=Sequence::MAX.get()];
    prop_oneof![
        10 => records().prop_map(|records| Attempt::Next { records }),
        5 => any::<prop::sample::Index>().prop_map(Attempt::Again),
        1 => records().prop_map(|records| Attempt::NextEpoch { records }),
        2 => (0..4_u16, first, records())
            .prop_map(|(epoch, first, records)| Attempt::Wild { epoch, first, records }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let then = prop_oneof![4 => Just(Then::Stays), 1 => Just(Then::IsTakenBack)];
    let batches = prop::collection::vec((1..4_u64, attempt()), 1..4);
    prop_oneof![
        20 => (batches, then).prop_map(|(batches, then)| Step::Append { batches, then }),
        1 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        2 => Just(Step::Snapshot),
        1 => any::<bool>().prop_map(|with_snapshots| Step::Reread { with_snapshots }),
    ]
}

/// The real states, and what a log keeps beside them.
struct Real {
    states: ProducerStates,
    snapshots: Vec<Vec<u8>>,
}

impl Real {
    /// As a log does after it was cut or opened: the newest snapshot that is not contradicted, and
    /// then everything behind it.
    fn reread(&mut self, model: &Model) {
        let snapshots = self.snapshots.iter().rev();
        let mut decoded = snapshots.map(|bytes| ProducerSnapshot::decode(bytes).unwrap());
        let newest = decoded.find(|it| it.point.end.get() <= model.end());
        let from = newest.as_ref().map_or(0, |it| it.point.end.get());
        let limits = ProducerLimits::default();
        self.states = match newest {
            Some(snapshot) => ProducerStates::restore(limits, snapshot, NOW),
            None => ProducerStates::new(limits),
        };
        for (batch, base) in model.log.iter().filter(|(_, base)| from <= *base) {
            self.states.apply(&batch.placed(*base), NOW);
        }
    }

    fn append(&mut self, model: &mut Model, batches: &[Sent], then: Then) {
        let verdict = check_at(&self.states, batches, model.end(), NOW);
        match (model.append(batches), verdict) {
            (Ok((after, None)), Ok(Verdict::New(note))) => {
                let undo = self.states.settle(note);
                match then {
                    Then::Stays => *model = after,
                    Then::IsTakenBack => self.states.take_back(undo),
                }
            }
            (Ok((_, Some(expected))), Ok(Verdict::Duplicate { base_offset, end })) => {
                assert_eq!((base_offset.get(), end.get()), expected);
            }
            (Err(expected), Err(refusal)) => assert_eq!(refusal.reason(), expected, "{refusal}"),
            (expected, found) => panic!("{batches:?}: {found:?} instead of {expected:?}"),
        }
    }
}

/// What an attempt sends when `model` is the log.
fn made(model: &Model, producer: u64, attempt: &Attempt) -> Sent {
    let own: Vec<Sent> =
        model.log.iter().map(|(it, _)| *it).filter(|it| it.producer == producer).collect();
    let last = own.last().copied();
    let epoch = last.map_or(0, |last| last.epoch);
    match attempt {
        Attempt::Next { records } => {
            let next = |last: Sent| Sequence::new(last.first).unwrap().advanced_by(last.records);
            let first = last.map_or(0, |last| next(last).get());
            Sent { producer, epoch, first, records: *records }
        }
        Attempt::Again(_) if own.is_empty() => Sent { producer, epoch, first: 0, records: 1 },
        Attempt::Again(index) => own[index.index(own.len())],
        Attempt::NextEpoch { records } => {
            Sent { producer, epoch: epoch + 1, first: 0, records: *records }
        }
        Attempt::Wild { epoch, first, records } => {
            Sent { producer, epoch: *epoch, first: *first, records: *records }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_history_is_judged_as_by_looking_through_the_whole_log(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut model = Model::default();
        let mut real = Real { states: states(), snapshots: Vec::new() };
        for step in steps {
            match step {
                Step::Append { batches, then } => {
                    let mut expected = model.clone();
                    let mut sent = Vec::new();
                    for (producer, attempt) in &batches {
                        let batch = made(&expected, *producer, attempt);
                        sent.push(batch);
                        // Those behind it go on from there.
                        if let Ok((after, _)) = expected.append(&[batch]) {
                            expected = after;
                        }
                    }
                    real.append(&mut model, &sent, then);
                }
                Step::Truncate(index) => {
                    model.log.truncate(index.index(model.log.len() + 1));
                    let beyond = |bytes: &Vec<u8>| {
                        ProducerSnapshot::decode(bytes).unwrap().point.end.get() <= model.end()
                    };
                    real.snapshots.retain(beyond);
                    real.reread(&model);
                }
                Step::Snapshot => real.snapshots.push(real.states.snapshot(point(model.end()))),
                Step::Reread { with_snapshots } => {
                    if !with_snapshots {
                        real.snapshots.clear();
                    }
                    real.reread(&model);
                }
            }
        }
    }

    #[test]
    fn whom_time_and_room_leave_is_known_from_a_list(
        steps in prop::collection::vec((0..6_u64, 0..400_u64), 1..200),
    ) {
        const LIMIT: usize = 3;
        let expiration_ms = 3 * SPARED_MS;
        let limits = ProducerLimits { expiration_ms, max_producers: LIMIT };
        let mut states = ProducerStates::new(limits);
        // Those idle for longest first, with the time of their last use and their next sequence.
        let mut known: Vec<(u64, u64, u32)> = Vec::new();
        let mut millis = 0_u64;
        for (producer, seconds) in steps {
            millis += seconds * 1000;
            let now = Timestamp::from_millis(millis.cast_signed());
            if seconds % 3 == 0 {
                let before = known.len();
                known.retain(|(_, used, _)| millis - used < expiration_ms);
                prop_assert_eq!(states.expire(now), before - known.len());
            }
            let place = known.iter().position(|(id, _, _)| *id == producer);
            let first = place.map_or(0, |place| known[place].2);
            let verdict = check_at(&states, &[Sent { producer, ..sent(first, 1) }], millis, now);
            let full = place.is_none() && known.len() == LIMIT;
            if full && millis - known[0].1 < SPARED_MS {
                prop_assert_eq!(verdict, Err(ProducerRefusal::TooMany { limit: LIMIT }));
                continue;
            }
            let Ok(Verdict::New(note)) = verdict else { panic!("{verdict:?}") };
            states.settle(note);
            if let Some(place) = place.or(full.then_some(0)) {
                known.remove(place);
            }
            known.push((producer, millis, first + 1));
            let expected: Vec<u64> = known.iter().map(|(id, _, _)| *id).collect();
            let found: Vec<u64> = states.by_use.values().map(|id| id.get()).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(states.len(), known.len());
        }
    }

    #[test]
    fn no_bytes_harm_whoever_reads_a_snapshot(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = six_batches().snapshot(point(60));
        bytes.truncate(bytes.len() - 4);
        bytes.extend(tail);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(crate::checksum::crc32c(&bytes).to_be_bytes());
        if let Some(snapshot) = ProducerSnapshot::decode(&bytes) {
            let point = snapshot.point;
            let states = ProducerStates::restore(ProducerLimits::default(), snapshot, NOW);
            prop_assert_eq!(states.snapshot(point).len(), bytes.len());
        }
    }
}
