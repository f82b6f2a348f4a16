//! What the journal of an earlier life holds for each log.

use std::collections::BTreeMap;
use std::iter::once;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use disk::{Disk, DiskFile};
use record::{Batch, BatchHeader};
use types::{LeaderEpoch, LogId, Offset};

use super::walk::{Entry, Order, Walk, first_entry};
use super::{files_in, folder_in};
use crate::checkpoint::{JournalLife, JournalPosition, LostEntries};
use crate::error::{Action, StorageFault};

/// Where a batch lies in the journal, and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Journalled {
    pub(crate) position: JournalPosition,
    pub(crate) base: Offset,
    /// Behind its last record.
    pub(crate) end: Offset,
    pub(crate) epoch: LeaderEpoch,
    file: usize,
    at: u64,
    len: usize,
}

/// What the journal of an earlier life holds.
#[derive(Debug)]
pub(crate) struct Replay<D: Disk> {
    files: Vec<(PathBuf, D::File)>,
    batches: BTreeMap<LogId, Vec<Journalled>>,
    /// Entries that count, and that were read.
    entries: u64,
    /// Sequences that are missing although they had been synced, in order.
    gaps: Vec<Range<u64>>,
    /// Behind the last entry.
    behind: JournalPosition,
}

/// Where the entries begin that the newest life of the journal left, as the files themselves tell:
/// for when nothing else does. `None` if there are no entries.
///
/// Of them some may lie synced in their logs already, and some of these be gone. Replay adds only
/// what lies beyond a log's end, and a log that was cut knows which entries are void: to look at
/// them once more brings nothing back that went.
///
/// # Errors
/// What the disk reports.
pub(crate) fn newest_life<D: Disk>(
    disk: &D,
    directory: &Path,
) -> Result<Option<JournalPosition>, StorageFault> {
    let mut newest: Option<JournalPosition> = None;
    for path in files_in(disk, &folder_in(directory))? {
        let file = disk.open(&path).map_err(Action::Open.failed(&path))?;
        // A life writes its files from the start, each time it uses them.
        let first = first_entry(&file).map_err(Action::Read.failed(&path))?;
        let Some(first) = first.map(|entry| entry.header.position) else { continue };
        newest = Some(match newest {
            Some(other) if other.generation == first.generation => other.min(first),
            Some(other) => other.max(first),
            None => first,
        });
    }
    Ok(newest)
}

impl<D: Disk> Replay<D> {
    /// Reads the entries from the floor of `life` on, in each file to the first that is not whole, and
    /// behind it what others prove to be worth it. Those of other generations do not count: all logs
    /// were synced in between.
    ///
    /// # Errors
    /// What the disk reports.
    pub(crate) fn read(
        disk: &D,
        directory: &Path,
        life: JournalLife,
    ) -> Result<Self, StorageFault> {
        let mut files = Vec::new();
        for path in files_in(disk, &folder_in(directory))? {
            let file = disk.open(&path).map_err(Action::Open.failed(&path))?;
            files.push((path, file));
        }
        let mut found = Found::default();
        let mut unread = Ok(());
        for (number, (path, file)) in files.iter().enumerate() {
            let read = found.read_file(number, file, life);
            unread = unread.and(read.map_err(Action::Read.failed(path)));
        }
        let gaps = found.gaps(life);
        if gaps.is_empty() {
            // Who knows what is there. If something is missed, that is for those to know who are told.
            unread?;
        }
        let behind = found.entries.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        let behind = JournalPosition { sequence: behind, ..life.floor };
        let entries = found.believed();
        let count = entries.len() as u64;
        let mut batches: BTreeMap<LogId, Vec<Journalled>> = BTreeMap::new();
        for (log, of_entry) in entries {
            batches.entry(log).or_default().extend(of_entry);
        }
        Ok(Self { files, batches, entries: count, gaps, behind })
    }

    /// The batches of one life of a log from `void_below` on, in the order written.
    pub(crate) fn of(
        &self,
        log: LogId,
        void_below: JournalPosition,
    ) -> impl Iterator<Item = &Journalled> {
        let batches = self.batches.get(&log).map(Vec::as_slice).unwrap_or_default();
        batches.iter().filter(move |batch| void_below <= batch.position)
    }

    /// Reads a batch.
    ///
    /// # Errors
    /// What the disk reports, a batch that is no longer what it was included.
    pub(crate) fn fetch(&self, batch: &Journalled) -> Result<Batch, StorageFault> {
        let Some((path, file)) = self.files.get(batch.file) else {
            let error = std::io::ErrorKind::NotFound.into();
            return Err(Action::Open.failed(Path::new(super::JOURNAL_FOLDER))(error));
        };
        let bytes = file.read_vec_at(batch.len, batch.at);
        bytes
            .and_then(|bytes| Batch::verify(Bytes::from(bytes)).map_err(std::io::Error::other))
            .map_err(Action::Read.failed(path))
    }

    /// How many entries count.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// What is missing although it had been synced.
    pub(crate) fn lost(&self) -> Option<LostEntries> {
        let first = self.gaps.first()?.start;
        let last = self.gaps.last()?.end.saturating_sub(1);
        let count = self.gaps.iter().map(|gap| gap.end.saturating_sub(gap.start)).sum();
        Some(LostEntries { first, last, count })
    }

    /// Whether any of what is missing lay between two entries; behind the floor if there is no first.
    pub(crate) fn lost_between(
        &self,
        first: Option<JournalPosition>,
        second: JournalPosition,
    ) -> bool {
        let begins_behind = |gap: &Range<u64>| first.is_none_or(|first| first.sequence < gap.start);
        self.gaps.iter().any(|gap| begins_behind(gap) && gap.end <= second.sequence)
    }

    /// Behind the last entry that was found, believed or not.
    pub(crate) fn behind(&self) -> JournalPosition {
        self.behind
    }
}

/// The entries that count, by sequence, and what they prove.
#[derive(Debug, Default)]
struct Found {
    entries: BTreeMap<u64, FoundEntry>,
    /// All entries below this sequence had been synced.
    synced_below: u64,
}

#[derive(Debug)]
struct FoundEntry {
    log: LogId,
    batches: Vec<Journalled>,
    order: Order,
}

impl Found {
    fn read_file<F: DiskFile>(
        &mut self,
        number: usize,
        file: &F,
        life: JournalLife,
    ) -> std::io::Result<()> {
        let mut walk = Walk::new(file, life)?;
        while let Some((Entry { header, batches, at }, order)) = walk.next() {
            let position = header.position;
            let proven = header.proof.map_or(0, |proof| proof.synced_below);
            self.synced_below = self.synced_below.max(proven);
            if life.floor <= position {
                let batches = Place { file: number, at }.locate(position, &batches);
                self.entries
                    .insert(position.sequence, FoundEntry { log: header.log, batches, order });
            }
        }
        walk.into_unreadable().map_or(Ok(()), Err)
    }

    /// What is missing of what had been synced to the journal alone. Not known of a life of which only
    /// the files are left: those that were used again leave gaps that harm nobody.
    fn gaps(&self, life: JournalLife) -> Vec<Range<u64>> {
        let Some(_) = life.mark else { return Vec::new() };
        let from = life.floor.sequence.max(life.in_logs_below);
        let synced = from..self.synced_below.max(from);
        let there = self.entries.range(synced.clone()).map(|(sequence, _)| *sequence);
        let mut next = from;
        let mut gaps = Vec::new();
        for sequence in there.chain(once(synced.end)) {
            if next < sequence {
                gaps.push(next..sequence);
            }
            next = sequence.saturating_add(1);
        }
        gaps
    }

    /// What replay may add, in the order written. What lies behind damage is among it only if all before
    /// it is there that had not been synced: else the damage may be a torn write of its own step, and
    /// hold what belongs before it.
    fn believed(self) -> impl ExactSizeIterator<Item = (LogId, Vec<Journalled>)> {
        let Self { mut entries, synced_below } = self;
        let in_turn = entries.range(synced_below..).zip(synced_below..);
        let in_turn = in_turn.take_while(|((sequence, _), turn)| *sequence == turn).count() as u64;
        let believed_below = synced_below.saturating_add(in_turn);
        entries.retain(|sequence, it| it.order == Order::Whole || *sequence < believed_below);
        entries.into_values().map(|entry| (entry.log, entry.batches))
    }
}

struct Place {
    file: usize,
    at: u64,
}

impl Place {
    /// The batches in an entry, whose checksum vouches for them.
    fn locate(mut self, position: JournalPosition, mut bytes: &[u8]) -> Vec<Journalled> {
        let mut found = Vec::new();
        while let Ok(header) = BatchHeader::parse(bytes)
            && let Some(epoch) = header.leader_epoch
            && let Some((_, rest)) = bytes.split_at_checked(header.total_len())
        {
            let len = header.total_len();
            let (base, end) = (header.base_offset, header.end_offset());
            found.push(Journalled {
                position,
                base,
                end,
                epoch,
                file: self.file,
                at: self.at,
                len,
            });
            self.at = self.at.saturating_add(len as u64);
            bytes = rest;
        }
        found
    }
}

#[cfg(test)]
mod tests;
