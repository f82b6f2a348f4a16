use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use types::{BrokerId, Durability, LeaderEpoch, Offset};

use crate::ProduceError;
use crate::membership::Membership;
use crate::pending::{Acks, Waiting, Writing, Written};

/// How far one replica's log reaches. `durable_end <= end`; both are exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnds {
    /// First offset still held.
    pub start: Offset,
    /// First offset not written.
    pub end: Offset,
    /// First offset not known to be on disk.
    pub durable_end: Offset,
}

/// One producer's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produce<P, R> {
    /// What is to be appended; passed through unseen.
    pub payload: P,
    /// Whom to answer; given back exactly once.
    pub reply: R,
    /// When to answer.
    pub acks: Acks,
    /// The latest moment to answer, on the caller's monotonic clock.
    pub deadline: Duration,
}

/// The log took one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// The offset behind its last record.
    pub end: Offset,
    /// How far the whole log is on disk.
    pub durable_end: Offset,
}

/// What can happen to a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<P, R, E> {
    /// A producer asks.
    Produce(Produce<P, R>),
    /// The log took the oldest append it had not answered yet: it answers in the order asked.
    Appended(Appended),
    /// The log refused the oldest append it had not answered yet, and wrote none of it.
    AppendFailed(E),
    /// The log is on disk up to here (exclusive), without an append having said so.
    Durable(Offset),
    /// New metadata within the same leader epoch.
    Reconfigured(Membership),
    /// Time has passed; see [`Leader::next_deadline`].
    Tick,
    /// The right to lead has ended, for good or until the lease is renewed: everyone who waits
    /// is told that the outcome is not known.
    Fenced,
}

/// What the shell must do next, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<P, R, E> {
    /// Hand the payload to the log's end, to be written in this epoch. The log's answer comes
    /// back as [`Input::Appended`] or [`Input::AppendFailed`].
    Append {
        /// The epoch its records belong to.
        epoch: LeaderEpoch,
        /// What to append.
        payload: P,
    },
    /// Consumers may now read up to here (exclusive). Comes before the answers that it permits,
    /// so that a producer finds its own records.
    HighWatermark(Offset),
    /// Answer a producer.
    Answer {
        /// Whom.
        reply: R,
        /// What.
        outcome: Result<Acknowledged, ProduceError<E>>,
    },
}

/// The acks a producer asked for are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Offset of its first record; not known to one that asked for no acks.
    pub base_offset: Option<Offset>,
}

/// The leader of one partition, in one leader epoch.
///
/// * The high watermark never moves back, and never passes the end that counts (by
///   [`Durability`]) of any in-sync replica.
/// * Every producer is answered exactly once, and those that asked for the same acks and got them
///   are answered in the order of their records.
///
/// `R` is the handle by which a producer is answered. The leader owns it until it gives it back.
#[derive(Clone, Debug)]
pub struct Leader<R> {
    broker: BrokerId,
    epoch: LeaderEpoch,
    membership: Membership,
    /// What each replica is known to hold, by the end that counts; this broker included.
    held: BTreeMap<BrokerId, Offset>,
    log: LogEnds,
    high_watermark: Offset,
    writing: VecDeque<Writing<R>>,
    /// Those that wait for the leader's own log.
    awaiting_log: Waiting<R>,
    /// Those that wait for the high watermark.
    awaiting_commit: Waiting<R>,
    /// Kept as a bound, so that no step looks at all who wait.
    next_deadline: Option<Duration>,
}

impl<R> Leader<R> {
    /// Begins to lead `epoch` over a log as recovery left it.
    pub fn start(
        broker: BrokerId,
        epoch: LeaderEpoch,
        membership: Membership,
        log: LogEnds,
    ) -> Self {
        let mut leader = Self {
            broker,
            epoch,
            membership,
            held: BTreeMap::new(),
            log,
            high_watermark: log.start,
            writing: VecDeque::new(),
            awaiting_log: Waiting::new(),
            awaiting_commit: Waiting::new(),
            next_deadline: None,
        };
        leader.high_watermark = leader.committed();
        leader
    }

    /// First offset that is not committed.
    pub const fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// When the next [`Input::Tick`] is due: not after the first deadline of those who wait. It
    /// may be early, for one who has been answered since; the tick then finds nothing to do.
    pub const fn next_deadline(&self) -> Option<Duration> {
        self.next_deadline
    }

    /// Advances by one input that happened at `now`, on the clock of the deadlines. What follows
    /// is put behind what is among the `effects`.
    pub fn step<P, E>(
        &mut self,
        input: Input<P, R, E>,
        now: Duration,
        effects: &mut Vec<Effect<P, R, E>>,
    ) {
        match input {
            Input::Produce(produce) => self.admit(produce, effects),
            Input::Appended(appended) => self.appended(appended, effects),
            Input::AppendFailed(error) => {
                let refused = self.writing.pop_front().and_then(|writing| writing.reply);
                let outcome = Err(ProduceError::Log(error));
                effects.extend(refused.map(|reply| Effect::Answer { reply, outcome }));
            }
            Input::Durable(end) => {
                self.log.durable_end = self.log.durable_end.max(end);
                self.advance(effects);
            }
            Input::Reconfigured(membership) => {
                self.membership = membership;
                self.advance(effects);
            }
            Input::Tick => self.give_up(now, || ProduceError::TimedOut, effects),
            Input::Fenced => {
                self.give_up(Duration::MAX, || ProduceError::NoLongerLeader, effects);
            }
        }
    }

    fn admit<P, E>(&mut self, produce: Produce<P, R>, effects: &mut Vec<Effect<P, R, E>>) {
        let Produce { payload, reply, acks, deadline } = produce;
        if acks == Acks::All && self.membership.is_under_min() {
            let outcome = Err(ProduceError::NotEnoughReplicas {
                in_sync: self.membership.in_sync.len(),
                required: self.membership.min_in_sync,
            });
            effects.push(Effect::Answer { reply, outcome });
            return;
        }
        effects.push(Effect::Append { epoch: self.epoch, payload });
        let reply = match acks {
            Acks::None => {
                let outcome = Ok(Acknowledged { base_offset: None });
                effects.push(Effect::Answer { reply, outcome });
                None
            }
            Acks::Leader | Acks::All => {
                let first = self.next_deadline.map_or(deadline, |first| first.min(deadline));
                self.next_deadline = Some(first);
                Some(reply)
            }
        };
        self.writing.push_back(Writing { reply, acks, deadline });
    }

    fn appended<P, E>(&mut self, appended: Appended, effects: &mut Vec<Effect<P, R, E>>) {
        self.log.end = self.log.end.max(appended.end);
        self.log.durable_end = self.log.durable_end.max(appended.durable_end);
        let oldest = self.writing.pop_front();
        if let Some(Writing { reply: Some(reply), acks, deadline }) = oldest {
            let Appended { base_offset, end, .. } = appended;
            let written = Written { reply, base_offset, end, deadline };
            match acks {
                Acks::None | Acks::Leader => self.awaiting_log.push(written),
                Acks::All => self.awaiting_commit.push(written),
            }
        }
        self.advance(effects);
    }

    /// Moves the high watermark as far as it may go, and answers whom that satisfies.
    fn advance<P, E>(&mut self, effects: &mut Vec<Effect<P, R, E>>) {
        let committed = self.committed();
        if self.high_watermark < committed {
            self.high_watermark = committed;
            effects.push(Effect::HighWatermark(committed));
        }
        let own = self.own_end();
        answer_before(&mut self.awaiting_log, own, effects);
        answer_before(&mut self.awaiting_commit, self.high_watermark, effects);
    }

    /// Answers everyone whose deadline is not after `now`. Their appends stay where they are.
    fn give_up<P, E>(
        &mut self,
        now: Duration,
        error: impl Fn() -> ProduceError<E>,
        effects: &mut Vec<Effect<P, R, E>>,
    ) {
        let late = self.writing.iter_mut().filter(|writing| writing.deadline <= now);
        let writing = late.filter_map(|writing| writing.reply.take()).collect::<Vec<_>>();
        let written = self.awaiting_log.take_due(now);
        let due = written.into_iter().chain(self.awaiting_commit.take_due(now)).chain(writing);
        effects.extend(due.map(|reply| Effect::Answer { reply, outcome: Err(error()) }));
        self.next_deadline = self.first_deadline();
    }

    fn first_deadline(&self) -> Option<Duration> {
        let writing = self.writing.iter().filter(|writing| writing.reply.is_some());
        let first = [
            writing.map(|writing| writing.deadline).min(),
            self.awaiting_log.next_deadline(),
            self.awaiting_commit.next_deadline(),
        ];
        first.into_iter().flatten().min()
    }

    /// The end of this broker's own log that counts.
    fn own_end(&self) -> Offset {
        match self.membership.durability {
            Durability::Fsync => self.log.durable_end,
            Durability::PageCache => self.log.end,
        }
    }

    /// How far the slowest in-sync replica reaches. Stands still while too few are in sync.
    fn committed(&mut self) -> Offset {
        self.held.insert(self.broker, self.own_end());
        if self.membership.is_under_min() {
            return self.high_watermark;
        }
        // A replica that has not been heard of in this epoch may hold nothing.
        let held = |replica| self.held.get(replica).copied().unwrap_or_default();
        let slowest = self.membership.in_sync.iter().map(held).min();
        self.high_watermark.max(slowest.unwrap_or_default())
    }
}

fn answer_before<P, R, E>(
    waiting: &mut Waiting<R>,
    end: Offset,
    effects: &mut Vec<Effect<P, R, E>>,
) {
    while let Some(written) = waiting.pop_before(end) {
        let outcome = Ok(Acknowledged { base_offset: Some(written.base_offset) });
        effects.push(Effect::Answer { reply: written.reply, outcome });
    }
}

#[cfg(test)]
mod tests;
