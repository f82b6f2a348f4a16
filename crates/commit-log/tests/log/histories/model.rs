use types::Durability;

use super::producer::Producer;
use crate::harness::Found;

/// What a log must hold.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) start: u64,
    /// Where the log may begin after a crash instead, if moving it was under way.
    pub(super) may_start: Option<u64>,
    /// A reset to there was under way: after a crash the log may be empty at it.
    pub(super) may_be_reset: Option<u64>,
    /// Deleting it was under way.
    pub(super) may_be_gone: bool,
    /// Whole batches, from at or before `start` to the end.
    pub(super) batches: Vec<Vec<Found>>,
    pub(super) end: u64,
    /// Everything below survives.
    pub(super) durable: u64,
    pub(super) durability: Durability,
    /// They take turns.
    pub(super) producers: [Producer; 2],
    /// Records were deleted while there was no room to store who wrote them.
    pub(super) may_forget: bool,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            start: 0,
            may_start: None,
            may_be_reset: None,
            may_be_gone: false,
            batches: Vec::new(),
            end: 0,
            durable: 0,
            durability: Durability::Fsync,
            producers: [Producer::new(7), Producer::new(8)],
            may_forget: false,
        }
    }

    pub(super) fn records(&self) -> Vec<Found> {
        let records = self.batches.concat();
        records.into_iter().filter(|(at, ..)| self.start <= *at).collect()
    }

    pub(super) fn last_epoch(&self) -> u32 {
        self.batches.last().map_or(0, |batch| batch[0].1)
    }

    pub(super) fn push(&mut self, batches: Vec<Vec<Found>>) {
        for batch in batches {
            self.end = batch.last().unwrap().0 + 1;
            self.batches.push(batch);
        }
    }

    pub(super) fn truncate(&mut self, to: u64) {
        let start = self.start;
        self.batches.retain_mut(|batch| {
            // Of a batch that the start lies in, what is before it is gone either way.
            if to <= batch.last().unwrap().0 {
                batch.retain(|(at, ..)| *at < start);
            }
            !batch.is_empty()
        });
        self.end = self.batches.last().map_or(start, |batch| batch.last().unwrap().0 + 1);
        self.durable = self.durable.min(self.end);
        for producer in &mut self.producers {
            producer.truncate(self.end);
        }
    }

    pub(super) fn reset(&mut self, to: u64) {
        let durability = self.durability;
        *self = Self { start: to, end: to, durable: to, durability, ..Self::new() };
    }

    /// Holds what was found after a crash against what had to survive, and goes on from there.
    pub(super) fn recovered(&mut self, start: u64, end: u64, found: &[Found]) {
        if self.may_be_reset == Some(start) && start == end {
            let mut producers = self.producers.clone();
            // Or it was empty there before, and knows them yet.
            producers.iter_mut().for_each(Producer::is_forgotten);
            self.reset(start);
            self.producers = producers;
            return;
        }
        if start != self.start {
            assert_eq!(Some(start), self.may_start, "the log begins elsewhere");
            self.start = start;
        }
        assert!(end >= self.durable, "durable to {}, found to {end}", self.durable);
        assert!(end <= self.end, "more than was ever written");
        let expected: Vec<Found> =
            self.records().into_iter().filter(|(at, ..)| *at < end).collect();
        assert_eq!(found, expected, "another history");
        self.truncate(end);
        assert_eq!(self.end, end, "part of a batch");
        self.durable = end;
        self.may_start = None;
        self.may_be_reset = None;
        self.may_be_gone = false;
        if std::mem::take(&mut self.may_forget) {
            self.producers.iter_mut().for_each(Producer::is_forgotten);
        }
    }
}
