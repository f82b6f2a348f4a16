//! What a log knows of the idempotent producers that write to it, so that a batch that is sent
//! again is not written again.
//!
//! Before an append, [`ProducerStates::check`] tells whether its batches are new, were all written
//! before, or must be refused. Once they are written, [`ProducerStates::settle`] takes note of them;
//! should the write be taken back after all, [`ProducerStates::take_back`] forgets them again.
//! Batches that are read back from the log, or copied from another one, were checked by whoever led
//! then: [`ProducerStates::apply`] takes them as they are.
//!
//! The rules are Kafka's (KIP-98, KIP-360), but for one. A producer that the log does not know must
//! begin at sequence 0, while Kafka takes any first sequence since KAFKA-7190. Taking any has two
//! holes: when the first batch of a producer is refused for a moment (a full queue, say) and the
//! second one under way is not, the second is written, and the first never can be; and a batch whose
//! answer was lost is written twice if its producer was forgotten in between. Kafka opened them
//! because it used to forget a producer with its last record; here a producer is known until it was
//! idle for long, whatever becomes of its records. One that comes back later than that is told
//! [`Reason::UnknownProducerId`], and goes on with its next epoch.

mod producer;
mod snapshot;

use std::collections::BTreeMap;
use std::time::Duration;

use record::BatchHeader;
use thiserror::Error;
use types::{
    Coded, Offset, PRODUCER_REMEMBERED, ProducerEpoch, ProducerId, Reason, Sequence, Timestamp,
};

use self::producer::{Numbered, Producer, Written};
pub use self::snapshot::{ProducerSnapshot, SnapshotPoint};

/// For how long a log keeps producers in mind, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerLimits {
    /// A producer that has written nothing for as many milliseconds is forgotten
    /// (`producer.id.expiration.ms`).
    pub expiration_ms: u64,
    /// How many are known at most, at some 250 bytes each. When another one comes, the one that has
    /// been idle for longest is forgotten, unless it wrote within [`PRODUCER_REMEMBERED`] and may
    /// still have a batch to send again; then the newcomer is refused for the moment.
    pub max_producers: usize,
}

impl Default for ProducerLimits {
    /// A day, as in Kafka, and 20,000 producers: 5 MB, and 22 new ones each second before any is
    /// refused.
    fn default() -> Self {
        Self { expiration_ms: 24 * 60 * 60 * 1000, max_producers: 20_000 }
    }
}

/// Why a batch may not be written. Nothing of its append was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProducerRefusal {
    /// It is not the next one: what comes before it is missing, or it was written too long ago to
    /// be recognised.
    #[error(
        "a batch of producer {producer} begins at sequence {found}, but {expected} is next: send \
         what comes before it first, or begin a new epoch at sequence 0"
    )]
    OutOfOrder {
        /// Whose batch.
        producer: ProducerId,
        /// The sequence that the batch would have to begin at.
        expected: Sequence,
        /// The one it begins at.
        found: Sequence,
    },
    /// A later life of the producer has written since.
    #[error(
        "a batch is of epoch {epoch} of producer {producer}, which has written in epoch {current} \
         since: ask for a new producer id if both are alive"
    )]
    StaleEpoch {
        /// Whose batch.
        producer: ProducerId,
        /// The batch's epoch.
        epoch: ProducerEpoch,
        /// The log's.
        current: ProducerEpoch,
    },
    /// The log does not know the producer, and the batch is not the first of an epoch.
    #[error(
        "nothing is known of producer {producer} here, and its batch begins at sequence {found}: \
         begin a new epoch at sequence 0"
    )]
    Unknown {
        /// Whose batch.
        producer: ProducerId,
        /// Its sequence.
        found: Sequence,
    },
    /// A batch names a producer but not its own place among that one's batches.
    #[error("a batch of producer {producer} has no sequence number")]
    NoSequence {
        /// Whose batch.
        producer: ProducerId,
    },
    /// Some batches of one append were written before and some were not.
    #[error(
        "of the batches sent at once some were written before and some were not: send each again \
         by itself"
    )]
    PartlyWritten,
    /// As many producers as may be known were active a short while ago.
    #[error(
        "{limit} producers wrote to the partition within the last minutes, and no more are kept \
         track of: use fewer, or try again later"
    )]
    TooMany {
        /// How many may be.
        limit: usize,
    },
}

impl Coded for ProducerRefusal {
    fn reason(&self) -> Reason {
        match self {
            Self::OutOfOrder { .. } => Reason::OutOfOrderSequenceNumber,
            Self::StaleEpoch { .. } => Reason::InvalidProducerEpoch,
            Self::Unknown { .. } => Reason::UnknownProducerId,
            Self::NoSequence { .. } => Reason::InvalidRecord,
            Self::PartlyWritten => Reason::InvalidRequest,
            Self::TooMany { .. } => Reason::Busy,
        }
    }
}

/// What is to be done with the batches of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To be written. Then the note is to be [settled](ProducerStates::settle).
    New(Note),
    /// All of them lie in the log, as durably as it may be up to `end`: answered as if they had
    /// just been written, and no sooner.
    Duplicate {
        /// Where the first of them begins.
        base_offset: Offset,
        /// Behind the last record of them.
        end: Offset,
    },
}

/// What becomes known of some producers once an append is written; `None`: they are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a batch that is not noted is written again when it is sent again"]
pub struct Note(Vec<(ProducerId, Option<Producer>)>);

/// What was known of the same producers before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undo(Vec<(ProducerId, Option<Producer>)>);

/// What one log knows of its producers.
#[derive(Clone, Debug, Default)]
pub struct ProducerStates {
    limits: ProducerLimits,
    producers: BTreeMap<ProducerId, Producer>,
    /// Every producer by the number of its last use: who has been idle for longest comes first.
    by_use: BTreeMap<u64, ProducerId>,
    uses: u64,
}

impl ProducerStates {
    /// No producers.
    pub fn new(limits: ProducerLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Goes by other limits from now on. What is too much then goes as others come.
    pub fn set_limits(&mut self, limits: ProducerLimits) {
        self.limits = limits;
    }

    /// Forgets everyone: the log is empty and begins anew.
    pub fn clear(&mut self) {
        self.producers.clear();
        self.by_use.clear();
    }

    /// Tells what is to be done with batches that came to be written together, the first of them at
    /// `base`, all or none. Changes nothing.
    ///
    /// # Errors
    ///
    /// A [`ProducerRefusal`].
    pub fn check<'a>(
        &self,
        batches: impl IntoIterator<Item = &'a BatchHeader>,
        base: Offset,
        now: Timestamp,
    ) -> Result<Verdict, ProducerRefusal> {
        let mut changed: BTreeMap<ProducerId, Producer> = BTreeMap::new();
        let mut before: Option<(Offset, Offset)> = None;
        let mut next = base;
        for header in batches {
            let batch = Numbered::of(header)?;
            let id = batch.map(|batch| batch.producer);
            let known = id.and_then(|id| changed.get(&id).or_else(|| self.producers.get(&id)));
            let written = match (&batch, known) {
                (Some(batch), Some(known)) => known.judge(batch)?,
                (Some(batch), None) => batch.begins().map(|()| None)?,
                (None, _) => None,
            };
            if let Some(Written { base_offset, end }) = written {
                let (first, last) = before.unwrap_or((base_offset, end));
                before = Some((first, last.max(end)));
            } else {
                if let Some(batch) = batch {
                    let after = Producer::after(known.cloned(), &batch, next, now);
                    changed.insert(batch.producer, after);
                }
                next = next.checked_add(records_of(header)).unwrap_or(Offset::MAX);
            }
            if before.is_some() && base < next {
                return Err(ProducerRefusal::PartlyWritten);
            }
        }
        match before {
            Some((base_offset, end)) => Ok(Verdict::Duplicate { base_offset, end }),
            None => self.note(changed, now).map(Verdict::New),
        }
    }

    /// Adds to what changes whom the newcomers displace.
    fn note(
        &self,
        changed: BTreeMap<ProducerId, Producer>,
        now: Timestamp,
    ) -> Result<Note, ProducerRefusal> {
        let newcomers = changed.keys().filter(|id| !self.producers.contains_key(id)).count();
        let limit = self.limits.max_producers;
        let surplus = match newcomers {
            0 => 0,
            _ => (self.producers.len() + newcomers).saturating_sub(limit),
        };
        let displaced = self.by_use.values().filter(|id| !changed.contains_key(id)).take(surplus);
        let mut note = Note(Vec::with_capacity(changed.len() + surplus));
        for id in displaced {
            let producer = self.producers.get(id);
            if producer.is_some_and(|it| it.idle(now) < PRODUCER_REMEMBERED) {
                return Err(ProducerRefusal::TooMany { limit });
            }
            note.0.push((*id, None));
        }
        if note.0.len() < surplus {
            return Err(ProducerRefusal::TooMany { limit });
        }
        note.0.extend(changed.into_iter().map(|(id, producer)| (id, Some(producer))));
        Ok(note)
    }

    /// Takes note of an append that was written; returns what undoes that.
    pub fn settle(&mut self, note: Note) -> Undo {
        let mut undo = Undo(Vec::with_capacity(note.0.len()));
        for (id, mut producer) in note.0 {
            if let Some(producer) = &mut producer {
                producer.use_number = self.next_use();
            }
            undo.0.push((id, self.replace(id, producer)));
        }
        undo
    }

    /// Forgets an append whose write was taken back. Undoes the last [`settle`] that is not undone
    /// yet, for which it takes what that one returned.
    ///
    /// [`settle`]: ProducerStates::settle
    pub fn take_back(&mut self, undo: Undo) {
        for (id, producer) in undo.0 {
            self.replace(id, producer);
        }
    }

    /// Takes note of a batch that lies in the log where its header says. Whoever wrote it there had
    /// checked it; the log is right, whatever was known before.
    ///
    /// When the batch was written is not known, but for that it was not later than `now`. Taking
    /// `now` forgets a producer later than need be, and never too early.
    pub fn apply(&mut self, placed: &BatchHeader, now: Timestamp) {
        let Ok(Some(batch)) = Numbered::of(placed) else { return };
        let known = self.producers.get(&batch.producer);
        if known.is_some_and(|known| known.covers(&batch, placed.base_offset)) {
            return;
        }
        let known = known.filter(|known| known.judge(&batch).is_ok()).cloned();
        let mut producer = Producer::after(known, &batch, placed.base_offset, now);
        producer.use_number = self.next_use();
        self.replace(batch.producer, Some(producer));
        if self.limits.max_producers < self.producers.len() {
            // They were used in this order when the log was written, and whom it forgot then is
            // forgotten now.
            if let Some(oldest) = self.by_use.values().next().copied() {
                self.replace(oldest, None);
            }
        }
    }

    /// Forgets who has been idle for too long; returns how many.
    pub fn expire(&mut self, now: Timestamp) -> usize {
        let before = self.producers.len();
        let expiration = Duration::from_millis(self.limits.expiration_ms);
        while let Some(id) = self.by_use.values().next().copied() {
            let producer = self.producers.get(&id);
            if producer.is_some_and(|it| it.idle(now) < expiration) {
                break;
            }
            self.replace(id, None);
        }
        before - self.producers.len()
    }

    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Puts what is known of a producer in place of what was, and returns that.
    fn replace(&mut self, id: ProducerId, producer: Option<Producer>) -> Option<Producer> {
        let next = producer.as_ref().map(|producer| producer.use_number);
        let before = match producer {
            Some(producer) => self.producers.insert(id, producer),
            None => self.producers.remove(&id),
        };
        if let Some(before) = &before {
            self.by_use.remove(&before.use_number);
        }
        if let Some(next) = next {
            self.by_use.insert(next, id);
        }
        before
    }
}

/// How many offsets a batch takes up, and how many sequence numbers.
fn records_of(header: &BatchHeader) -> u64 {
    u64::from(header.last_offset_delta) + 1
}

#[cfg(test)]
mod tests;
