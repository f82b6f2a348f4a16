use std::time::Duration;

use commit_log::{Append, AppendAt, AppendError, LogKey};
use daemon::clock::Clock;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use record::Batch;
use replication::{Appended, Effect, Input, Leader, LogEnds, Membership, ProduceError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::{BrokerId, LeaderEpoch, Offset, TimestampType, TopicPartition};

use super::{Outcome, Partition, PartitionError, Produce, Request, TopicLimits};
use crate::directory::{AppendResult, AppendSlot, DirectoryQueue, Log};
use crate::lease::LeaseView;

/// What the metadata says about a leadership that begins.
#[derive(Debug)]
pub(crate) struct Leadership {
    /// Who leads: this broker.
    pub(crate) broker: BrokerId,
    /// The partition, as its users call it.
    pub(crate) name: TopicPartition,
    /// Its log's place in the directory.
    pub(crate) key: LogKey,
    /// The epoch led.
    pub(crate) epoch: LeaderEpoch,
    /// What the topic allows.
    pub(crate) limits: TopicLimits,
    /// How many produces may wait.
    pub(crate) queue: usize,
}

/// Owns the leader of one partition and carries out its effects.
#[derive(Debug)]
pub(crate) struct Task {
    leader: Leader<oneshot::Sender<Outcome>>,
    name: TopicPartition,
    key: LogKey,
    requests: mpsc::Receiver<Request>,
    membership: watch::Receiver<Membership>,
    committed: watch::Sender<Offset>,
    log: Log,
    directory: DirectoryQueue,
    /// The log's answers to come, in the order in which it was asked.
    appends: FuturesOrdered<oneshot::Receiver<AppendResult>>,
    lease: LeaseView,
    clock: Clock,
}

/// A verified produce with its place in the writer's queue.
struct Payload {
    batches: Vec<Batch>,
    timestamp_type: TimestampType,
    memory: OwnedSemaphorePermit,
    slot: AppendSlot,
}

type LeaderInput = Input<Payload, oneshot::Sender<Outcome>, AppendError>;

impl Task {
    /// Begins a leadership over `log`. The handle works once [`run`](Self::run) is polled.
    pub(crate) fn new(
        leadership: Leadership,
        membership: watch::Receiver<Membership>,
        log: Log,
        directory: DirectoryQueue,
        lease: LeaseView,
        clock: Clock,
    ) -> (Partition, Self) {
        let Leadership { broker, name, key, epoch, limits, queue } = leadership;
        let leader = Leader::start(broker, epoch, membership.borrow().clone(), ends(&log));
        let (committed, high_watermark) = watch::channel(leader.high_watermark());
        let (sender, requests) = mpsc::channel(queue);
        let partition = Partition {
            name,
            epoch,
            key,
            limits,
            requests: sender,
            committed: high_watermark,
            log: log.clone(),
            lease: lease.clone(),
        };
        let appends = FuturesOrdered::new();
        let task = Self {
            leader,
            name: partition.name.clone(),
            key,
            requests,
            membership,
            committed,
            log,
            directory,
            appends,
            lease,
            clock,
        };
        (partition, task)
    }

    /// Leads until `stop`, then answers everyone who waits and lets the log finish what it was
    /// given, so that the next leadership finds the log at rest.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut next = None;
        while let Some(input) = self.next_input(&mut next, &stop).await {
            self.step(input);
        }
        self.requests.close();
        while let Some(request) = next.take().or_else(|| self.requests.try_recv().ok()) {
            answer(request.reply, Err(PartitionError::Ended { partition: self.name.clone() }));
        }
        self.step(Input::Fenced);
        while let Some(done) = self.appends.next().await {
            if let Ok(answer) = done {
                self.step(input_of(answer));
            }
        }
    }

    /// What happens next; `None` when the leadership is over. `next` is a request that was taken
    /// off the mailbox and waits for its place at the writer.
    async fn next_input(
        &mut self,
        next: &mut Option<Request>,
        stop: &CancellationToken,
    ) -> Option<LeaderInput> {
        loop {
            let due = self.leader.next_deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(done) = self.appends.next() => return done.ok().map(input_of),
                () = self.lease.changed() => {
                    if !self.lease.holds() {
                        return Some(Input::Fenced);
                    }
                }
                Ok(()) = self.membership.changed() => {
                    let membership = self.membership.borrow_and_update().clone();
                    self.step(Input::Reconfigured(membership));
                    // A change of durability may have synced the log.
                    return Some(Input::Durable(self.log.durable_end()));
                }
                () = until(self.clock, due) => return Some(Input::Tick),
                slot = self.directory.slot(), if next.is_some() => {
                    let Request { produce, reply } = next.take()?;
                    return slot.ok().map(|slot| input_of_produce(produce, reply, slot));
                }
                Some(request) = self.requests.recv(), if next.is_none() => *next = Some(request),
            }
        }
    }

    fn step(&mut self, input: LeaderInput) {
        for effect in self.leader.step(input, self.clock.monotonic()) {
            match effect {
                Effect::Append { epoch, payload } => {
                    let Payload { batches, timestamp_type, memory, slot } = payload;
                    let batches = self.stamped(batches, timestamp_type);
                    let append = Append { log: self.key, epoch, batches, at: AppendAt::End };
                    self.appends.push_back(slot.append(append, memory));
                }
                Effect::HighWatermark(end) => {
                    self.committed.send_replace(end);
                }
                Effect::Answer { reply, outcome } => {
                    answer(reply, outcome.map_err(|error| self.placed(error)));
                }
            }
        }
    }
}

impl Task {
    /// The batches with the timestamps that the topic wants. Here their order is settled, so that
    /// the log's times rise with its offsets as the broker's clock does.
    fn stamped(&self, batches: Vec<Batch>, timestamp_type: TimestampType) -> Vec<Batch> {
        match timestamp_type {
            TimestampType::Create => batches,
            TimestampType::LogAppend => {
                let now = self.clock.now();
                batches.into_iter().map(|batch| batch.appended_at(now)).collect()
            }
        }
    }

    /// Says where it happened.
    fn placed(&self, error: ProduceError<AppendError>) -> PartitionError {
        match error {
            ProduceError::Log(source) => {
                PartitionError::Log { partition: self.name.clone(), source }
            }
            ProduceError::NotEnoughReplicas { .. }
            | ProduceError::TimedOut
            | ProduceError::NoLongerLeader => error.into(),
        }
    }
}

/// Whoever asked may have given up; its answer is then of no use to anyone.
fn answer(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    drop(reply.send(outcome));
}

fn ends(log: &Log) -> LogEnds {
    // In this order: the log may grow meanwhile, and what is durable is never beyond its end.
    let durable_end = log.durable_end();
    LogEnds { start: log.log_start(), end: log.end(), durable_end }
}

fn input_of(answer: AppendResult) -> LeaderInput {
    match answer {
        Ok(appended) => Input::Appended(Appended {
            base_offset: appended.base_offset,
            end: appended.end,
            durable_end: appended.durable_end,
        }),
        Err(error) => Input::AppendFailed(error),
    }
}

fn input_of_produce(
    produce: Produce,
    reply: oneshot::Sender<Outcome>,
    slot: AppendSlot,
) -> LeaderInput {
    let Produce { batches, timestamp_type, acks, deadline, memory } = produce;
    let payload = Payload { batches, timestamp_type, memory, slot };
    Input::Produce(replication::Produce { payload, reply, acks, deadline })
}

async fn until(clock: Clock, due: Option<Duration>) {
    match due {
        Some(due) => sleep(due.saturating_sub(clock.monotonic())).await,
        None => std::future::pending().await,
    }
}
