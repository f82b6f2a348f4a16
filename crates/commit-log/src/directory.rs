//! One data directory and the only hand that writes in it.

mod create;
mod delete;
mod fence;
mod logs;
mod open;
mod step;
mod touched;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::Disk;
use record::{Batch, HEADER_LEN};
use types::{DirectoryId, LeaderEpoch, LogId, Offset, Timestamp};

pub use create::NewLog;
pub use open::{Fresh, JournalFound};
pub use upkeep::{Upkeep, UpkeepDone, UpkeepScope};

use crate::ballast::{Ballast, Released};
use crate::checkpoint::{Checkpoint, RecoveryPoint};
use crate::config::{DirectoryConfig, LogConfig};
use crate::error::{Action, LogError, StorageFault};
use crate::journal::Journal;
use crate::log::{Failure, Log, RecoveredLog, Remember};
use crate::name::{Aside, LogKey};
use crate::reader::LogReader;
use crate::room::Room;
use crate::write_behind::WriteBuffers;
use fence::Fence;
use logs::Logs;
use upkeep::UpkeepStage;

/// A data directory: many logs, written by one thread.
///
/// Holds the directory's lock until it is dropped. Dropping it loses nothing that was answered;
/// after [`Directory::close`] the next start is quicker.
#[derive(Debug)]
pub struct Directory<D: Disk> {
    disk: D,
    path: PathBuf,
    id: DirectoryId,
    config: DirectoryConfig,
    logs: Logs<D>,
    recovered: Vec<RecoveredLog>,
    journal_found: JournalFound,
    /// Found damaged when the directory was opened, and still where they were.
    damaged: BTreeSet<LogKey>,
    journal: Journal<D>,
    /// What the disk holds of it.
    checkpoint: Checkpoint,
    /// What it says of logs that were found damaged: without it they would look whole.
    points_of_damaged: BTreeMap<LogId, RecoveryPoint>,
    upkeep: UpkeepStage,
    /// Memory for what the journal made durable and its logs' files do not have yet.
    write_buffers: Arc<WriteBuffers>,
    ballast: Arc<Ballast<D>>,
    room: Room,
    /// Why nothing is written here any more.
    fence: Fence,
    /// Deleted logs whose files could not be removed yet.
    leftovers: Vec<PathBuf>,
    /// Logs whose folders were given these names, of which the disk may know nothing yet: that they are
    /// gone is not answered before it does, and nothing else is done to them.
    moved: BTreeMap<LogKey, (Aside, PathBuf)>,
    /// Keys whose folders hold an empty log of which nobody was told, since its name may not be durable.
    unmade: BTreeSet<LogKey>,
    #[expect(dead_code, reason = "held until the directory is dropped")]
    lock: D::Lock,
}

/// Whether names are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Synced {
    Yes,
    No,
}

/// Batches to be appended to one log, all or none.
#[derive(Clone, Debug)]
pub struct Append {
    /// To which log.
    pub log: LogKey,
    /// In which leader epoch; not older than what the log ends with.
    pub epoch: LeaderEpoch,
    /// In which order. Their own offsets and epochs are replaced. None at all: the answer tells
    /// what is durable, once it is.
    pub batches: Vec<Batch>,
    /// Where.
    pub at: AppendAt,
}

impl Append {
    /// The headers of its batches as they lie in the log, the first of them at `base`.
    fn placed_headers(&self, mut base: Offset) -> Vec<[u8; HEADER_LEN]> {
        let mut headers = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            headers.push(batch.placed_header(base, self.epoch));
            let records = u64::from(batch.header().last_offset_delta) + 1;
            // The log has made sure that its offsets fit.
            base = base.checked_add(records).unwrap_or(base);
        }
        headers
    }
}

/// Where an append goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendAt {
    /// To the end, wherever that is.
    End,
    /// To this offset, or not at all: for copies of another log.
    Exactly(Offset),
}

/// Where an append went. With [`Durability::Fsync`](types::Durability::Fsync) it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Behind its last record.
    pub end: Offset,
    /// Behind the last durable record of the log.
    pub durable_end: Offset,
}

impl<D: Disk> Directory<D> {
    /// Which directory this is, for life.
    pub fn id(&self) -> DirectoryId {
        self.id
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was found when it was opened, by log.
    pub fn recovered(&self) -> &[RecoveredLog] {
        &self.recovered
    }

    /// What the journal of an earlier life held when it was opened.
    pub fn journal_found(&self) -> JournalFound {
        self.journal_found
    }

    /// Why nothing is written here any more, if so.
    pub fn fenced(&self) -> Option<&str> {
        self.fence.cause()
    }

    /// Every usable log.
    pub fn logs(&self) -> impl Iterator<Item = LogKey> {
        self.logs.keys().copied()
    }

    /// Which life of a log this is. Two lives of one [`LogKey`] share no record.
    pub fn log_id(&self, log: LogKey) -> Option<LogId> {
        self.logs.get(&log).map(Log::id)
    }

    /// A handle for reading a log.
    pub fn reader(&self, log: LogKey) -> Option<LogReader<D>> {
        self.logs.get(&log).map(Log::reader)
    }

    /// What is kept for when the disk is full.
    pub fn ballast(&self) -> Arc<Ballast<D>> {
        Arc::clone(&self.ballast)
    }

    /// How much room there is, as it was told.
    pub const fn room(&self) -> Room {
        self.room
    }

    /// Tells how much room there is, which is [`Room::Ample`] at first, and [`Room::Critical`] once
    /// the ballast was given up for a deletion.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Lets a log go by other rules from the next step on.
    ///
    /// # Errors
    /// [`LogError::Unknown`] or [`LogError::Damaged`].
    pub fn set_config(&mut self, log: LogKey, config: LogConfig) -> Result<(), LogError> {
        self.log_mut(log)?.set_config(config);
        Ok(())
    }

    /// Drops the batches of a log that end beyond `end`, durably; returns where the log ends now,
    /// which is before `end` if that lies within a batch. Nothing happens if it ends there already.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] if `end` lies before the start: that calls for
    /// [`Directory::reset`]. Else what the disk reports.
    pub fn truncate(
        &mut self,
        log: LogKey,
        end: Offset,
        now: Timestamp,
    ) -> Result<Offset, LogError> {
        // All of a log makes room, but may have to write first who wrote what was in it.
        self.with_room(|directory| {
            let journal = directory.journal.position();
            let truncated = directory.log_mut(log)?.truncate(end, journal, now);
            directory.changed(truncated)
        })
    }

    /// Drops everything in a log, durably, and lets it begin anew at `start`.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn reset(&mut self, log: LogKey, start: Offset) -> Result<(), LogError> {
        let journal = self.journal.position();
        let reset = self.log_mut(log)?.reset(start, journal);
        self.changed(reset)
    }

    /// Lets a log begin at `offset`, durably, and removes the segments wholly before it. Nothing
    /// happens if it begins there or later. The caller keeps it at or below the high watermark.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] if `offset` lies behind the end, or what the disk reports.
    pub fn advance_log_start(&mut self, log: LogKey, offset: Offset) -> Result<(), LogError> {
        self.with_room(|directory| {
            let remember = directory.when_to_remember()?;
            let advanced = directory.log_mut(log)?.advance_log_start(offset, remember);
            directory.changed(advanced)
        })
    }

    /// Lets the next append to a log begin a new segment.
    ///
    /// # Errors
    /// [`LogError::Unknown`] or [`LogError::Damaged`].
    pub fn roll(&mut self, log: LogKey) -> Result<(), LogError> {
        self.log_mut(log)?.roll();
        Ok(())
    }

    /// Tries again with the ballast's room what a full disk refused: for what frees more than that.
    /// Nothing else gets of that room before somebody has looked at the disk.
    fn with_room<T>(
        &mut self,
        mut act: impl FnMut(&mut Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        match act(self) {
            Err(LogError::Full { source }) => match self.ballast.release() {
                Ok(Released::Yes) => {
                    self.room = Room::Critical { free: 0, needed: self.ballast.bytes() };
                    act(self)
                }
                Ok(Released::Nothing) | Err(_) => Err(LogError::Full { source }),
            },
            done => done,
        }
    }

    /// Before anything is deleted, as long as there is a ballast whose room that could take.
    fn when_to_remember(&self) -> Result<Remember, LogError> {
        let missing = self.ballast.missing().map_err(LogError::storage)?;
        let has_some = missing < self.ballast.bytes();
        Ok(if has_some { Remember::First } else { Remember::AsSoonAsThereIsRoom })
    }

    fn log_mut(&mut self, log: LogKey) -> Result<&mut Log<D>, LogError> {
        self.check_fence()?;
        if self.damaged.contains(&log) {
            return Err(LogError::Damaged { log });
        }
        if self.moved.contains_key(&log) {
            return Err(LogError::Unknown { log });
        }
        self.logs.get_mut(&log).ok_or(LogError::Unknown { log })
    }

    /// Makes the names of all logs' folders durable, for several that ask: the first for whom it
    /// succeeds has it done for those behind.
    fn sync_names_once(&mut self, synced: &mut Synced) -> Result<(), LogError> {
        if *synced == Synced::No {
            self.check_fence()?;
            let done = self.sync_names();
            self.stored(done)?;
            *synced = Synced::Yes;
        }
        // Another thread may have been told of a failure that this one was not told of.
        Ok(self.check_fence()?)
    }

    /// Makes the names of all logs' folders durable.
    fn sync_names(&self) -> Result<(), StorageFault> {
        self.disk.sync_dir(&self.path).map_err(Action::Sync.failed(&self.path))
    }

    /// Turns a fault into the caller's error, and fences the directory if it must be.
    fn stored<T>(&mut self, done: Result<T, StorageFault>) -> Result<T, LogError> {
        done.map_err(|fault| {
            if fault.is_final() { self.fence(&fault).into() } else { LogError::storage(fault) }
        })
    }

    fn changed<T>(&mut self, done: Result<T, Failure<LogError>>) -> Result<T, LogError> {
        done.map_err(|failure| match failure {
            Failure::Refused(error) => error,
            Failure::Broken(fault) => self.fence(&fault).into(),
        })
    }
}
