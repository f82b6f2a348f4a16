//! One log as its writer holds it.

mod append;
mod cut;
mod producers;
mod recover;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::Disk;
use types::{Durability, LeaderEpoch, LogId, Offset, Timestamp};

use crate::checkpoint::JournalPosition;
use crate::config::LogConfig;
use crate::directory::NewLog;
use crate::duty::{Background, Changes, Duty};
use crate::error::{Action, StorageFault};
use crate::meta::{Meta, MetaFile, Stage};
use crate::name::LogKey;
use crate::producers::ProducerStates;
use crate::reader::LogReader;
use crate::segment::Segment;
use crate::view::{Piece, Published, View};

pub(crate) use append::{FileWrite, Placement, Writing};
pub(crate) use cut::Remember;
use producers::Snapshot;
pub(crate) use upkeep::{LogUpkeep, LogUpkept};

pub use recover::{Damage, DamageKind, Recovered, RecoveredLog, TornTail};
pub(crate) use recover::{Past, Unrecovered, recover, sweep};

/// One log: its segments, and how far they are durable.
#[derive(Debug)]
pub(crate) struct Log<D: Disk> {
    disk: D,
    folder: Arc<Folder>,
    key: LogKey,
    config: LogConfig,
    meta: MetaFile<D>,
    segments: Vec<Tracked<D>>,
    /// Who wrote what is in it.
    producers: ProducerStates,
    /// Of the names in the folder.
    names: Changes,
    /// A write was taken back since the last sync. Until that is durable, a crash could bring back
    /// records that were refused.
    took_back: bool,
    end: Offset,
    /// Everything below it survives a loss of power, in the files or in the journal.
    durable_end: Offset,
    /// Everything below it survives in the files. `synced_end <= durable_end <= end`.
    synced_end: Offset,
    cuts: u64,
    /// What readers see of all segments but the last.
    earlier: Arc<[Piece<D>]>,
    published: Arc<Published<D>>,
}

/// The folder of a log.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    duty: Duty,
}

impl Folder {
    pub(crate) fn sync<D: Disk>(&self, disk: &D) -> Result<(), StorageFault> {
        self.duty.sync(&self.path, || disk.sync_dir(&self.path))
    }

    fn sync_in_background<D: Disk>(&self, disk: &D) -> Result<Background, StorageFault> {
        let sync = || disk.sync_dir(&self.path).map_err(Action::Sync.failed(&self.path));
        self.duty.in_background(&self.path, sync)
    }
}

/// A segment and what the writer alone needs to know of it.
#[derive(Debug)]
struct Tracked<D: Disk> {
    piece: Piece<D>,
    changes: Changes,
    stage: SegmentStage,
    opened_at: Timestamp,
    /// What was known of producers when it was begun, until that is stored.
    snapshot: Option<Snapshot>,
}

/// The life of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SegmentStage {
    /// Takes appends. Only the last one can.
    Open,
    /// Takes no more.
    Closed,
    /// Takes no more, is durable, and so is its index.
    Sealed,
}

/// Why a change of a log did not happen.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    /// The log is as it was.
    Refused(E),
    /// The log is in doubt, and with it the whole disk.
    Broken(StorageFault),
}

/// What has to be synced before everything written to a log is durable.
#[derive(Debug)]
pub(crate) struct Unsynced<D: Disk> {
    /// Oldest first: a record is worth nothing without those before it.
    segments: Vec<Arc<Segment<D>>>,
    folder: Option<Arc<Folder>>,
}

impl<D: Disk> Unsynced<D> {
    pub(crate) fn sync(&self, disk: &D) -> Result<(), StorageFault> {
        for segment in &self.segments {
            segment.sync()?;
        }
        self.folder.as_ref().map_or(Ok(()), |folder| folder.sync(disk))
    }
}

impl<D: Disk> Log<D> {
    /// Prepares an empty log in `new_folder`, durable but for that folder's own name. It is one
    /// once the folder is called `folder`.
    pub(crate) fn prepare(
        disk: &D,
        new_folder: &Path,
        folder: &Path,
        new: &NewLog,
    ) -> Result<Self, StorageFault> {
        let start = new.start;
        let meta = Meta {
            log_id: new.id,
            log_start: start,
            recovery_point: start,
            start_epoch: None,
            stage: Stage::Live,
            cuts: 0,
            void_below: JournalPosition::default(),
        };
        disk.create_dir(new_folder).map_err(Action::Create.failed(new_folder))?;
        let meta = MetaFile::create(disk, new_folder, meta)?;
        disk.sync_dir(new_folder).map_err(Action::Sync.failed(new_folder))?;
        Ok(Self::assemble(disk, folder, new.log, new.config.clone(), meta, Vec::new()))
    }

    /// Puts a log together from segments that are durable to their ends.
    fn assemble(
        disk: &D,
        folder: &Path,
        key: LogKey,
        config: LogConfig,
        meta: MetaFile<D>,
        segments: Vec<Tracked<D>>,
    ) -> Self {
        let Meta { log_start, start_epoch, .. } = meta.current();
        let end = segments.last().map_or(log_start, |last| last.piece.end);
        let earlier: Arc<[Piece<D>]> = Arc::new([]);
        let producers = ProducerStates::new(config.producers);
        let view = View {
            log_id: meta.current().log_id,
            log_start,
            end,
            durable_end: end,
            start_epoch,
            cuts: 0,
            earlier: Arc::clone(&earlier),
            last: None,
        };
        let mut log = Self {
            disk: disk.clone(),
            folder: Arc::new(Folder { path: folder.to_path_buf(), duty: Duty::default() }),
            key,
            config,
            meta,
            segments,
            producers,
            names: Changes::default(),
            took_back: false,
            end,
            durable_end: end,
            synced_end: end,
            cuts: 0,
            earlier,
            published: Arc::new(Published::new(view)),
        };
        log.publish_segments();
        log
    }

    pub(crate) fn id(&self) -> LogId {
        self.meta.current().log_id
    }

    /// Entries of the journal before it are none of this log's any more.
    pub(crate) fn void_below(&self) -> JournalPosition {
        self.meta.current().void_below
    }

    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    pub(crate) fn durable_end(&self) -> Offset {
        self.durable_end
    }

    pub(crate) fn log_start(&self) -> Offset {
        self.meta.current().log_start
    }

    /// Whether what was written to it must be durable before it is answered.
    pub(crate) fn must_be_durable(&self) -> bool {
        self.took_back || self.config.durability == Durability::Fsync
    }

    /// Whether a write was taken back that a crash could bring back.
    pub(crate) fn took_back(&self) -> bool {
        self.took_back
    }

    /// Whether everything in it is durable, what was taken back included. The journal can make
    /// durable only what is appended to such a log.
    pub(crate) fn is_durable(&self) -> bool {
        !self.took_back && self.durable_end == self.end
    }

    /// Notes that the journal holds everything up to the end, durably.
    pub(crate) fn mark_journalled(&mut self) {
        self.durable_end = self.end;
        self.publish();
    }

    pub(crate) fn set_config(&mut self, config: LogConfig) {
        self.producers.set_limits(config.producers);
        self.config = config;
    }

    pub(crate) fn reader(&self) -> LogReader<D> {
        LogReader::new(Arc::clone(&self.published))
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        let last = self.segments.last().map(|last| last.piece.epoch());
        last.or(self.meta.current().start_epoch)
    }

    /// The epoch of the last record before a segment.
    fn epoch_before(&self, segment: usize) -> Option<LeaderEpoch> {
        let before = segment.checked_sub(1).and_then(|before| self.segments.get(before));
        before.map(|before| before.piece.epoch()).or(self.meta.current().start_epoch)
    }

    /// Lets the next append begin a new segment.
    pub(crate) fn roll(&mut self) {
        if let Some(last) = self.segments.last_mut().filter(|last| last.stage == SegmentStage::Open)
        {
            last.stage = SegmentStage::Closed;
        }
    }

    /// What the files hold and a loss of power could take from them.
    pub(crate) fn unsynced(&self) -> Unsynced<D> {
        let unsynced = self.segments.iter().filter(|tracked| !tracked.changes.are_synced());
        Unsynced {
            segments: unsynced.map(|tracked| Arc::clone(&tracked.piece.segment)).collect(),
            folder: (!self.names.are_synced()).then(|| Arc::clone(&self.folder)),
        }
    }

    /// Notes that what [`Log::unsynced`] named was synced, with nothing written since.
    pub(crate) fn mark_synced(&mut self) {
        for tracked in &mut self.segments {
            tracked.changes.synced(tracked.changes.so_far());
        }
        self.names.synced(self.names.so_far());
        self.took_back = false;
        self.synced_end = self.end;
        self.durable_end = self.end;
        self.publish();
    }

    /// Lets go of the folder: nobody who works in the background touches it from here on.
    pub(crate) fn retire(&self) {
        for tracked in &self.segments {
            tracked.piece.segment.retire();
        }
        self.folder.duty.retire();
    }

    /// The folder stays after all.
    pub(crate) fn resume(&self) {
        for tracked in &self.segments {
            tracked.piece.segment.resume();
        }
        self.folder.duty.resume();
    }

    pub(crate) fn sync(&mut self) -> Result<(), StorageFault> {
        self.unsynced().sync(&self.disk)?;
        self.mark_synced();
        Ok(())
    }

    /// Shows readers the log as it is.
    pub(crate) fn publish(&self) {
        let Meta { log_start, start_epoch, .. } = self.meta.current();
        self.published.store(View {
            log_id: self.id(),
            log_start,
            end: self.end,
            durable_end: self.durable_end,
            start_epoch,
            cuts: self.cuts,
            earlier: Arc::clone(&self.earlier),
            last: self.segments.last().map(|last| last.piece.clone()),
        });
    }

    /// As [`Log::publish`], after the list of segments changed.
    fn publish_segments(&mut self) {
        let earlier = self.segments.split_last().map_or(&[][..], |(_, earlier)| earlier);
        self.earlier = earlier.iter().map(|tracked| tracked.piece.clone()).collect();
        self.publish();
    }
}
