//! The entries on the disk: one log in a directory of its own.

use std::path::Path;

use bytes::Bytes;
use commit_log::{
    Append, AppendAt, Directory, DirectoryConfig, Fresh, LogConfig, LogKey, LogReader, Recovered,
};
use disk::Disk;
use raft::prelude::Entry;
use record::Batches;
use types::{Durability, LogId, Offset, PartitionId, Timestamp, TopicId};

use super::codec::{entry_from_batch, entry_to_batch, term_to_epoch};
use super::error::RaftError;

/// The one log of the directory. No topic ever has this id: topics' are random UUIDs.
const KEY: LogKey =
    LogKey { topic_id: TopicId::from_bytes(*b"dohle raft log  "), partition: PartitionId::new(0) };

const READ_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct EntryLog<D: Disk> {
    directory: Directory<D>,
    reader: LogReader<D>,
}

impl<D: Disk> EntryLog<D> {
    /// Opens the log, or makes an empty one that begins at `start`. `fresh` are random bytes for
    /// the ids of what is made.
    pub(super) fn open(
        disk: D,
        path: &Path,
        start: u64,
        fresh: [[u8; 16]; 3],
        now: Timestamp,
    ) -> Result<Self, RaftError> {
        let log = LogConfig {
            segment_bytes: 64 * 1024 * 1024,
            durability: Durability::Fsync,
            ..LogConfig::default()
        };
        let config = DirectoryConfig { log: log.clone(), ..DirectoryConfig::default() };
        let [directory_id, journal_mark, log_id] = fresh;
        let fresh = Fresh::from_random([directory_id, journal_mark]);
        let mut directory = Directory::open(disk, path, config, fresh, now)?;
        if directory.recovered().iter().any(|log| matches!(log.outcome, Recovered::Damaged(_))) {
            return Err(RaftError::LogDamaged { path: path.to_owned() });
        }
        let reader = if let Some(reader) = directory.reader(KEY) {
            reader
        } else {
            directory.create_log(KEY, LogId::from_bytes(log_id), log, Offset::new(start))?
        };
        Ok(Self { directory, reader })
    }

    /// First index that is still there.
    pub(super) fn start(&self) -> u64 {
        self.reader.log_start().get()
    }

    /// The index the next entry will have.
    pub(super) fn end(&self) -> u64 {
        self.reader.end().get()
    }

    /// All entries from `from` on.
    pub(super) fn load(&self, from: u64) -> Result<Vec<Entry>, RaftError> {
        let mut entries = Vec::new();
        let (mut at, end) = (Offset::new(from), self.reader.end());
        while at < end {
            let bytes: Bytes = self.reader.read(at, READ_BYTES, end)?;
            for batch in Batches::new(bytes) {
                let entry = batch
                    .map_err(|error| RaftError::Entry { index: at.get(), source: error.into() })
                    .and_then(|batch| entry_from_batch(&batch))?;
                at = Offset::new(entry.index + 1);
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// Appends entries behind each other, in place of those there are from the first one's index
    /// on. Durable when it returns.
    pub(super) fn append(&mut self, entries: &[Entry], now: Timestamp) -> Result<(), RaftError> {
        let Some(first) = entries.first() else { return Ok(()) };
        if first.index < self.end() {
            self.directory.truncate(KEY, Offset::new(first.index), now)?;
        }
        let mut appends = Vec::new();
        for same_term in entries.chunk_by(|one, next| one.term == next.term) {
            let Some(first) = same_term.first() else { continue };
            let batches: Result<_, _> =
                same_term.iter().map(|entry| entry_to_batch(entry, now)).collect();
            appends.push(Append {
                log: KEY,
                epoch: term_to_epoch(first)?,
                batches: batches?,
                at: AppendAt::Exactly(Offset::new(first.index)),
            });
        }
        for appended in self.directory.step(&appends, now) {
            appended?;
        }
        Ok(())
    }

    /// Forgets all entries; the next one is `start`.
    pub(super) fn reset(&mut self, start: u64) -> Result<(), RaftError> {
        Ok(self.directory.reset(KEY, Offset::new(start))?)
    }

    /// Gives up entries before `start`.
    pub(super) fn discard_before(&mut self, start: u64) -> Result<(), RaftError> {
        Ok(self.directory.advance_log_start(KEY, Offset::new(start))?)
    }

    /// Moves the recovery point up, so that the next start has less to read.
    pub(super) fn upkeep(&mut self, now: Timestamp) -> Result<(), RaftError> {
        Ok(self.directory.upkeep(now)?)
    }
}
