//! The task behind a producer: takes batches that are due, routes them to the leaders' streams, and
//! acts on the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use types::{BrokerId, TopicName, TopicPartition};
use wire::v1::broker as v1;

use super::accumulator::Pending;
use super::config::Acks;
use super::delivery::{Outcome, Ticket};
use super::stream::{self, Answer, Attempt, MAX_UNDER_WAY, StreamSettings};
use super::verdict::{Failure, Verdict, judge};
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
    address: String,
    attempts: mpsc::Sender<Attempt>,
}

pub(crate) struct Sender {
    inner: Arc<Inner>,
    streams: BTreeMap<BrokerId, StreamHandle>,
    stream_tasks: JoinSet<()>,
    under_way: BTreeMap<TopicPartition, Pending<Ticket>>,
    answer_to: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    refreshes: JoinSet<TopicName>,
    refreshing: BTreeSet<TopicName>,
    next_refresh: Instant,
}

impl Sender {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        let (answer_to, answers) = mpsc::channel(MAX_ANSWERS);
        Self {
            next_refresh: inner.start + METADATA_MAX_AGE,
            inner,
            streams: BTreeMap::new(),
            stream_tasks: JoinSet::new(),
            under_way: BTreeMap::new(),
            answer_to,
            answers,
            refreshes: JoinSet::new(),
            refreshing: BTreeSet::new(),
        }
    }

    /// Runs until `stop`. What is not settled by then is told so.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let inner = Arc::clone(&self.inner);
        loop {
            self.expire();
            self.send_due();
            let wakeup = inner.gathered().accumulator.next_wakeup();
            let wakeup =
                wakeup.map_or(self.next_refresh, |at| self.next_refresh.min(inner.start + at));
            tokio::select! {
                () = stop.cancelled() => break,
                () = inner.wake.notified() => {}
                () = sleep_until(wakeup) => self.refresh_old(),
                Some(answer) = self.answers.recv() => self.answered(answer),
                Some(refreshed) = self.refreshes.join_next() => self.refreshed(refreshed.ok()),
                // A stream that ended has answered everything.
                Some(_ended) = self.stream_tasks.join_next() => {}
            }
        }
        self.abandon();
    }

    fn now(&self) -> Duration {
        self.inner.start.elapsed()
    }

    fn expire(&self) {
        let waited = self.inner.config.delivery_timeout;
        let timeout = ClientError::Timeout { request: "a delivery", waited };
        let mut gathered = self.inner.gathered();
        for (partition, pending) in gathered.accumulator.take_expired(self.now()) {
            let cause = pending.last_failure.clone().unwrap_or_else(|| timeout.clone());
            let outcome = Err(not_delivered(&partition, &pending, cause));
            self.settle(&mut gathered, &pending, outcome);
        }
    }

    fn send_due(&mut self) {
        let due = self.inner.gathered().accumulator.take_due(self.now());
        for (partition, pending) in due {
            if let Some(leader) = self.inner.metadata.leader(&partition) {
                self.attempt(partition, pending, &leader);
            } else {
                let failure = Failure::NotSent(no_leader(&partition));
                self.failed(&partition, pending, failure);
            }
        }
    }

    fn attempt(
        &mut self,
        partition: TopicPartition,
        mut pending: Pending<Ticket>,
        leader: &Leader,
    ) {
        let batch = match pending.seal() {
            Ok(batch) => batch,
            Err(source) => {
                let cause = ClientError::Record { topic_partition: partition.clone(), source };
                self.finish(&partition, &pending, Err(not_delivered(&partition, &pending, cause)));
                return;
            }
        };
        let attempt = Attempt { partition: partition.clone(), batch };
        if self.stream(leader).try_send(attempt).is_ok() {
            self.under_way.insert(partition, pending);
        } else {
            // The stream has as much under way as it may, or ended this moment.
            let later = self.now() + STREAM_PAUSE;
            self.inner.gathered().accumulator.put_back(&partition, pending, later);
        }
    }

    /// The stream to a leader: the one there is, or a new one.
    fn stream(&mut self, leader: &Leader) -> mpsc::Sender<Attempt> {
        if let Some(stream) = self.streams.get(&leader.broker)
            && stream.address == leader.address
            && !stream.attempts.is_closed()
        {
            return stream.attempts.clone();
        }
        let settings = StreamSettings {
            address: leader.address.clone(),
            acks: match self.inner.config.acks {
                Acks::None => v1::Acks::None,
                Acks::Leader => v1::Acks::Leader,
                Acks::All => v1::Acks::All,
            },
            request_timeout: self.inner.config.request_timeout,
        };
        let (attempts, queue) = mpsc::channel(MAX_UNDER_WAY);
        self.stream_tasks.spawn(stream::run(settings, queue, self.answer_to.clone()));
        let handle = StreamHandle { address: leader.address.clone(), attempts: attempts.clone() };
        self.streams.insert(leader.broker, handle);
        attempts
    }

    fn answered(&mut self, answer: Answer) {
        let Answer { partition, outcome } = answer;
        // Each attempt is answered once, and was noted when it was made.
        let Some(pending) = self.under_way.remove(&partition) else { return };
        match outcome {
            Ok(None) if self.inner.config.acks != Acks::None => {
                let missing = wire::InvalidMessage::Missing { field: "base_offset" };
                let failure = Failure::Lost(ClientError::InvalidAnswer(missing));
                self.failed(&partition, pending, failure);
            }
            Ok(base) => self.finish(&partition, &pending, Ok(base)),
            Err(failure) => self.failed(&partition, pending, failure),
        }
    }

    /// Decides about a batch that is out of the accumulator and was not delivered.
    fn failed(
        &mut self,
        partition: &TopicPartition,
        mut pending: Pending<Ticket>,
        failure: Failure,
    ) {
        match judge(failure, self.inner.config.retry_unknown_outcome) {
            Verdict::Retry(cause) if pending.failures < self.inner.config.retries => {
                debug!(%partition, error = %cause, "a batch is to be sent again");
                self.refresh(&partition.topic);
                pending.failures += 1;
                pending.last_failure = Some(cause);
                let retry_at = self.now() + wait(pending.failures, random());
                self.inner.gathered().accumulator.put_back(partition, pending, retry_at);
            }
            Verdict::Retry(cause) | Verdict::NotDelivered(cause) => {
                self.finish(partition, &pending, Err(not_delivered(partition, &pending, cause)));
            }
            Verdict::OutcomeUnknown(cause) => {
                // Whatever happened, the leader may be another one by now.
                self.refresh(&partition.topic);
                self.finish(partition, &pending, Err(outcome_unknown(partition, &pending, cause)));
            }
        }
    }

    /// The end of a batch that was out of the accumulator.
    fn finish(&self, partition: &TopicPartition, pending: &Pending<Ticket>, outcome: Outcome) {
        let mut gathered = self.inner.gathered();
        gathered.accumulator.settled(partition);
        self.settle(&mut gathered, pending, outcome);
    }

    /// Under the lock that took the batch out of the accumulator: a flush finds it either there or
    /// among the failures.
    fn settle(&self, gathered: &mut Gathered, pending: &Pending<Ticket>, outcome: Outcome) {
        self.inner.memory.add_permits(pending.memory);
        if let Err(error) = &outcome {
            gathered.untold.add(pending.ticket.clone(), error.clone());
        }
        pending.ticket.settle(outcome);
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

    /// Nobody sends any more: everyone who still waits is told what is known.
    fn abandon(mut self) {
        let under_way = std::mem::take(&mut self.under_way);
        let mut gathered = self.inner.gathered();
        gathered.closed = true;
        for (partition, pending) in under_way {
            let outcome = Err(outcome_unknown(&partition, &pending, ClientError::Closed));
            self.settle(&mut gathered, &pending, outcome);
        }
        for (partition, pending) in gathered.accumulator.take_all() {
            let outcome = Err(not_delivered(&partition, &pending, ClientError::Closed));
            self.settle(&mut gathered, &pending, outcome);
        }
    }
}

fn not_delivered(
    partition: &TopicPartition,
    pending: &Pending<Ticket>,
    cause: ClientError,
) -> ClientError {
    ClientError::NotDelivered {
        topic_partition: partition.clone(),
        records: pending.record_count(),
        cause: Box::new(cause),
    }
}

fn outcome_unknown(
    partition: &TopicPartition,
    pending: &Pending<Ticket>,
    cause: ClientError,
) -> ClientError {
    ClientError::OutcomeUnknown {
        topic_partition: partition.clone(),
        records: pending.record_count(),
        cause: Box::new(cause),
    }
}
