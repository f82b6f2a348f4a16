//! One partition's batches from their first attempt to their fate. Pure: time is told, and sending
//! is someone else's.
//!
//! What holds, of an idempotent producer:
//!
//! - **Once.** A batch keeps its producer, epoch and sequence over its attempts, so that the log
//!   knows it again. It gets new ones only if no attempt can have written it: each was answered with
//!   a refusal, or the log has refused a batch that would have had to come before it.
//! - **Recognised.** From the oldest batch without a fate on, no more requests are under way than a
//!   log recognises, to which their stream sees, and no other stream has any; or it could not tell
//!   whether it has that one.
//! - **In order.** Batches are numbered in the order they came, and a log takes no number before
//!   its turn. As soon as one fails, nothing new is sent until those under way are answered and the
//!   failed ones have been sent again, one by one, oldest first.
//! - **Told.** A batch that is given up is `NotDelivered` if it is certainly not in the log, and
//!   `OutcomeUnknown` if any attempt was left in doubt.
//!
//! When a batch is given up, or the log refuses the oldest one for its number, the run of numbers is
//! broken: the log may never take the next ones. Batches in doubt are sent again as they are: either
//! the log knows them, or it refuses them, and they are given up too. The first one that is not in
//! doubt cannot have been written, nor can any behind it: they begin a new life of the producer, the
//! next epoch, at sequence 0. That also ends whatever may still be on its way: with the first batch
//! of the new epoch the log refuses the old one.

use std::collections::VecDeque;
use std::time::Duration;

use record::{BatchProducer, ProducedBatch};
use types::{Offset, PRODUCER_REMEMBERED, ProducerEpoch, ProducerId, Sequence, TopicPartition};

use super::batch::{Pending, Sealed, Settled, Unsealed};
use super::config::RetryUnknownOutcome;
use super::delivery::Outcome;
use super::verdict::{Failure, Verdict, judge};
use crate::ClientError;
use crate::backoff::wait;

/// Most batches of a partition that have been sent and have no fate yet. They travel in a few
/// requests, and there should always be enough for the next one: these fill as many as may be under
/// way if each has 16 KiB.
pub(super) const MAX_SENT: usize = 160;

/// What a lane does about a batch that may or may not be in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracking {
    /// Sends it again: the log knows the producer's batches.
    Idempotent,
    /// The log knows nothing. One batch is under way at a time, so that a retry can neither
    /// overtake nor be overtaken.
    Untracked(RetryUnknownOutcome),
}

/// What a lane needs to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneSettings {
    pub(super) tracking: Tracking,
    pub(super) retries: u32,
    pub(super) delivery_timeout: Duration,
}

/// Which moment it is, and a random number for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Duration,
    pub(super) random: u32,
}

/// A stream, as whoever sends by it numbers them.
pub(super) type Way = u64;

/// One life of the producer in one partition.
#[derive(Clone, Copy, Debug)]
struct Life {
    id: ProducerId,
    epoch: ProducerEpoch,
    next: Sequence,
}

impl Life {
    /// Numbers a batch of so many records.
    fn number(&mut self, records: u32) -> BatchProducer {
        let base_sequence = Some(self.next);
        self.next = self.next.advanced_by(records);
        BatchProducer { id: self.id, epoch: self.epoch, base_sequence }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The attempt of this number is not answered yet.
    UnderWay(u64),
    ToBeSentAgain,
}

/// Whether an attempt may have written a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Every attempt was answered: it is not in the log.
    No,
    Yes,
}

/// Whether the numbers that were given to batches follow what is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Whole,
    /// Some were given to a batch that may not be in the log, and never will.
    Broken,
}

/// Whether to look at every batch for one that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// All are under way, and in no doubt.
    None,
    Perhaps,
}

#[derive(Debug)]
struct Sent<T> {
    sealed: Sealed<T>,
    /// Counts the partition's batches.
    serial: usize,
    stage: Stage,
    doubt: Doubt,
    begun: Duration,
}

impl<T> Sent<T> {
    /// When it is given up.
    fn expiry(&self, delivery_timeout: Duration) -> Duration {
        let expiry = self.sealed.opened.saturating_add(delivery_timeout);
        match self.doubt {
            Doubt::No => expiry,
            // The log may have forgotten the producer then, and would write it again.
            Doubt::Yes => expiry.min(self.begun.saturating_add(PRODUCER_REMEMBERED)),
        }
    }
}

/// A batch to be sent.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    /// By which its answer is known.
    pub(super) number: u64,
    /// How many failures the lane knew of: one that it did not must not be overtaken.
    pub(super) failures: u64,
    pub(super) batch: ProducedBatch,
}

/// What an answer came to.
#[derive(Debug)]
pub(super) enum Answered<T> {
    /// The batch has met its fate.
    Settled(Settled<T>),
    /// It is to be sent again.
    Again(ClientError),
    /// Nobody waits for that answer.
    Stale,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane<T> {
    partition: TopicPartition,
    settings: LaneSettings,
    /// Oldest first.
    sent: VecDeque<Sent<T>>,
    failed: Failed,
    life: Option<Life>,
    run: Run,
    /// Somebody else has written under the life's id: the next one needs another.
    usurped: bool,
    next_serial: usize,
    next_number: u64,
    /// Attempts that failed.
    failures: u64,
    /// End of the pause after a failure.
    not_before: Duration,
    /// By which attempts have gone last.
    way: Way,
}

impl<T> Lane<T> {
    pub(super) const fn new(partition: TopicPartition, settings: LaneSettings) -> Self {
        Self {
            partition,
            settings,
            sent: VecDeque::new(),
            failed: Failed::None,
            life: None,
            run: Run::Whole,
            usurped: false,
            next_serial: 0,
            next_number: 0,
            failures: 0,
            not_before: Duration::ZERO,
            way: 0,
        }
    }

    pub(super) const fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// How many batches it can take now, if `fresh` is an id to begin a life with.
    pub(super) fn room(&self, fresh: Option<ProducerId>) -> usize {
        // Behind a batch in doubt, no more than was under way with it: so the log knows it again.
        if self.is_troubled() || self.any_failed(|sent| sent.doubt == Doubt::Yes) {
            return 0;
        }
        match self.settings.tracking {
            Tracking::Untracked(_) => 1_usize.saturating_sub(self.sent.len()),
            Tracking::Idempotent if self.is_mid_life() => {
                let first = self.sent.front().map_or(self.next_serial, |first| first.serial);
                MAX_SENT.saturating_sub(self.next_serial - first)
            }
            Tracking::Idempotent if self.sent.is_empty() && self.next_life(fresh).is_some() => {
                MAX_SENT
            }
            Tracking::Idempotent => 0,
        }
    }

    /// Whether attempts can go by that way, as they then do. No stream knows what others have under
    /// way, and together it could be more than a log recognises.
    pub(super) fn takes(&mut self, way: Way) -> bool {
        let can_go = self.way == way || self.is_at_rest();
        if can_go {
            self.way = way;
        }
        can_go
    }

    /// Whether nothing can be sent for want of an id to begin a life with.
    pub(super) fn needs_id(&self, fresh: Option<ProducerId>) -> bool {
        let is_due = match self.sent.front() {
            None => !self.is_mid_life(),
            Some(_) => self.is_at_rest() && self.begins_anew(),
        };
        self.settings.tracking == Tracking::Idempotent && is_due && self.next_life(fresh).is_none()
    }

    /// Whether something is to be sent again, or given up if it comes to that.
    pub(super) fn is_troubled(&self) -> bool {
        self.any_failed(|sent| sent.stage == Stage::ToBeSentAgain)
    }

    /// Whether that is so of any, which it is of none that has not failed.
    fn any_failed(&self, is_so: impl Fn(&Sent<T>) -> bool) -> bool {
        self.failed == Failed::Perhaps && self.sent.iter().any(is_so)
    }

    /// When there is something to do if nothing else happens.
    pub(super) fn wakeup(&self, fresh: Option<ProducerId>) -> Option<Duration> {
        let waiting = self.sent.iter().filter(|sent| sent.stage == Stage::ToBeSentAgain);
        let expiry = waiting.map(|sent| sent.expiry(self.settings.delivery_timeout)).min();
        let can_send = self.is_at_rest() && !self.sent.is_empty() && !self.needs_id(fresh);
        expiry.into_iter().chain(can_send.then_some(self.not_before)).min()
    }

    /// Takes a batch that was never sent, for which there must be [room](Lane::room).
    pub(super) fn send(
        &mut self,
        pending: Pending<T>,
        fresh: Option<ProducerId>,
        now: Duration,
    ) -> Result<Dispatch, Settled<T>> {
        if self.settings.tracking == Tracking::Idempotent && !self.is_mid_life() {
            self.begin_life(fresh);
        }
        let mut life = self.life;
        let records = pending.record_count();
        let sealed = match pending.seal(life.as_mut().map(|life| life.number(records))) {
            Ok(sealed) => sealed,
            Err(unsealed) => return Err(self.unsealed(unsealed)),
        };
        self.life = life;
        let number = self.number();
        let dispatch = Dispatch { number, failures: self.failures, batch: sealed.batch.clone() };
        self.sent.push_back(Sent {
            sealed,
            serial: self.next_serial,
            stage: Stage::UnderWay(number),
            doubt: Doubt::No,
            begun: now,
        });
        self.next_serial += 1;
        Ok(dispatch)
    }

    /// Whether a batch is to be sent again now.
    pub(super) fn is_due(&self, fresh: Option<ProducerId>, now: Duration) -> bool {
        let is_waiting = self.is_at_rest() && !self.sent.is_empty();
        is_waiting && self.not_before <= now && !self.needs_id(fresh)
    }

    /// The batch that is to be sent again now, if one is.
    pub(super) fn send_again(
        &mut self,
        fresh: Option<ProducerId>,
        now: Duration,
    ) -> Option<Dispatch> {
        if !self.is_due(fresh, now) {
            return None;
        }
        if self.begins_anew() {
            self.begin_life(fresh);
        }
        let number = self.number();
        let first = self.sent.front_mut()?;
        first.stage = Stage::UnderWay(number);
        Some(Dispatch { number, failures: self.failures, batch: first.sealed.batch.clone() })
    }

    /// Nothing is sent again before `until`.
    pub(super) fn hold(&mut self, until: Duration) {
        self.not_before = self.not_before.max(until);
    }

    /// What would be sent again cannot be, for now.
    pub(super) fn unsendable(&mut self, cause: ClientError, moment: Moment) -> Answered<T> {
        if self.sent.is_empty() { Answered::Stale } else { self.again(0, cause, moment) }
    }

    /// An attempt was answered.
    pub(super) fn answered(
        &mut self,
        number: u64,
        outcome: Result<Option<Offset>, Failure>,
        moment: Moment,
    ) -> Answered<T> {
        let stage = Stage::UnderWay(number);
        let Some(index) = self.sent.iter().position(|sent| sent.stage == stage) else {
            return Answered::Stale;
        };
        match outcome {
            Ok(base) => self.take_out(index).map_or(Answered::Stale, |sent| {
                let Sealed { ticket, memory, .. } = sent.sealed;
                Answered::Settled(Settled { ticket, memory, outcome: Ok(base) })
            }),
            Err(failure) => {
                self.failures += 1;
                self.failed(index, judge(failure), moment)
            }
        }
    }

    fn failed(&mut self, index: usize, verdict: Verdict, moment: Moment) -> Answered<T> {
        match (verdict, self.settings.tracking) {
            (Verdict::Retry(cause), _) => self.again(index, cause, moment),
            (Verdict::Alone(cause), _) => {
                self.set_stage(index, Stage::ToBeSentAgain);
                Answered::Again(cause)
            }
            (Verdict::Doubt(cause), Tracking::Untracked(RetryUnknownOutcome::Never)) => {
                self.set_doubt(index);
                self.give_up(index, cause)
            }
            (Verdict::Doubt(cause), _) => {
                self.set_doubt(index);
                self.again(index, cause, moment)
            }
            (Verdict::OutOfSequence(cause) | Verdict::Fenced(cause), Tracking::Idempotent)
                if 0 < index =>
            {
                // For want of the one before it, most likely, whose own answer will tell.
                self.set_stage(index, Stage::ToBeSentAgain);
                Answered::Again(cause)
            }
            (Verdict::OutOfSequence(cause), Tracking::Idempotent) => self.displaced(cause, moment),
            (Verdict::Fenced(cause), Tracking::Idempotent) => {
                self.usurped = true;
                self.displaced(cause, moment)
            }
            (Verdict::Final(cause) | Verdict::OutOfSequence(cause) | Verdict::Fenced(cause), _) => {
                self.give_up(index, cause)
            }
        }
    }

    /// The log refused the oldest batch: it does not hold what came before, or there was another
    /// producer of the same id.
    fn displaced(&mut self, cause: ClientError, moment: Moment) -> Answered<T> {
        match self.sent.front_mut() {
            // An earlier attempt may have written it where the log was cut since; or may still be
            // on its way.
            Some(first) if first.doubt == Doubt::Yes => self.give_up(0, cause),
            Some(_) => {
                self.run = Run::Broken;
                self.again(0, cause, moment)
            }
            None => Answered::Stale,
        }
    }

    fn again(&mut self, index: usize, cause: ClientError, moment: Moment) -> Answered<T> {
        let retries = self.settings.retries;
        let Some(sent) = self.sent.get_mut(index) else { return Answered::Stale };
        sent.stage = Stage::ToBeSentAgain;
        self.failed = Failed::Perhaps;
        if retries <= sent.sealed.failures {
            return self.give_up(index, cause);
        }
        sent.sealed.failures += 1;
        sent.sealed.last_failure = Some(cause.clone());
        let pause = wait(sent.sealed.failures, moment.random);
        self.hold(moment.now.saturating_add(pause));
        Answered::Again(cause)
    }

    /// Gives up what has waited for too long to be sent again.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Settled<T>> {
        let waited = self.settings.delivery_timeout;
        let mut expired = Vec::new();
        let is_expired =
            |sent: &Sent<T>| sent.stage == Stage::ToBeSentAgain && sent.expiry(waited) <= now;
        while let Some(index) = self.sent.iter().position(is_expired) {
            let last = self.sent.get(index).and_then(|sent| sent.sealed.last_failure.clone());
            let cause = last.unwrap_or(ClientError::Timeout { request: "a delivery", waited });
            match self.give_up(index, cause) {
                Answered::Settled(settled) => expired.push(settled),
                Answered::Again(_) | Answered::Stale => break,
            }
        }
        expired
    }

    /// Gives up everything. What is under way may still arrive.
    pub(super) fn abandon(&mut self, cause: &ClientError) -> Vec<Settled<T>> {
        let sent = std::mem::take(&mut self.sent);
        let abandoned = sent.into_iter().map(|mut sent| {
            if sent.stage != Stage::ToBeSentAgain {
                sent.doubt = Doubt::Yes;
            }
            self.given_up(sent, cause.clone())
        });
        abandoned.collect()
    }

    fn give_up(&mut self, index: usize, cause: ClientError) -> Answered<T> {
        let Some(gone) = self.take_out(index) else { return Answered::Stale };
        self.run = Run::Broken;
        Answered::Settled(self.given_up(gone, cause))
    }

    fn given_up(&self, sent: Sent<T>, cause: ClientError) -> Settled<T> {
        let Sealed { ticket, memory, batch, .. } = sent.sealed;
        let (topic_partition, cause) = (self.partition.clone(), Box::new(cause));
        let records = batch.record_count();
        let outcome: Outcome = Err(match sent.doubt {
            Doubt::No => ClientError::NotDelivered { topic_partition, records, cause },
            Doubt::Yes => ClientError::OutcomeUnknown { topic_partition, records, cause },
        });
        Settled { ticket, memory, outcome }
    }

    fn unsealed(&self, unsealed: Unsealed<T>) -> Settled<T> {
        let Unsealed { ticket, memory, records, error: source } = unsealed;
        let topic_partition = self.partition.clone();
        let cause = ClientError::Record { topic_partition: topic_partition.clone(), source };
        let cause = Box::new(cause);
        let outcome = Err(ClientError::NotDelivered { topic_partition, records, cause });
        Settled { ticket, memory, outcome }
    }

    /// Whether the oldest batch is to begin another life: its numbers lead nowhere, and it is
    /// certainly not in the log.
    fn begins_anew(&self) -> bool {
        self.run == Run::Broken && self.sent.front().is_some_and(|first| first.doubt == Doubt::No)
    }

    /// Whether a next batch can be numbered as the next one of the life there is.
    fn is_mid_life(&self) -> bool {
        self.life.is_some() && self.run == Run::Whole
    }

    /// The life that comes after the one there is.
    fn next_life(&self, fresh: Option<ProducerId>) -> Option<Life> {
        let begin = |id, epoch| Life { id, epoch, next: Sequence::ZERO };
        let held = self.life.map(|life| life.id);
        let next = self.life.filter(|_| !self.usurped);
        let next = next.and_then(|life| Some(begin(life.id, life.epoch.next()?)));
        // An id that had all its epochs here does not get them again.
        let fresh = fresh.filter(|id| Some(*id) != held);
        next.or_else(|| fresh.map(|id| begin(id, ProducerEpoch::ZERO)))
    }

    /// Begins the next life with whatever is left of the one before: it is not in the log.
    fn begin_life(&mut self, fresh: Option<ProducerId>) {
        let Some(mut life) = self.next_life(fresh) else { return };
        for sent in &mut self.sent {
            sent.sealed.batch =
                sent.sealed.batch.produced_by(life.number(sent.sealed.batch.record_count()));
            sent.doubt = Doubt::No;
        }
        self.life = Some(life);
        self.usurped = false;
        self.run = Run::Whole;
    }

    /// Whether no answer is awaited.
    fn is_at_rest(&self) -> bool {
        self.sent.iter().all(|sent| sent.stage == Stage::ToBeSentAgain)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn take_out(&mut self, index: usize) -> Option<Sent<T>> {
        let sent = self.sent.remove(index);
        let has_failed =
            |sent: &Sent<T>| sent.stage == Stage::ToBeSentAgain || sent.doubt == Doubt::Yes;
        if !self.any_failed(has_failed) {
            self.failed = Failed::None;
        }
        sent
    }

    fn set_doubt(&mut self, index: usize) {
        self.failed = Failed::Perhaps;
        if let Some(sent) = self.sent.get_mut(index) {
            sent.doubt = Doubt::Yes;
        }
    }

    fn set_stage(&mut self, index: usize, stage: Stage) {
        self.failed = Failed::Perhaps;
        if let Some(sent) = self.sent.get_mut(index) {
            sent.stage = stage;
        }
    }
}

#[cfg(test)]
mod tests;
