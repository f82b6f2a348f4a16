use std::time::Duration;

use record::{BatchHeader, BatchProducer};
use types::{Offset, ProducerEpoch, ProducerId, RETAINED_BATCHES, Sequence, Timestamp};

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

/// One of a producer's last batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retained {
    pub(super) first: Sequence,
    pub(super) records: u32,
    pub(super) base_offset: Offset,
}

impl Retained {
    /// Behind its last offset.
    pub(super) fn end(&self) -> Offset {
        self.base_offset.checked_add(u64::from(self.records)).unwrap_or(Offset::MAX)
    }
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
    last: Retained,
    /// Those before it in the same epoch, newest first.
    earlier: [Option<Retained>; RETAINED_BATCHES - 1],
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
        let last = Retained { first, records, base_offset };
        match known.filter(|known| known.epoch == epoch) {
            Some(known) => known.followed_by(last, now),
            None => Self::first(epoch, last, now),
        }
    }

    pub(super) fn first(epoch: ProducerEpoch, last: Retained, now: Timestamp) -> Self {
        Self { epoch, last, earlier: [None; _], used_at: now, use_number: 0 }
    }

    pub(super) fn followed_by(mut self, last: Retained, now: Timestamp) -> Self {
        self.earlier.rotate_right(1);
        if let Some(newest) = self.earlier.first_mut() {
            *newest = Some(self.last);
        }
        Self { last, used_at: now, ..self }
    }

    /// The last batches, newest first.
    pub(super) fn retained(&self) -> impl Iterator<Item = Retained> {
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
        let &Numbered { producer, epoch, first, records } = batch;
        if self.outlives(batch) {
            return Err(ProducerRefusal::StaleEpoch { producer, epoch, current: self.epoch });
        }
        if self.epoch < epoch {
            return batch.follows(Sequence::ZERO).map(|()| None);
        }
        let same = |it: &Retained| it.first == first && it.records == records;
        if let Some(it) = self.retained().find(same) {
            return Ok(Some(Written { base_offset: it.base_offset, end: it.end() }));
        }
        batch.follows(self.last.first.advanced_by(self.last.records)).map(|()| None)
    }
}
