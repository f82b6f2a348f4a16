//! Lanes against a log with the brokers' own rules, over connections that lose, delay and repeat.

use std::collections::BTreeMap;

use commit_log::{ProducerLimits, ProducerStates, Verdict as LogVerdict};
use proptest::prelude::*;
use record::Batch;
use types::Coded;

use super::*;

/// What the log does to an attempt that reaches it.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// As its rules have it.
    Takes,
    /// It has no room, leads no more, or the like; nothing is written.
    Refuses,
    /// It takes it, and the acks do not come in time.
    TakesAndTimesOut,
    /// It will never take it.
    RefusesForGood,
    /// It takes it, and its answer does not come.
    TakesAndIsNotHeard,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The user hands over a batch of so many records.
    Batch(u32),
    /// The oldest attempt of a connection reaches the log; the last one is the one in use.
    Arrive(prop::sample::Index, Turn),
    /// The client hears the oldest answer.
    Hear,
    /// The connection in use breaks. What is on its way may still arrive, unheard.
    Break,
    /// Time passes.
    Wait(u64),
    /// Attempts on broken connections are gone for good.
    Settle,
}

type Outcome = Result<Option<Offset>, Failure>;

struct World {
    lane: Lane<u32>,
    fresh: Option<ProducerId>,
    now: Duration,
    next_batch: u32,
    waiting: VecDeque<Pending<u32>>,
    /// Attempts on their way, by connection.
    connections: Vec<VecDeque<(u64, ProducedBatch)>>,
    /// Attempts of the connection in use that were not answered yet.
    unanswered: VecDeque<u64>,
    answers: VecDeque<(u64, Outcome)>,
    states: ProducerStates,
    /// Batches by their numbers, and how many records each has.
    log: Vec<(u32, u32)>,
    end: u64,
    fates: BTreeMap<u32, Result<Option<Offset>, ClientError>>,
}

impl World {
    fn new() -> Self {
        Self {
            lane: lane(Tracking::Idempotent),
            fresh: Some(ID),
            now: Duration::ZERO,
            next_batch: 0,
            waiting: VecDeque::new(),
            connections: vec![VecDeque::new()],
            unanswered: VecDeque::new(),
            answers: VecDeque::new(),
            states: ProducerStates::new(ProducerLimits::default()),
            log: Vec::new(),
            end: 0,
            fates: BTreeMap::new(),
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, random: 0 }
    }

    fn dispatch(&mut self, Dispatch { number, batch, .. }: Dispatch) {
        self.unanswered.push_back(number);
        self.connections.last_mut().unwrap().push_back((number, batch));
    }

    fn settle(&mut self, settled: Settled<u32>) {
        let again = self.fates.insert(settled.ticket, settled.outcome);
        assert_eq!(again, None, "batch {} met its fate twice", settled.ticket);
    }

    /// What the sender does between two events.
    fn send(&mut self) {
        for settled in self.lane.expire(self.now) {
            self.settle(settled);
        }
        if self.lane.needs_id(self.fresh) {
            self.fresh = self.fresh.map(|id| ProducerId::new(id.get() + 1));
        }
        if let Some(dispatch) = self.lane.send_again(self.fresh, self.now) {
            self.dispatch(dispatch);
        }
        while 0 < self.lane.room(self.fresh)
            && let Some(pending) = self.waiting.pop_front()
        {
            let dispatch = self.lane.send(pending, self.fresh, self.now).unwrap();
            self.dispatch(dispatch);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Batch(records) => {
                self.waiting.push_back(pending(self.next_batch, records, self.now));
                self.next_batch += 1;
            }
            Event::Arrive(index, turn) => {
                let connection = index.index(self.connections.len());
                if let Some((number, batch)) = self.connections[connection].pop_front() {
                    self.arrive(number, batch, turn);
                }
            }
            Event::Hear => {
                if let Some((number, outcome)) = self.answers.pop_front() {
                    self.unanswered.retain(|unanswered| *unanswered != number);
                    self.hear(number, outcome);
                }
            }
            Event::Break => {
                self.connections.push(VecDeque::new());
                self.answers.clear();
                for number in std::mem::take(&mut self.unanswered) {
                    self.hear(number, lost());
                }
            }
            Event::Wait(seconds) => self.now += Duration::from_secs(seconds),
            Event::Settle => {
                let in_use = self.connections.len() - 1;
                self.connections.drain(..in_use);
            }
        }
        self.send();
    }

    fn hear(&mut self, number: u64, outcome: Outcome) {
        let moment = self.moment();
        if let Answered::Settled(settled) = self.lane.answered(number, outcome, moment) {
            self.settle(settled);
        }
    }

    /// An attempt reaches the log.
    fn arrive(&mut self, number: u64, batch: ProducedBatch, turn: Turn) {
        let batch = &batch.into_batch().unwrap();
        let outcome = match turn {
            Turn::Takes => self.append(batch),
            Turn::Refuses => refused(Reason::Busy),
            Turn::RefusesForGood => refused(Reason::MessageTooLarge),
            Turn::TakesAndTimesOut => {
                self.append(batch).and_then(|_| refused(Reason::RequestTimedOut))
            }
            Turn::TakesAndIsNotHeard => {
                self.append(batch).ok();
                return;
            }
        };
        // Whoever broke the connection hears nothing of it.
        if self.unanswered.contains(&number) {
            self.answers.push_back((number, outcome));
        }
    }

    fn append(&mut self, batch: &Batch) -> Outcome {
        let base = Offset::new(self.end);
        let now = Timestamp::from_millis(i64::try_from(self.now.as_millis()).unwrap());
        match self.states.check([batch.header()], base, now) {
            Ok(LogVerdict::New(note)) => {
                self.states.settle(note);
                let record = batch.records().unwrap().next().unwrap().unwrap();
                let number = u32::from_be_bytes(record.value.unwrap()[..].try_into().unwrap());
                let records = batch.header().record_count;
                self.log.push((number, records));
                self.end += u64::from(records);
                Ok(Some(base))
            }
            Ok(LogVerdict::Duplicate { base_offset, .. }) => Ok(Some(base_offset)),
            Err(refusal) => refused(refusal.reason()),
        }
    }

    /// Lets everything come to its end on a network that works.
    fn finish(&mut self) {
        self.happen(Event::Break);
        for _ in 0..1000 {
            let last = self.connections.len() - 1;
            while let Some((number, batch)) = self.connections[last].pop_front() {
                self.arrive(number, batch, Turn::Takes);
            }
            while !self.answers.is_empty() {
                self.happen(Event::Hear);
            }
            self.happen(Event::Wait(1));
        }
        // Stragglers can do no more harm now than before.
        for connection in 0..self.connections.len() {
            while let Some((number, batch)) = self.connections[connection].pop_front() {
                self.arrive(number, batch, Turn::Takes);
            }
        }
        assert_eq!(self.fates.len(), self.next_batch as usize, "every batch meets its fate");
    }

    /// What holds if nothing was ever given up: all was delivered.
    fn check_nothing_is_missing(&self) {
        for (number, fate) in &self.fates {
            assert!(fate.is_ok(), "batch {number}: {fate:?}");
        }
    }

    fn check(&self) {
        let numbers: Vec<u32> = self.log.iter().map(|(number, _)| *number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "out of order, or twice: {numbers:?}");
        let mut offset = 0;
        let mut offsets = BTreeMap::new();
        for (number, records) in &self.log {
            offsets.insert(*number, Offset::new(offset));
            offset += u64::from(*records);
        }
        for (number, fate) in &self.fates {
            let lies_at = offsets.get(number).copied();
            match fate {
                Ok(told) => assert_eq!(*told, lies_at, "of batch {number}"),
                Err(ClientError::NotDelivered { .. }) => {
                    assert_eq!(lies_at, None, "batch {number} was said not to be there");
                }
                Err(ClientError::OutcomeUnknown { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        12 => Just(Turn::Takes),
        2 => Just(Turn::Refuses),
        1 => Just(Turn::TakesAndTimesOut),
        1 => Just(Turn::RefusesForGood),
        1 => Just(Turn::TakesAndIsNotHeard),
    ]
}

/// What a network and a broker do that pass.
fn passing_event() -> impl Strategy<Value = Event> {
    event().prop_map(|event| match event {
        Event::Arrive(connection, Turn::RefusesForGood) => {
            Event::Arrive(connection, Turn::TakesAndTimesOut)
        }
        // All of them together are shorter than the delivery timeout.
        Event::Wait(seconds) => Event::Wait(seconds.min(1)),
        event @ (Event::Batch(_)
        | Event::Arrive(..)
        | Event::Hear
        | Event::Break
        | Event::Settle) => event,
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (1..4_u32).prop_map(Event::Batch),
        12 => (any::<prop::sample::Index>(), turn())
            .prop_map(|(connection, turn)| Event::Arrive(connection, turn)),
        8 => Just(Event::Hear),
        2 => Just(Event::Break),
        3 => (0..30_u64).prop_map(Event::Wait),
        1 => Just(Event::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn every_batch_is_in_the_log_once_in_order_and_as_told(
        events in prop::collection::vec(event(), 1..150),
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.finish();
        world.check();
    }
    #[test]
    fn what_passes_costs_no_batch(events in prop::collection::vec(passing_event(), 1..110)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.finish();
        world.check();
        world.check_nothing_is_missing();
    }
}
