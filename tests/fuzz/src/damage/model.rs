use std::collections::BTreeSet;

use commit_log::Append;
use types::{Durability, ProducerId};

/// One record: its offset, its epoch, and what it says.
pub(super) type Found = (u64, u32, u64);

/// What a log must hold.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Whole batches, from at or before the start to the end.
    pub(super) batches: Vec<Vec<Found>>,
    /// Everything below was acknowledged as durable, or made so since.
    pub(super) acknowledged: u64,
    /// Everything below is known to the directory to be synced in its files.
    pub(super) synced: u64,
    /// As before, by what the log's own folder says.
    pub(super) synced_by_folder: u64,
    /// Every record that ever was in it, cut since or not.
    pub(super) ever: BTreeSet<Found>,
    pub(super) durability: Durability,
    pub(super) producer: Producer,
}

/// Who writes to a log, and what it wrote last.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) id: ProducerId,
    pub(super) next: u32,
    pub(super) last: Option<Sent>,
}

/// An append of a producer that was answered.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) append: Append,
    pub(super) base: u64,
    pub(super) end: u64,
}

impl Producer {
    pub(super) fn new(id: u64) -> Self {
        Self { id: ProducerId::new(id), next: 0, last: None }
    }
}

impl Model {
    pub(super) fn new(start: u64, producer: u64) -> Self {
        Self {
            start,
            end: start,
            batches: Vec::new(),
            acknowledged: start,
            synced: start,
            synced_by_folder: start,
            ever: BTreeSet::new(),
            durability: Durability::Fsync,
            producer: Producer::new(producer),
        }
    }

    /// The records that readers may have.
    pub(super) fn records(&self) -> Vec<Found> {
        let records = self.batches.iter().flatten().copied();
        records.filter(|(at, ..)| self.start <= *at).collect()
    }

    pub(super) fn push(&mut self, batches: Vec<Vec<Found>>) {
        for batch in batches {
            self.end += u64::try_from(batch.len()).expect("64 bits");
            self.ever.extend(batch.iter().copied());
            self.batches.push(batch);
        }
    }

    /// Drops the batches that end beyond `to`.
    pub(super) fn cut(&mut self, to: u64) {
        let start = self.start;
        self.batches.retain_mut(|batch| {
            if to < behind(batch) {
                // Of a batch that the start lies in, what is before it is gone either way.
                batch.retain(|(at, ..)| *at < start);
            }
            !batch.is_empty()
        });
        self.end = self.batches.last().map_or(start, |batch| behind(batch)).max(start);
    }

    /// Everything it holds is synced, in its files.
    pub(super) fn is_synced(&mut self) {
        self.acknowledged = self.end;
        self.synced = self.end;
    }

    /// It was cut or emptied: its folder says so.
    pub(super) fn was_cut(&mut self) {
        self.is_synced();
        self.synced_by_folder = self.end;
    }

    pub(super) fn reset(&mut self, start: u64) {
        self.batches.clear();
        self.start = start;
        self.end = start;
        self.was_cut();
    }

    pub(super) fn advance(&mut self, start: u64) {
        self.start = start;
        let moved = [&mut self.acknowledged, &mut self.synced, &mut self.synced_by_folder];
        moved.into_iter().for_each(|point| *point = start.max(*point));
    }

    /// Goes on from what was found, all of which is synced.
    pub(super) fn found(&mut self, start: u64, end: u64, batches: Vec<Vec<Found>>) {
        self.start = start;
        self.end = end;
        self.batches = batches;
        self.synced_by_folder = self.synced_by_folder.min(end);
        self.is_synced();
        // A start goes by the directory's configuration until it is told otherwise.
        self.durability = Durability::Fsync;
    }
}

/// The offset behind a batch.
fn behind(batch: &[Found]) -> u64 {
    batch.last().map_or(0, |(at, ..)| at + 1)
}
