//! The task behind a producer: takes batches that are due, routes them to the leaders' streams, and
//! acts on the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use types::{BrokerId, Coded, Reason, TopicName, TopicPartition};
use wire::v1::broker as v1;

use super::accumulator::Gate;
use super::batch::{Pending, Settled};
use super::config::Acks;
use super::delivery::Ticket;
use super::identity::Identity;
use super::lane::{Answered, Lane, LaneSettings, Moment, Tracking, Way};
use super::numbering::PartitionIndex;
use super::stream::{self, Answer, Attempt, MAX_UNDER_WAY, StreamSettings};
use super::verdict::Failure;
use super::{Gathered, Inner};
use crate::ClientError;
use crate::backoff::{random, wait};
use crate::metadata::{Leader, Missing, no_leader};

/// Room for answers that the sender has not looked at: a full queue holds back the streams.
const MAX_ANSWERS: usize = 1024;
/// How long a batch waits whose stream has as much under way as it may.
const STREAM_PAUSE: Duration = Duration::from_millis(5);
/// Age at which metadata is asked for again, so that added partitions get records.
const METADATA_MAX_AGE: Duration = Duration::from_mins(5);

struct StreamHandle {
    way: Way,
    address: Arc<str>,
    attempts: mpsc::Sender<Attempt>,
}

pub(crate) struct Sender {
    inner: Arc<Inner>,
    streams: BTreeMap<BrokerId, StreamHandle>,
    next_way: Way,
    stream_tasks: JoinSet<()>,
    /// One for each partition that may have been sent to, by number: it knows the sequences that
    /// were used there.
    lanes: Vec<Lane<Ticket>>,
    /// Those with batches to be sent again.
    troubled: BTreeSet<PartitionIndex>,
    /// Those that can send nothing before there is another producer id.
    nameless: BTreeSet<PartitionIndex>,
    identity: Identity,
    answer_to: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    refreshes: JoinSet<TopicName>,
    refreshing: BTreeSet<TopicName>,
    next_refresh: Instant,
}

impl Sender {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        let (answer_to, answers) = mpsc::channel(MAX_ANSWERS);
        let metadata = Arc::clone(&inner.metadata);
        Self {
            identity: Identity::new(metadata, inner.config.request_timeout, inner.start),
            next_refresh: inner.start + METADATA_MAX_AGE,
            inner,
            streams: BTreeMap::new(),
            next_way: 0,
            stream_tasks: JoinSet::new(),
            lanes: Vec::new(),
            troubled: BTreeSet::new(),
            nameless: BTreeSet::new(),
            answer_to,
            answers,
            refreshes: JoinSet::new(),
            refreshing: BTreeSet::new(),
        }
    }

    /// Runs until `stop`. What is not settled by then is told so.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let inner = Arc::clone(&self.inner);
        if inner.config.tracking() == Tracking::Idempotent {
            inner.gathered().accumulator.set_gate(Gate::Shut);
        }
        loop {
            self.expire();
            self.send_again();
            self.send_due();
            let wakeup = self.wakeup();
            tokio::select! {
                () = stop.cancelled() => break,
                () = inner.wake.notified() => {}
                () = sleep_until(wakeup) => self.refresh_old(),
                Some(answer) = self.answers.recv() => {
                    self.answered(answer);
                    // Whatever else is there is looked at before anything is sent.
                    for _ in 0..MAX_ANSWERS {
                        let Ok(answer) = self.answers.try_recv() else { break };
                        self.answered(answer);
                    }
                }
                is_new = self.identity.answered() => if is_new { self.named() },
                Some(refreshed) = self.refreshes.join_next() => self.refreshed(refreshed.ok()),
                // A stream that ended has answered everything.
                Some(_ended) = self.stream_tasks.join_next() => {}
            }
            // Of all who were told of a delivery, or have a record, the first has woken this task.
            // Once the others had their turn, their batches leave together.
            yield_now().await;
            // What they have woken it for is done in the round that follows.
            inner.wake.notified().now_or_never();
        }
    }

    fn now(&self) -> Duration {
        self.inner.start.elapsed()
    }

    /// When there is something to do if nothing else happens. Asks for a producer id if one is
    /// wanted.
    fn wakeup(&mut self) -> Instant {
        let (waiting, gathered) = {
            let accumulator = &self.inner.gathered().accumulator;
            (accumulator.has_waiting(), accumulator.next_wakeup())
        };
        let id = self.identity.current();
        let lanes = self.troubled.iter().filter_map(|of| self.lanes.get(of.place())?.wakeup(id));
        let next = lanes.chain(gathered).min().map(|at| self.inner.start + at);
        let is_idempotent = self.inner.config.tracking() == Tracking::Idempotent;
        let is_new = is_idempotent && id.is_none() && waiting;
        let asked_again = if is_new || !self.nameless.is_empty() {
            self.identity.ask(Instant::now())
        } else {
            None
        };
        next.into_iter().chain(asked_again).fold(self.next_refresh, Instant::min)
    }

    fn expire(&mut self) {
        let now = self.now();
        let waited = self.inner.config.delivery_timeout;
        let timeout = ClientError::Timeout { request: "a delivery", waited };
        let troubled: Vec<PartitionIndex> = self.troubled.iter().copied().collect();
        for of in troubled {
            let expired = self.lanes.get_mut(of.place()).map(|lane| lane.expire(now));
            for settled in expired.unwrap_or_default() {
                self.settle(of, settled);
            }
            self.tend(of);
        }
        let mut gathered = self.inner.gathered();
        for (of, pending) in gathered.accumulator.take_expired(now) {
            let cause = pending.last_failure.as_ref().or(self.identity.last_failure());
            let cause = cause.unwrap_or(&timeout).clone();
            self.settle_undelivered(&mut gathered, of, pending, cause);
        }
    }

    /// Sends what comes after a failure, in its order.
    fn send_again(&mut self) {
        let (now, id) = (self.now(), self.identity.current());
        let troubled: Vec<PartitionIndex> = self.troubled.iter().copied().collect();
        for of in troubled {
            let due = self.lanes.get(of.place()).filter(|lane| lane.is_due(id, now));
            let Some(partition) = due.map(|lane| lane.partition().clone()) else { continue };
            let Some(leader) = self.inner.metadata.leader(&partition) else {
                let cause = no_leader(&partition);
                let moment = self.moment();
                let unsendable = |lane: &mut Lane<Ticket>| lane.unsendable(cause, moment);
                let answered = self.lanes.get_mut(of.place()).map(unsendable);
                self.act(of, answered.unwrap_or(Answered::Stale));
                continue;
            };
            let (way, attempts) = self.stream(&leader);
            let permit = attempts.try_reserve_owned().ok();
            let Some(lane) = self.lanes.get_mut(of.place()) else { continue };
            // The stream has as much under way as it may, or ended this moment.
            let Some(permit) = permit.filter(|_| lane.takes(way)) else {
                lane.hold(now + STREAM_PAUSE);
                continue;
            };
            if let Some(dispatch) = lane.send_again(id, now) {
                permit.send(Attempt { of, partition, dispatch });
            }
            self.tend(of);
        }
    }

    /// Sends what was never sent.
    fn send_due(&mut self) {
        let now = self.now();
        loop {
            // One of each partition at a time: one that cannot be sent holds back those behind it.
            let due = self.take_due(now);
            if due.is_empty() {
                return;
            }
            for (of, pending) in due {
                self.send(of, pending, now);
            }
        }
    }

    /// What may leave now. Each of these partitions has a lane then.
    fn take_due(&mut self, now: Duration) -> Vec<(PartitionIndex, Pending<Ticket>)> {
        let settings = LaneSettings {
            tracking: self.inner.config.tracking(),
            retries: self.inner.config.retries,
            delivery_timeout: self.inner.config.delivery_timeout,
        };
        let accumulator = &mut self.inner.gathered().accumulator;
        let new = accumulator.partitions_behind(self.lanes.len());
        self.lanes.extend(new.map(|partition| Lane::new(partition.clone(), settings)));
        accumulator.take_due(now)
    }

    fn send(&mut self, of: PartitionIndex, pending: Pending<Ticket>, now: Duration) {
        let partition = self.lane(of).partition().clone();
        let Some(leader) = self.inner.metadata.leader(&partition) else {
            return self.unsendable(of, &partition, pending);
        };
        let id = self.identity.current();
        let (way, attempts) = self.stream(&leader);
        let permit = attempts.try_reserve_owned();
        let lane = self.lane(of);
        match permit {
            Ok(permit) if 0 < lane.room(id) && lane.takes(way) => match lane.send(pending, id, now)
            {
                Ok(dispatch) => {
                    permit.send(Attempt { of, partition, dispatch });
                }
                Err(settled) => self.settle(of, settled),
            },
            // The stream has as much under way as it may, or ended this moment; or the lane waits,
            // perhaps for what another stream has.
            Ok(_) | Err(_) => {
                let later = now + STREAM_PAUSE;
                self.inner.gathered().accumulator.put_back(of, pending, later);
            }
        }
        self.tend(of);
    }

    /// The lane of a partition from which a batch has left.
    #[expect(clippy::indexing_slicing, reason = "made before any batch is taken")]
    fn lane(&mut self, of: PartitionIndex) -> &mut Lane<Ticket> {
        &mut self.lanes[of.place()]
    }

    /// A batch that was never sent has nowhere to go, for now.
    fn unsendable(
        &mut self,
        of: PartitionIndex,
        partition: &TopicPartition,
        mut pending: Pending<Ticket>,
    ) {
        let cause = no_leader(partition);
        self.refresh(&partition.topic);
        if self.inner.config.retries <= pending.failures {
            return self.settle(of, undelivered(partition, pending, cause));
        }
        pending.failures += 1;
        pending.last_failure = Some(cause);
        let retry_at = self.now() + wait(pending.failures, random());
        self.inner.gathered().accumulator.put_back(of, pending, retry_at);
    }

    /// The stream to a leader: the one there is, or a new one.
    fn stream(&mut self, leader: &Leader) -> (Way, mpsc::Sender<Attempt>) {
        if let Some(stream) = self.streams.get(&leader.broker)
            && stream.address == leader.address
            && !stream.attempts.is_closed()
        {
            return (stream.way, stream.attempts.clone());
        }
        let settings = StreamSettings {
            acks: match self.inner.config.acks {
                Acks::None => v1::Acks::None,
                Acks::Leader => v1::Acks::Leader,
                Acks::All => v1::Acks::All,
            },
            request_timeout: self.inner.config.request_timeout,
        };
        let (attempts, queue) = mpsc::channel(MAX_UNDER_WAY);
        let connection = self.inner.metadata.produce_connection(&leader.address);
        let answer_to = self.answer_to.clone();
        self.stream_tasks.spawn(stream::run(settings, connection, queue, answer_to));
        let (way, address) = (self.next_way, Arc::clone(&leader.address));
        self.next_way += 1;
        let handle = StreamHandle { way, address, attempts: attempts.clone() };
        self.streams.insert(leader.broker, handle);
        (way, attempts)
    }

    fn answered(&mut self, answer: Answer) {
        let Answer { of, number, outcome } = answer;
        let outcome = match outcome {
            Ok(None) if self.inner.config.acks != Acks::None => {
                let missing = wire::InvalidMessage::Missing { field: "base_offset" };
                Err(Failure::Lost(ClientError::InvalidAnswer(missing)))
            }
            outcome => outcome,
        };
        // Most answers are good ones, and the system is not to be asked for a number for each.
        let random = if outcome.is_ok() { 0 } else { random() };
        let moment = Moment { now: self.now(), random };
        let answered = self.lane(of).answered(number, outcome, moment);
        self.act(of, answered);
    }

    fn act(&mut self, of: PartitionIndex, answered: Answered<Ticket>) {
        match answered {
            Answered::Settled(settled) => {
                if settled.outcome.as_ref().is_err_and(calls_for_new_metadata) {
                    self.refresh_topic_of(of);
                }
                self.settle(of, settled);
            }
            Answered::Again(cause) => {
                let partition = self.lane(of).partition();
                debug!(%partition, error = %cause, "a batch is to be sent again");
                self.refresh_topic_of(of);
            }
            Answered::Stale => {}
        }
        self.tend(of);
    }

    fn refresh_topic_of(&mut self, of: PartitionIndex) {
        let topic = self.lane(of).partition().topic.clone();
        self.refresh(&topic);
    }

    /// Notes what a lane can and cannot do after something happened to it.
    fn tend(&mut self, of: PartitionIndex) {
        let Some(lane) = self.lanes.get(of.place()) else { return };
        let id = self.identity.current();
        self.inner.gathered().accumulator.set_slots(of, lane.room(id));
        note(&mut self.troubled, of, lane.is_troubled());
        note(&mut self.nameless, of, lane.needs_id(id));
    }

    /// There is a new producer id.
    fn named(&mut self) {
        self.inner.gathered().accumulator.set_gate(Gate::Open);
        for of in std::mem::take(&mut self.nameless) {
            self.tend(of);
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now(), random: random() }
    }

    /// The end of a batch that had left the accumulator.
    fn settle(&self, of: PartitionIndex, settled: Settled<Ticket>) {
        self.settle_locked(&mut self.inner.gathered(), of, settled);
    }

    /// Under one lock: a flush finds a batch either in the accumulator or among the failures.
    fn settle_locked(&self, gathered: &mut Gathered, of: PartitionIndex, settled: Settled<Ticket>) {
        let Settled { ticket, memory, outcome } = settled;
        gathered.accumulator.settled(of, &ticket);
        self.inner.memory.add_permits(memory);
        if let Err(error) = &outcome {
            gathered.untold.add(ticket.clone(), error.clone());
        }
        ticket.settle(outcome);
    }

    /// The end of a batch that was never sent.
    fn settle_undelivered(
        &self,
        gathered: &mut Gathered,
        of: PartitionIndex,
        pending: Pending<Ticket>,
        cause: ClientError,
    ) {
        let partition = gathered.accumulator.name(of).clone();
        self.settle_locked(gathered, of, undelivered(&partition, pending, cause));
    }

    fn refresh(&mut self, topic: &TopicName) {
        if !self.refreshing.insert(topic.clone()) {
            return;
        }
        let metadata = Arc::clone(&self.inner.metadata);
        let topic = topic.clone();
        self.refreshes.spawn(async move {
            if let Err(error) = metadata.refresh(&topic, Missing::Refuse).await {
                // Whoever waits for the topic asks again after its pause, until it expires.
                debug!(%topic, %error, "metadata could not be refreshed");
            }
            topic
        });
    }

    fn refresh_old(&mut self) {
        if Instant::now() < self.next_refresh {
            return;
        }
        self.next_refresh = Instant::now() + METADATA_MAX_AGE;
        for topic in self.inner.metadata.known_topics() {
            self.refresh(&topic);
        }
    }

    fn refreshed(&mut self, topic: Option<TopicName>) {
        match topic {
            Some(topic) => {
                self.refreshing.remove(&topic);
            }
            // A refresh panicked, and which one is not known.
            None => self.refreshing.clear(),
        }
    }
}

impl Drop for Sender {
    /// Nobody sends any more, even if it is for a panic: everyone who still waits is told what is
    /// known.
    fn drop(&mut self) {
        let lanes = std::mem::take(&mut self.lanes);
        let mut gathered = self.inner.gathered();
        gathered.closed = true;
        for (place, mut lane) in lanes.into_iter().enumerate() {
            for settled in lane.abandon(&ClientError::Closed) {
                self.settle_locked(&mut gathered, PartitionIndex::new(place), settled);
            }
        }
        for (of, pending) in gathered.accumulator.take_all() {
            self.settle_undelivered(&mut gathered, of, pending, ClientError::Closed);
        }
        // What a panic found on the way from one to the other.
        for ticket in gathered.accumulator.take_left() {
            gathered.untold.add(ticket.clone(), ClientError::Closed);
            ticket.settle(Err(ClientError::Closed));
        }
    }
}

/// What becomes of a batch that was never sent.
fn undelivered(
    partition: &TopicPartition,
    pending: Pending<Ticket>,
    cause: ClientError,
) -> Settled<Ticket> {
    let outcome = Err(ClientError::NotDelivered {
        topic_partition: partition.clone(),
        records: pending.record_count(),
        cause: Box::new(cause),
    });
    Settled { ticket: pending.ticket, memory: pending.memory, outcome }
}

/// Whether a batch that ended so tells that what is known of its topic may be old.
fn calls_for_new_metadata(error: &ClientError) -> bool {
    // The leader may be another one by now, or the largest batch that the topic takes a smaller.
    matches!(error, ClientError::OutcomeUnknown { .. }) || error.reason() == Reason::MessageTooLarge
}

fn note(noted: &mut BTreeSet<PartitionIndex>, of: PartitionIndex, belongs: bool) {
    if belongs {
        noted.insert(of);
    } else {
        noted.remove(&of);
    }
}
