use std::time::Duration;

use record::{BatchHeader, BatchProducer};
use types::{Offset, ProducerEpoch, ProducerId, RETAINED_APPENDS, Sequence, Timestamp};

use super::ProducerRefusal;

/// A batch as far as its producer's other batches are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) producer: ProducerId,
    pub(super) epoch: ProducerEpoch,
    first: Sequence,
    records: u32,
}

impl Numbered {
    /// `None` for a batch of no idempotent producer, and for the platform's own markers.
    pub(super) fn of(header: &BatchHeader) -> Result<Option<Self>, ProducerRefusal> {
        let Some(BatchProducer { id, epoch, base_sequence }) = header.producer else {
            return Ok(None);
        };
        if header.is_control {
            return Ok(None);
        }
        let first = base_sequence.ok_or(ProducerRefusal::NoSequence { producer: id })?;
        // A delta is at most 2^31 - 1.
        let records = header.last_offset_delta.saturating_add(1);
        Ok(Some(Self { producer: id, epoch, first, records }))
    }

    /// Whether it can be the first one that a log sees of its producer.
    pub(super) fn begins(&self) -> Result<(), ProducerRefusal> {
        if self.first == Sequence::ZERO {
            Ok(())
        } else {
            Err(ProducerRefusal::Unknown { producer: self.producer, found: self.first })
        }
    }

    fn follows(&self, expected: Sequence) -> Result<(), ProducerRefusal> {
        let Self { producer, first: found, .. } = *self;
        if found == expected {
            Ok(())
        } else {
            Err(ProducerRefusal::OutOfOrder { producer, expected, found })
        }
    }
}

/// Records of a producer that follow one another in number and in the log, however they were cut
/// into batches. What one append wrote of it is one run, and so is what several did if nobody else
/// wrote in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: Sequence,
    pub(super) records: u32,
    pub(super) base_offset: Offset,
}

/// How far back records are known again, and where a run forgets its oldest ones: half of all
/// numbers, so that it is clear which of two comes first.
const MAX_BACK: u32 = 1 << 30;

impl Run {
    /// Behind its last offset.
    pub(super) fn end(&self) -> Offset {
        behind(self.base_offset, self.records)
    }

    /// Both as one, if `next` goes on where this one ends.
    fn joined(&self, next: &Self) -> Option<Self> {
        let follows =
            self.end() == next.base_offset && self.first.advanced_by(self.records) == next.first;
        if !follows {
            return None;
        }
        let all = self.records.saturating_add(next.records);
        let records = all.min(MAX_BACK.max(next.records));
        let forgotten = all - records;
        Some(Self {
            first: self.first.advanced_by(forgotten),
            records,
            base_offset: behind(self.base_offset, forgotten),
        })
    }

    /// Where the records of `batch` lie, if all of them are of this run.
    fn find(&self, batch: &Numbered) -> Option<Written> {
        let before = self.first.records_until(batch.first);
        if self.records < before.checked_add(batch.records)? {
            return None;
        }
        let base_offset = behind(self.base_offset, before);
        Some(Written { base_offset, end: behind(base_offset, batch.records) })
    }
}

fn behind(offset: Offset, records: u32) -> Offset {
    offset.checked_add(u64::from(records)).unwrap_or(Offset::MAX)
}

/// Where a batch that is sent again lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) base_offset: Offset,
    pub(super) end: Offset,
}

/// What a log knows of one producer: it has written, so there is a last batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: ProducerEpoch,
    last: Run,
    /// Those before it in the same epoch, newest first.
    earlier: [Option<Run>; RETAINED_APPENDS - 1],
    pub(super) used_at: Timestamp,
    /// Grows from use to use, over all producers of a log.
    pub(super) use_number: u64,
}

impl Producer {
    /// What is known once `batch` lies at `base_offset`.
    pub(super) fn after(
        known: Option<Self>,
        batch: &Numbered,
        base_offset: Offset,
        now: Timestamp,
    ) -> Self {
        let &Numbered { epoch, first, records, .. } = batch;
        let last = Run { first, records, base_offset };
        match known.filter(|known| known.epoch == epoch) {
            Some(known) => known.followed_by(last, now),
            None => Self::first(epoch, last, now),
        }
    }

    pub(super) fn first(epoch: ProducerEpoch, last: Run, now: Timestamp) -> Self {
        Self { epoch, last, earlier: [None; _], used_at: now, use_number: 0 }
    }

    fn followed_by(self, next: Run, now: Timestamp) -> Self {
        match self.last.joined(&next) {
            Some(last) => Self { last, used_at: now, ..self },
            None => self.interrupted(next, now),
        }
    }

    /// What is known once a run lies in the log that does not go on where the last one ends.
    pub(super) fn interrupted(mut self, last: Run, now: Timestamp) -> Self {
        self.earlier.rotate_right(1);
        if let Some(newest) = self.earlier.first_mut() {
            *newest = Some(self.last);
        }
        Self { last, used_at: now, ..self }
    }

    /// The last runs, newest first.
    pub(super) fn retained(&self) -> impl Iterator<Item = Run> {
        std::iter::once(self.last).chain(self.earlier.into_iter().flatten())
    }

    /// Whether a batch that the log holds at `base_offset` tells nothing new: it was noted when the
    /// log was written or read for the first time, or the log should not hold it.
    pub(super) fn covers(&self, batch: &Numbered, base_offset: Offset) -> bool {
        let is_old = base_offset < self.last.end();
        is_old || self.outlives(batch) || matches!(self.judge(batch), Ok(Some(_)))
    }

    /// Whether `batch` is of an earlier life.
    pub(super) fn outlives(&self, batch: &Numbered) -> bool {
        batch.epoch < self.epoch
    }

    pub(super) fn idle(&self, now: Timestamp) -> Duration {
        Duration::from_millis(now.millis_since(self.used_at))
    }

    /// Where `batch` lies already; `None` if it is the next one.
    pub(super) fn judge(&self, batch: &Numbered) -> Result<Option<Written>, ProducerRefusal> {
        let &Numbered { producer, epoch, .. } = batch;
        if self.outlives(batch) {
            return Err(ProducerRefusal::StaleEpoch { producer, epoch, current: self.epoch });
        }
        if self.epoch < epoch {
            return batch.follows(Sequence::ZERO).map(|()| None);
        }
        let next = self.last.first.advanced_by(self.last.records);
        // The numbers start again: what is ahead may have the number of one written long ago, and
        // would be lost if it were taken for that.
        if !(1..=MAX_BACK).contains(&batch.first.records_until(next)) {
            return batch.follows(next).map(|()| None);
        }
        match self.retained().find_map(|run| run.find(batch)) {
            Some(written) => Ok(Some(written)),
            None => batch.follows(next).map(|()| None),
        }
    }
}
