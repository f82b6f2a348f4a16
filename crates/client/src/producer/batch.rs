//! One batch on its way: gathering first, then sealed.

use std::time::Duration;

use record::{BatchBuilder, BatchProducer, ProducedBatch, RecordError};

use super::accumulator::{NewBatch, NewRecord};
use super::delivery::Outcome;
use crate::ClientError;

/// A batch that was never sent. `T` is how its records hear of its fate.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    pub(crate) ticket: T,
    /// Bytes of the producer's memory that its records hold.
    pub(crate) memory: usize,
    /// How often it could not be sent, and what was in the way last.
    pub(crate) failures: u32,
    pub(crate) last_failure: Option<ClientError>,
    /// When its first record came.
    pub(crate) opened: Duration,
    /// Takes no more records.
    pub(super) closed: bool,
    builder: BatchBuilder,
    limit: usize,
}

impl<T> Pending<T> {
    pub(super) fn new(batch: NewBatch<T>, builder: BatchBuilder) -> Self {
        Self {
            ticket: batch.ticket,
            limit: batch.limit,
            memory: 0,
            failures: 0,
            last_failure: None,
            opened: batch.opened,
            closed: false,
            builder,
        }
    }

    pub(crate) fn record_count(&self) -> u32 {
        self.builder.record_count()
    }

    /// Bytes so far, without the values that are not copied.
    pub(super) fn written_size(&self) -> usize {
        self.builder.written_size()
    }

    /// Whether a record of at most `size` bytes still fits.
    pub(super) fn has_room_for(&self, size: usize) -> bool {
        self.builder.plain_size() + size <= self.limit
    }

    /// Adds a record; returns its place in the batch.
    pub(super) fn push(&mut self, record: NewRecord<'_>) -> Result<u32, RecordError> {
        let NewRecord { timestamp, key, value, headers } = record;
        let index = self.builder.record_count();
        self.builder.push_shared(timestamp, key, value, headers)?;
        self.memory += record.size();
        Ok(index)
    }

    /// Packs it, in the name of `producer` if it has one.
    pub(super) fn seal(self, producer: Option<BatchProducer>) -> Sealing<T> {
        let Self { ticket, memory, failures, last_failure, opened, mut builder, .. } = self;
        let records = builder.record_count();
        if let Some(producer) = producer {
            builder.produced_by(producer);
        }
        match builder.produce() {
            Ok(batch) => Ok(Sealed { ticket, memory, failures, last_failure, opened, batch }),
            Err(error) => Err(Unsealed { ticket, memory, records, error }),
        }
    }
}

/// What sealing comes to.
pub(super) type Sealing<T> = Result<Sealed<T>, Unsealed<T>>;

/// A batch that could not be packed.
#[derive(Debug)]
pub(super) struct Unsealed<T> {
    pub(super) ticket: T,
    pub(super) memory: usize,
    pub(super) records: u32,
    pub(super) error: RecordError,
}

/// A batch as it is sent.
#[derive(Debug)]
pub(super) struct Sealed<T> {
    pub(super) ticket: T,
    pub(super) memory: usize,
    pub(super) failures: u32,
    pub(super) last_failure: Option<ClientError>,
    pub(super) opened: Duration,
    pub(super) batch: ProducedBatch,
}

/// A batch that has met its fate.
#[derive(Debug)]
pub(crate) struct Settled<T> {
    pub(crate) ticket: T,
    pub(crate) memory: usize,
    pub(crate) outcome: Outcome,
}
