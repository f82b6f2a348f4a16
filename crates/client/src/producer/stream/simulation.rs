//! A lane and its streams against a log with the brokers' own rules: what the one sends, the other
//! puts into requests, and connections lose, delay and repeat. Other producers write in between, so
//! that a log knows no more requests again than it must, and it is killed now and then.

mod events;

use std::collections::VecDeque;

use bytes::Bytes;
use commit_log::{ProducerLimits, ProducerStates, Verdict};
use futures::FutureExt;
use proptest::prelude::*;
use proptest::sample::Index;
use record::{Batch, BatchBuilder, BatchHeader, Batches, Compression};
use types::{PartitionId, ProducerId, Timestamp, TopicName};
use wire::RemoteError;
use wire::convert::error_to_proto;

use self::events::{End, Event, Turn, events, passing_event, retries};
use super::*;
use crate::producer::accumulator::{NewBatch, NewRecord};
use crate::producer::batch::{Pending, Settled};
use crate::producer::lane::{Answered, Lane, LaneSettings, Moment, Tracking, Way};

/// Whether a log that dies loses what it has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Synced,
    Cached,
}

struct Connection<'a> {
    way: Way,
    /// `None` once it has ended for the client.
    stream: Option<Stream<'a>>,
    attempts: mpsc::Sender<Attempt>,
    queue: mpsc::Receiver<Attempt>,
    outbound: Outbound,
    /// What the transport has not taken.
    leaving: mpsc::Receiver<Claim>,
    on_its_way: VecDeque<ProduceBatches>,
    replies: Vec<v1::ProduceStreamResponse>,
    /// Something that it took up will never be answered.
    owes: bool,
}

struct Fixture {
    settings: StreamSettings,
    answer_to: mpsc::Sender<Answer>,
}

struct World<'a> {
    fixture: &'a Fixture,
    answers: mpsc::Receiver<Answer>,
    lane: Lane<u32>,
    fresh: Option<ProducerId>,
    now: Duration,
    next_batch: u32,
    waiting: VecDeque<Pending<u32>>,
    /// The last one is in use.
    connections: Vec<Connection<'a>>,
    next_way: Way,
    durability: Durability,
    states: ProducerStates,
    /// Each batch with its number; others' have none.
    log: Vec<(Option<u32>, BatchHeader)>,
    durable: usize,
    fates: Fates,
}

const TIMEOUT: Duration = Duration::from_mins(2);

fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0))
}

fn remote(reason: Reason) -> RemoteError {
    RemoteError { reason, message: reason.to_string(), leader: None, coordinator: None }
}

fn batch_of(records: u32, value: &[u8]) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..records {
        builder.push(Timestamp::from_millis(0), None, Some(value), &[]).unwrap();
    }
    builder.build().unwrap()
}

fn number_of(batch: &Batch) -> u32 {
    let record = batch.records().unwrap().next().unwrap().unwrap();
    u32::from_be_bytes(record.value.unwrap()[..4].try_into().unwrap())
}

impl<'a> World<'a> {
    fn new(
        fixture: &'a Fixture,
        answers: mpsc::Receiver<Answer>,
        durability: Durability,
        retries: u32,
    ) -> Self {
        let tracking = Tracking::Idempotent;
        let settings = LaneSettings { tracking, retries, delivery_timeout: TIMEOUT };
        let mut world = Self {
            fixture,
            answers,
            lane: Lane::new(partition(), settings),
            fresh: Some(ProducerId::new(7)),
            now: Duration::ZERO,
            next_batch: 0,
            waiting: VecDeque::new(),
            connections: Vec::new(),
            next_way: 0,
            durability,
            states: ProducerStates::new(ProducerLimits::default()),
            log: Vec::new(),
            durable: 0,
            fates: BTreeMap::new(),
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        let (attempts, queue) = mpsc::channel(MAX_UNDER_WAY);
        let (outbound, leaving) = mpsc::channel(MAX_UNDER_WAY);
        let stream = Some(Stream::new(&self.fixture.settings, &self.fixture.answer_to));
        let (on_its_way, replies, owes) = Default::default();
        let way = self.next_way;
        self.next_way += 1;
        let connection = Connection {
            way,
            stream,
            attempts,
            queue,
            outbound,
            leaving,
            on_its_way,
            replies,
            owes,
        };
        self.connections.push(connection);
    }

    fn in_use(&mut self) -> &mut Connection<'a> {
        self.connections.last_mut().unwrap()
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.now.as_millis()).unwrap())
    }

    fn end(&self) -> Offset {
        self.log.last().map_or(Offset::ZERO, |(_, header)| header.end_offset())
    }

    fn dispatch(&mut self, dispatch: Dispatch) {
        let attempt = Attempt { of: PartitionIndex::new(0), partition: partition(), dispatch };
        self.in_use().attempts.try_send(attempt).unwrap();
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
        let way = self.in_use().way;
        if self.lane.takes(way)
            && let Some(dispatch) = self.lane.send_again(self.fresh, self.now)
        {
            self.dispatch(dispatch);
        }
        while 0 < self.lane.room(self.fresh)
            && self.lane.takes(way)
            && let Some(pending) = self.waiting.pop_front()
        {
            let dispatch = self.lane.send(pending, self.fresh, self.now).unwrap();
            self.dispatch(dispatch);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Batch(records) => self.hand_over(records),
            Event::TakeUp(index, count) => {
                let connection = index.index(self.connections.len());
                self.take_up(connection, count);
            }
            Event::Leave(index) => {
                let connection = index.index(self.connections.len());
                self.leave(connection);
            }
            Event::Arrive(index, turn) => {
                let connection = index.index(self.connections.len());
                self.arrive(connection, turn);
            }
            Event::Hear(index, reply) => {
                let connection = index.index(self.connections.len());
                let replies = self.connections[connection].replies.len();
                if replies != 0 {
                    self.hear(connection, reply.index(replies));
                }
            }
            Event::Look(count) => {
                for _ in 0..count {
                    self.look();
                }
            }
            Event::End(index, how) => {
                let connection = index.index(self.connections.len());
                self.end_connection(connection, how);
            }
            Event::Wait(seconds) => self.now += Duration::from_secs(seconds),
            Event::Settle => {
                let in_use = self.in_use().way;
                self.connections.retain(|it| it.stream.is_some() || it.way == in_use);
            }
            Event::Other => self.note(None, &batch_of(1, b"none")),
            Event::Die(index) => self.die(index),
        }
        self.send();
    }

    fn hand_over(&mut self, records: u32) {
        let (ticket, opened) = (self.next_batch, self.now);
        let batch = NewBatch { ticket, limit: usize::MAX, opened };
        let mut pending = Pending::new(batch, BatchBuilder::new(Compression::None));
        let value = Bytes::copy_from_slice(&ticket.to_be_bytes());
        for _ in 0..records {
            let timestamp = Timestamp::from_millis(0);
            let record = NewRecord { timestamp, key: None, value: Some(&value), headers: &[] };
            pending.push(record).unwrap();
        }
        self.waiting.push_back(pending);
        self.next_batch += 1;
    }

    fn take_up(&mut self, connection: usize, count: usize) {
        let Connection { stream, queue, outbound, .. } = &mut self.connections[connection];
        let Some(stream) = stream else { return };
        for _ in 0..count {
            let Ok(attempt) = queue.try_recv() else { break };
            stream.take_up(attempt).now_or_never().unwrap();
        }
        stream.send_all(outbound);
    }

    fn leave(&mut self, connection: usize) {
        let Connection { leaving, on_its_way, .. } = &mut self.connections[connection];
        if let Ok(claim) = leaving.try_recv()
            && let Some(request) = claim.take()
        {
            on_its_way.push_back(request);
        }
    }

    /// A request reaches the log.
    fn arrive(&mut self, connection: usize, turn: Turn) {
        let Some(request) = self.connections[connection].on_its_way.pop_front() else { return };
        let batches: Bytes = request.batches.concat().into();
        let batches: Vec<Batch> = Batches::new(batches).map(Result::unwrap).collect();
        let outcome = match turn {
            Turn::Takes => self.append(&batches),
            Turn::Refuses => Err(Reason::Busy),
            Turn::RefusesForGood => Err(Reason::MessageTooLarge),
            Turn::TakesAndTimesOut => self.append(&batches).and(Err(Reason::RequestTimedOut)),
            Turn::TakesAndIsNotHeard => {
                self.append(&batches).ok();
                self.connections[connection].owes = true;
                return;
            }
        };
        if outcome.is_ok() {
            self.durable = self.log.len();
        }
        let connection = &mut self.connections[connection];
        if connection.stream.is_some() {
            connection.replies.push(v1::ProduceStreamResponse {
                correlation_id: request.head.correlation_id,
                base_offset: outcome.ok().map(Offset::get),
                error: outcome.err().map(|reason| error_to_proto(&remote(reason), None)),
                ..Default::default()
            });
        }
    }

    fn append(&mut self, batches: &[Batch]) -> Result<Offset, Reason> {
        let base = self.end();
        let headers = batches.iter().map(Batch::header);
        match self.states.check(headers, base, self.timestamp()) {
            Ok(Verdict::New(note)) => {
                self.states.settle(note);
                for batch in batches {
                    self.note(Some(number_of(batch)), batch);
                }
                Ok(base)
            }
            Ok(Verdict::Duplicate { base_offset, .. }) => Ok(base_offset),
            Err(refusal) => Err(refusal.reason()),
        }
    }

    fn note(&mut self, number: Option<u32>, batch: &Batch) {
        let mut header = batch.header().clone();
        header.base_offset = self.end();
        self.log.push((number, header));
    }

    fn hear(&mut self, connection: usize, reply: usize) {
        let Connection { stream, replies, outbound, .. } = &mut self.connections[connection];
        let reply = replies.remove(reply);
        let stream = stream.as_mut().unwrap();
        stream.answered(reply).now_or_never().unwrap().unwrap();
        stream.send_all(outbound);
    }

    /// The sender looks at the oldest answer.
    fn look(&mut self) {
        let Ok(Answer { number, outcome, .. }) = self.answers.try_recv() else { return };
        let moment = Moment { now: self.now, random: 0 };
        if let Answered::Settled(settled) = self.lane.answered(number, outcome, moment) {
            self.settle(settled);
        }
    }

    fn end_connection(&mut self, index: usize, how: End) {
        let is_in_use = index + 1 == self.connections.len();
        let connection = &mut self.connections[index];
        let error = match how {
            End::IsReplaced if is_in_use => return self.connect(),
            End::ShutsDown if !connection.owes => {
                connection.on_its_way.clear();
                connection.leaving.close();
                while !self.connections[index].replies.is_empty() {
                    self.hear(index, 0);
                }
                remote(Reason::ShuttingDown)
            }
            End::Breaks | End::ShutsDown | End::IsReplaced => remote(Reason::LeaderNotAvailable),
        };
        let Connection { stream, queue, replies, .. } = &mut self.connections[index];
        replies.clear();
        let Some(stream) = stream.take() else { return };
        stream.end(ClientError::Broker(error), queue).now_or_never().unwrap();
        if is_in_use {
            self.connect();
        }
    }

    fn end_all(&mut self) {
        for connection in 0..self.connections.len() {
            self.end_connection(connection, End::Breaks);
        }
        self.send();
    }

    fn die(&mut self, index: Index) {
        self.end_all();
        self.happen(Event::Settle);
        let kept = match self.durability {
            Durability::Synced => self.durable,
            Durability::Cached => 0,
        };
        self.log.truncate(kept + index.index(self.log.len() - kept + 1));
        self.durable = self.log.len();
        self.states = ProducerStates::new(ProducerLimits::default());
        let now = self.timestamp();
        for (_, header) in &self.log {
            self.states.apply(header, now);
        }
    }

    /// Lets everything come to its end on a network that works.
    fn finish(&mut self) {
        self.end_all();
        for _ in 0..1000 {
            let in_use = self.connections.len() - 1;
            self.take_up(in_use, MAX_UNDER_WAY);
            while !self.in_use().leaving.is_empty() {
                self.leave(in_use);
            }
            while !self.in_use().on_its_way.is_empty() {
                self.arrive(in_use, Turn::Takes);
            }
            while !self.in_use().replies.is_empty() {
                self.hear(in_use, 0);
            }
            while !self.answers.is_empty() {
                self.happen(Event::Look(1));
            }
            self.happen(Event::Wait(1));
            if self.fates.len() == self.next_batch as usize {
                break;
            }
        }
        // Stragglers can do no more harm now than before.
        for connection in 0..self.connections.len() {
            for _ in 0..100 {
                self.leave(connection);
                self.arrive(connection, Turn::Takes);
            }
        }
        assert_eq!(self.fates.len(), self.next_batch as usize, "every batch meets its fate");
    }

    fn check(&self) {
        let numbers: Vec<u32> = self.log.iter().filter_map(|(number, _)| *number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "out of order, or twice: {numbers:?}");
        let placed = |(number, header): &(Option<u32>, BatchHeader)| {
            number.map(|number| (number, header.base_offset))
        };
        let offsets: BTreeMap<u32, Offset> = self.log.iter().filter_map(placed).collect();
        for (number, fate) in &self.fates {
            let lies_at = offsets.get(number).copied();
            match fate {
                // What only the cache held may be lost.
                Ok(_) if self.durability == Durability::Cached => {}
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

type Fates = BTreeMap<u32, Result<Option<Offset>, ClientError>>;

/// Plays `events` to their end; returns what became of each batch.
fn play(durability: Durability, retries: u32, events: impl IntoIterator<Item = Event>) -> Fates {
    play_by(durability, retries, |world| events.into_iter().for_each(|event| world.happen(event)))
}

fn play_by(durability: Durability, retries: u32, act: impl FnOnce(&mut World<'_>)) -> Fates {
    let (answer_to, answers) = mpsc::channel(1 << 16);
    let settings = StreamSettings { acks: v1::Acks::All, request_timeout: Duration::from_secs(30) };
    let fixture = Fixture { settings, answer_to };
    let mut world = World::new(&fixture, answers, durability, retries);
    act(&mut world);
    world.finish();
    world.check();
    world.fates
}

/// What holds if nothing was ever given up: all was delivered.
#[track_caller]
fn check_nothing_is_missing(fates: &Fates) {
    for (number, fate) in fates {
        assert!(fate.is_ok(), "batch {number}: {fate:?}");
    }
}

#[test]
fn a_log_knows_again_what_one_stream_has_under_way_though_another_has_taken_its_place() {
    let fates = play_by(Durability::Synced, u32::MAX, |world| {
        let request = |world: &mut World<'_>, turn| {
            world.hand_over(1);
            world.send();
            let in_use = world.connections.len() - 1;
            world.take_up(in_use, 1);
            world.leave(in_use);
            world.arrive(in_use, turn);
            world.happen(Event::Other);
        };
        request(world, Turn::TakesAndTimesOut);
        for _ in 0..4 {
            request(world, Turn::Takes);
        }
        world.end_connection(0, End::IsReplaced);
        request(world, Turn::Takes);
    });
    check_nothing_is_missing(&fates);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_batch_is_in_the_log_once_in_order_and_as_told(
        events in events(),
        retries in retries(),
    ) {
        play(Durability::Synced, retries, events);
    }

    #[test]
    fn a_log_that_loses_its_end_holds_no_batch_twice_nor_out_of_order(
        events in events(),
        retries in retries(),
    ) {
        play(Durability::Cached, retries, events);
    }

    #[test]
    fn what_passes_costs_no_batch(events in prop::collection::vec(passing_event(), 1..200)) {
        check_nothing_is_missing(&play(Durability::Synced, u32::MAX, events));
    }
}
