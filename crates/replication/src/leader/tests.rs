//! The rules of a leader, and its invariants over random histories.

use proptest::prelude::*;

use super::*;

const EPOCH: LeaderEpoch = LeaderEpoch::new(4);
const SELF: BrokerId = BrokerId::new(1);
const OTHER: BrokerId = BrokerId::new(2);
const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_millis(10);
const LATER: Duration = Duration::from_millis(20);

type TestEffect = Effect<u64, u32, &'static str>;
type TestInput = Input<u64, u32, &'static str>;

impl Leader<u32> {
    /// What follows from one input.
    fn after(&mut self, input: TestInput, now: Duration) -> Vec<TestEffect> {
        let mut effects = Vec::new();
        self.step(input, now, &mut effects);
        effects
    }
}

fn alone(durability: Durability) -> Leader<u32> {
    Leader::start(SELF, EPOCH, Membership::new([SELF], 1, durability), LogEnds::default())
}

fn produce(reply: u32, acks: Acks) -> TestInput {
    produce_until(reply, acks, LATER)
}

fn produce_until(reply: u32, acks: Acks, deadline: Duration) -> TestInput {
    Input::Produce(Produce { payload: 1, reply, acks, deadline })
}

fn appended(base: u64, end: u64, durable_end: u64) -> TestInput {
    let [base_offset, end, durable_end] = [base, end, durable_end].map(Offset::new);
    Input::Appended(Appended { base_offset, end, durable_end })
}

fn acked(reply: u32, base: u64) -> TestEffect {
    Effect::Answer { reply, outcome: Ok(Acknowledged { base_offset: Some(Offset::new(base)) }) }
}

fn failed(reply: u32, error: ProduceError<&'static str>) -> TestEffect {
    Effect::Answer { reply, outcome: Err(error) }
}

fn visible(end: u64) -> TestEffect {
    Effect::HighWatermark(Offset::new(end))
}

fn append() -> TestEffect {
    Effect::Append { epoch: EPOCH, payload: 1 }
}

#[test]
fn a_record_is_visible_before_its_producer_is_told() {
    let mut leader = alone(Durability::Fsync);
    assert_eq!(leader.after(produce(7, Acks::All), NOW), [append()]);
    assert_eq!(leader.after(appended(0, 1, 1), NOW), [visible(1), acked(7, 0)]);
}

#[test]
fn what_is_written_but_not_durable_is_neither_visible_nor_acknowledged_in_fsync_mode() {
    let mut leader = alone(Durability::Fsync);
    leader.after(produce(7, Acks::Leader), NOW);
    leader.after(produce(8, Acks::All), NOW);
    assert_eq!(leader.after(appended(0, 1, 0), NOW), []);
    assert_eq!(leader.after(appended(1, 2, 1), NOW), [visible(1), acked(7, 0)]);
    let durable: TestInput = Input::Durable(Offset::new(2));
    assert_eq!(leader.after(durable, NOW), [visible(2), acked(8, 1)]);
}

#[test]
fn what_is_written_counts_in_page_cache_mode() {
    let mut leader = alone(Durability::PageCache);
    leader.after(produce(7, Acks::Leader), NOW);
    assert_eq!(leader.after(appended(0, 1, 0), NOW), [visible(1), acked(7, 0)]);
}

#[test]
fn a_producer_that_wants_no_acks_is_answered_at_once_and_never_again() {
    let mut leader = alone(Durability::Fsync);
    let accepted = Effect::Answer { reply: 7, outcome: Ok(Acknowledged { base_offset: None }) };
    assert_eq!(leader.after(produce(7, Acks::None), NOW), [append(), accepted]);
    assert_eq!(leader.next_deadline(), None);
    assert_eq!(leader.after(appended(0, 1, 1), NOW), [visible(1)]);
}

#[test]
fn an_append_that_the_log_refuses_fails_its_own_producer_only() {
    let mut leader = alone(Durability::Fsync);
    leader.after(produce(7, Acks::All), NOW);
    leader.after(produce(8, Acks::All), NOW);
    let refused: TestInput = Input::AppendFailed("disk full");
    assert_eq!(leader.after(refused, NOW), [failed(7, ProduceError::Log("disk full"))]);
    assert_eq!(leader.after(appended(0, 1, 1), NOW), [visible(1), acked(8, 0)]);
}

#[test]
fn too_few_in_sync_refuse_acks_all_before_anything_is_written() {
    let membership = Membership::new([SELF], 2, Durability::Fsync);
    let mut leader = Leader::start(SELF, EPOCH, membership, LogEnds::default());
    let error = ProduceError::NotEnoughReplicas { in_sync: 1, required: 2 };
    assert_eq!(leader.after(produce(7, Acks::All), NOW), [failed(7, error)]);
}

#[test]
fn too_few_in_sync_commit_nothing() {
    let membership = Membership::new([SELF], 2, Durability::Fsync);
    let mut leader = Leader::start(SELF, EPOCH, membership, LogEnds::default());
    leader.after(produce(7, Acks::Leader), NOW);
    assert_eq!(leader.after(appended(0, 1, 1), NOW), [acked(7, 0)]);
    let lowered: TestInput = Input::Reconfigured(Membership::new([SELF], 1, Durability::Fsync));
    assert_eq!(leader.after(lowered, NOW), [visible(1)]);
}

#[test]
fn an_in_sync_replica_that_was_not_heard_of_holds_the_high_watermark_back() {
    let both = Membership::new([SELF, OTHER], 1, Durability::Fsync);
    let mut leader = Leader::start(SELF, EPOCH, both, LogEnds::default());
    leader.after(produce(7, Acks::All), NOW);
    assert_eq!(leader.after(appended(0, 1, 1), NOW), []);
    let shrunk: TestInput = Input::Reconfigured(Membership::new([SELF], 1, Durability::Fsync));
    assert_eq!(leader.after(shrunk, NOW), [visible(1), acked(7, 0)]);
}

#[test]
fn a_log_that_was_recovered_is_visible_as_far_as_it_counts() {
    let ends = [2, 9, 7].map(Offset::new);
    let [start, end, durable_end] = ends;
    let log = LogEnds { start, end, durable_end };
    let at = |durability| {
        let membership = Membership::new([SELF], 1, durability);
        Leader::<u32>::start(SELF, EPOCH, membership, log).high_watermark()
    };
    assert_eq!(at(Durability::Fsync), durable_end);
    assert_eq!(at(Durability::PageCache), end);
}

#[test]
fn whoever_waits_too_long_is_told_once_that_the_outcome_is_unknown() {
    let mut leader = alone(Durability::Fsync);
    leader.after(produce_until(7, Acks::All, SOON), NOW);
    leader.after(produce_until(8, Acks::All, LATER), NOW);
    assert_eq!(leader.next_deadline(), Some(SOON));
    assert_eq!(leader.after(Input::Tick, SOON), [failed(7, ProduceError::TimedOut)]);
    assert_eq!(leader.next_deadline(), Some(LATER));
    assert_eq!(leader.after(appended(0, 1, 1), LATER), [visible(1)]);
    assert_eq!(leader.after(appended(1, 2, 2), LATER), [visible(2), acked(8, 1)]);
}

#[test]
fn the_end_of_leadership_answers_everyone_who_waits() {
    let mut leader = alone(Durability::Fsync);
    leader.after(produce(7, Acks::All), NOW);
    leader.after(produce(8, Acks::Leader), NOW);
    leader.after(appended(0, 1, 0), NOW);
    leader.after(produce(9, Acks::None), NOW);
    let lost = |reply| failed(reply, ProduceError::NoLongerLeader);
    assert_eq!(leader.after(Input::Fenced, NOW), [lost(7), lost(8)]);
    assert_eq!(leader.after(appended(1, 2, 2), NOW), [visible(2)]);
}

/// One step of a random history; the log's answers are made up by [`Model`].
#[derive(Clone, Debug)]
enum Step {
    Produce { acks: Acks, patience: u64 },
    LogTakes { records: u64, synced: bool },
    LogRefuses,
    LogSyncs,
    Fenced,
    Membership { in_sync: bool, min_in_sync: usize },
    Wait { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let acks = prop_oneof![Just(Acks::None), Just(Acks::Leader), Just(Acks::All)];
    let step = prop_oneof![
        4 => (acks, 1_u64..50).prop_map(|(acks, patience)| Step::Produce { acks, patience }),
        4 => (1_u64..9, any::<bool>())
            .prop_map(|(records, synced)| Step::LogTakes { records, synced }),
        1 => Just(Step::LogRefuses),
        2 => Just(Step::LogSyncs),
        1 => Just(Step::Fenced),
        1 => (any::<bool>(), 0_usize..3)
            .prop_map(|(in_sync, min_in_sync)| Step::Membership { in_sync, min_in_sync }),
        2 => (0_u64..40).prop_map(|millis| Step::Wait { millis }),
    ];
    prop::collection::vec(step, 0..80)
}

/// A log that answers appends in order, and everything that was ever asked and answered.
struct Model {
    durability: Durability,
    now: Duration,
    asked: Vec<Acks>,
    /// Appends the log has not answered.
    in_log: usize,
    end: u64,
    durable_end: u64,
    high_watermark: Offset,
    answers: Vec<(u32, Result<Acknowledged, ProduceError<&'static str>>)>,
}

impl Model {
    fn input(&mut self, step: &Step) -> Option<TestInput> {
        match *step {
            Step::Produce { acks, patience } => {
                let reply = u32::try_from(self.asked.len()).unwrap();
                self.asked.push(acks);
                let deadline = self.now + Duration::from_millis(patience);
                Some(produce_until(reply, acks, deadline))
            }
            Step::LogTakes { records, synced } => {
                self.in_log = self.in_log.checked_sub(1)?;
                let base = self.end;
                self.end += records;
                if synced {
                    self.durable_end = self.end;
                }
                Some(appended(base, self.end, self.durable_end))
            }
            Step::LogRefuses => {
                self.in_log = self.in_log.checked_sub(1)?;
                Some(Input::AppendFailed("disk full"))
            }
            Step::LogSyncs => {
                self.durable_end = self.end;
                Some(Input::Durable(Offset::new(self.end)))
            }
            Step::Fenced => Some(Input::Fenced),
            Step::Membership { in_sync, min_in_sync } => {
                let others = if in_sync { vec![SELF, OTHER] } else { vec![SELF] };
                let membership = Membership::new(others, min_in_sync, self.durability);
                Some(Input::Reconfigured(membership))
            }
            Step::Wait { millis } => {
                self.now += Duration::from_millis(millis);
                Some(Input::Tick)
            }
        }
    }

    fn observe(&mut self, effects: Vec<TestEffect>) -> Result<(), TestCaseError> {
        let counted = match self.durability {
            Durability::Fsync => self.durable_end,
            Durability::PageCache => self.end,
        };
        for effect in effects {
            match effect {
                Effect::Append { epoch, payload } => {
                    prop_assert_eq!((epoch, payload), (EPOCH, 1));
                    self.in_log += 1;
                }
                Effect::HighWatermark(end) => {
                    prop_assert!(self.high_watermark < end, "it never moves back");
                    prop_assert!(end.get() <= counted, "it never passes what counts");
                    self.high_watermark = end;
                }
                Effect::Answer { reply, outcome } => {
                    self.check_end(reply, outcome.as_ref().ok(), counted)?;
                    self.answers.push((reply, outcome));
                }
            }
        }
        Ok(())
    }

    /// An acknowledged record lies below the end its producer asked to wait for.
    fn check_end(
        &self,
        reply: u32,
        acknowledged: Option<&Acknowledged>,
        counted: u64,
    ) -> Result<(), TestCaseError> {
        let base = acknowledged.and_then(|acknowledged| acknowledged.base_offset);
        let Some(base) = base else { return Ok(()) };
        match self.asked[usize::try_from(reply).unwrap()] {
            Acks::None => prop_assert!(false, "nobody told it an offset"),
            Acks::Leader => prop_assert!(base.get() < counted),
            Acks::All => prop_assert!(base < self.high_watermark),
        }
        Ok(())
    }

    /// The offsets told to the producers of one kind, in the order of the answers.
    fn offsets(&self, acks: Acks) -> Vec<(u32, Offset)> {
        let of_kind = self
            .answers
            .iter()
            .filter(|(reply, _)| self.asked[usize::try_from(*reply).unwrap()] == acks);
        of_kind
            .filter_map(|(reply, outcome)| {
                Some((*reply, outcome.as_ref().ok().and_then(|told| told.base_offset)?))
            })
            .collect()
    }
}

proptest! {
    #[test]
    fn every_history_keeps_the_leaders_promises(
        steps in steps(),
        durability in prop_oneof![Just(Durability::Fsync), Just(Durability::PageCache)],
    ) {
        let mut leader = alone(durability);
        let mut model = Model {
            durability,
            now: NOW,
            asked: Vec::new(),
            in_log: 0,
            end: 0,
            durable_end: 0,
            high_watermark: Offset::ZERO,
            answers: Vec::new(),
        };
        for step in &steps {
            if let Some(input) = model.input(step) {
                let effects = leader.after(input, model.now);
                model.observe(effects)?;
                prop_assert_eq!(leader.high_watermark(), model.high_watermark);
                let due = leader.next_deadline();
                let ticked = matches!(step, Step::Wait { .. });
                prop_assert!(!ticked || due.is_none_or(|due| model.now < due));
                let first = leader.first_deadline();
                prop_assert!(first.is_none_or(|first| due.is_some_and(|due| due <= first)));
            }
        }
        model.observe(leader.after(Input::Fenced, model.now))?;

        let mut told = model.answers.iter().map(|(reply, _)| *reply).collect::<Vec<_>>();
        told.sort_unstable();
        let asked = u32::try_from(model.asked.len()).unwrap();
        prop_assert_eq!(told, (0..asked).collect::<Vec<_>>(), "everyone once");
        for acks in [Acks::Leader, Acks::All] {
            prop_assert!(model.offsets(acks).is_sorted(), "in the order of the log");
        }
    }
}
