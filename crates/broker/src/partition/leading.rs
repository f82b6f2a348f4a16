//! The leader of one partition, stepped by whoever has something to tell it.
//!
//! A produce is brought by the request's own task, an answer of the log by the one task that tells
//! all of them: no task of the partition stands in between, whose waking would cost more than what
//! it does. Each holds the lock for one step, and within it only hands on: to the writer's queue, in
//! which the place was taken before, and to those who wait.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commit_log::{Append, AppendAt, AppendError, LogKey};
use daemon::clock::Clock;
use record::Batch;
use replication::{Appended, Effect, Input, Leader, ProduceError};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot, watch};
use types::{Offset, TimestampType, TopicPartition};

use super::{Outcome, PartitionError, Produce};
use crate::directory::{AppendResult, AppendSlot, Appender, Appending};

/// A verified produce with its place in the writer's queue.
#[derive(Debug)]
struct Payload {
    batches: Vec<Batch>,
    timestamp_type: TimestampType,
    memory: OwnedSemaphorePermit,
    slot: AppendSlot,
}

type LeaderInput = Input<Payload, oneshot::Sender<Outcome>, AppendError>;
type LeaderEffect = Effect<Payload, oneshot::Sender<Outcome>, AppendError>;

/// More room for effects than this is given back: only the end of a leadership takes it.
const KEPT_EFFECTS: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Leading {
    name: TopicPartition,
    key: LogKey,
    clock: Clock,
    state: Mutex<State>,
    /// Wakes the attendant.
    attention: Notify,
}

#[derive(Debug)]
struct State {
    leader: Leader<oneshot::Sender<Outcome>>,
    /// Empty between two steps: memory for the next one's.
    effects: Vec<LeaderEffect>,
    /// Who reads is told of the high watermark, and by its absence that nobody leads any more.
    committed: Option<watch::Sender<Offset>>,
    /// Appends that the log has not answered.
    unanswered: usize,
    /// When the attendant looks at the deadlines next, if nobody wakes it.
    attended: Option<Duration>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Leading,
    /// Nothing is taken up any more.
    Ended,
}

impl Leading {
    pub(super) fn new(
        leader: Leader<oneshot::Sender<Outcome>>,
        name: TopicPartition,
        key: LogKey,
        committed: watch::Sender<Offset>,
        clock: Clock,
    ) -> Self {
        let (committed, phase) = (Some(committed), Phase::Leading);
        let effects = Vec::new();
        let state = State { leader, effects, committed, unanswered: 0, attended: None, phase };
        Self { name, key, clock, state: Mutex::new(state), attention: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a produce that has its place in the writer's queue.
    ///
    /// # Errors
    ///
    /// The leadership has ended; nothing was written.
    pub(super) fn produce(
        self: &Arc<Self>,
        produce: Produce,
        slot: AppendSlot,
    ) -> Result<oneshot::Receiver<Outcome>, PartitionError> {
        let Produce { batches, timestamp_type, acks, deadline, memory } = produce;
        let payload = Payload { batches, timestamp_type, memory, slot };
        let (reply, outcome) = oneshot::channel();
        let mut state = self.state();
        if state.phase == Phase::Ended {
            drop(state);
            return Err(PartitionError::Ended { partition: self.name.clone() });
        }
        let produce = replication::Produce { payload, reply, acks, deadline };
        self.step_locked(&mut state, Input::Produce(produce));
        if let Some(due) = state.leader.next_deadline()
            && state.attended.is_none_or(|attended| due < attended)
        {
            state.attended = Some(due);
            self.attention.notify_one();
        }
        Ok(outcome)
    }

    /// The log is on disk up to here (exclusive).
    pub(super) fn durable(self: &Arc<Self>, end: Offset) {
        self.step_locked(&mut self.state(), Input::Durable(end));
    }

    /// New metadata within the epoch.
    pub(super) fn reconfigured(self: &Arc<Self>, membership: replication::Membership) {
        self.step_locked(&mut self.state(), Input::Reconfigured(membership));
    }

    /// There is no right to lead, for now.
    pub(super) fn fenced(self: &Arc<Self>) {
        self.step_locked(&mut self.state(), Input::Fenced);
    }

    /// Time has passed.
    pub(super) fn tick(self: &Arc<Self>) {
        self.step_locked(&mut self.state(), Input::Tick);
    }

    /// When the attendant has to look at the deadlines next. It is woken if that changes.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let mut state = self.state();
        state.attended = state.leader.next_deadline();
        state.attended
    }

    /// Whether it has ended by itself: the writer died.
    pub(super) fn has_ended(&self) -> bool {
        self.state().phase == Phase::Ended
    }

    /// Resolves when there may be something to attend to.
    pub(super) async fn attention(&self) {
        self.attention.notified().await;
    }

    /// Ends the leadership. Whoever waits is answered.
    pub(super) fn end(self: &Arc<Self>) {
        let mut state = self.state();
        state.phase = Phase::Ended;
        self.step_locked(&mut state, Input::Fenced);
    }

    /// Waits, once it has ended, until the log has answered everything that it was given.
    pub(super) async fn at_rest(&self) {
        while self.state().unanswered != 0 {
            self.attention.notified().await;
        }
    }

    /// Tells readers that nobody leads any more.
    pub(super) fn tell_readers(&self) {
        self.state().committed = None;
    }

    fn step_locked(self: &Arc<Self>, state: &mut State, input: LeaderInput) {
        let mut effects = mem::take(&mut state.effects);
        state.leader.step(input, self.clock.monotonic(), &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Append { epoch, payload } => {
                    let Payload { batches, timestamp_type, memory, slot } = payload;
                    let batches = self.stamped(batches, timestamp_type);
                    let append = Append { log: self.key, epoch, batches, at: AppendAt::End };
                    state.unanswered += 1;
                    slot.append(append, memory, Appending::of(Arc::clone(self)));
                }
                Effect::HighWatermark(end) => {
                    state.committed.as_ref().map(|readers| readers.send_replace(end));
                }
                Effect::Answer { reply, outcome } => {
                    // Whoever asked may have given up; its answer is then of no use to anyone.
                    reply.send(outcome.map_err(|error| self.placed(error))).ok();
                }
            }
        }
        if effects.capacity() <= KEPT_EFFECTS {
            state.effects = effects;
        }
    }

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

impl Appender for Leading {
    fn appended(self: Arc<Self>, answer: AppendResult) {
        let mut state = self.state();
        state.unanswered -= 1;
        self.step_locked(&mut state, input_of(answer));
        if state.phase == Phase::Ended && state.unanswered == 0 {
            self.attention.notify_one();
        }
    }

    fn lost(self: Arc<Self>) {
        let mut state = self.state();
        state.unanswered -= 1;
        // Nobody writes any more: what was under way may be written or not.
        state.phase = Phase::Ended;
        self.step_locked(&mut state, Input::Fenced);
        self.attention.notify_one();
    }
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
