use record::{Batch, BatchProducer};
use types::{ProducerEpoch, ProducerId, Sequence};

use crate::harness::batch_of;

/// So many of its last batches a log knows again.
const KNOWN: usize = 5;

/// A producer of one log, as the log must know it.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    id: u64,
    /// Its batches that are in the log, or were before the log began behind them.
    sent: Vec<Sent>,
}

/// A batch, and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) batch: Batch,
    pub(super) base: u64,
    pub(super) end: u64,
    /// Behind its last record.
    sequence: u32,
}

impl Producer {
    pub(super) fn new(id: u64) -> Self {
        Self { id, sent: Vec::new() }
    }

    /// Batches with the sequences that follow what the log has.
    pub(super) fn batches(&self, words: &[Vec<u64>]) -> Vec<Batch> {
        let mut sequence = self.sequence();
        let mut batch = |words: &Vec<u64>| {
            let producer = BatchProducer {
                id: ProducerId::new(self.id),
                epoch: ProducerEpoch::ZERO,
                base_sequence: Sequence::new(sequence),
            };
            sequence += u32::try_from(words.len()).unwrap();
            batch_of(Some(producer), words)
        };
        words.iter().map(&mut batch).collect()
    }

    fn sequence(&self) -> u32 {
        self.sent.last().map_or(0, |sent| sent.sequence)
    }

    pub(super) fn wrote(&mut self, batches: &[Batch], mut base: u64) {
        for batch in batches {
            let records = batch.header().last_offset_delta + 1;
            let (end, sequence) = (base + u64::from(records), self.sequence() + records);
            self.sent.push(Sent { batch: batch.clone(), base, end, sequence });
            base = end;
        }
    }

    /// Nothing lies from `end` on any more.
    pub(super) fn truncate(&mut self, end: u64) {
        self.sent.retain(|sent| sent.end <= end);
    }

    /// Another one goes on.
    pub(super) fn is_forgotten(&mut self) {
        *self = Self::new(self.id + 100);
    }

    /// Those of its last batches that the log knows again, newest first.
    pub(super) fn known(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().rev().take(KNOWN)
    }
}
