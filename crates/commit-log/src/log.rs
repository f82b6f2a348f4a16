//! One log as its writer holds it.

mod append;
mod cut;
mod recover;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::Disk;
use types::{Durability, LeaderEpoch, LogId, Offset, Timestamp};

use crate::config::LogConfig;
use crate::error::{Action, StorageFault};
use crate::meta::{Meta, MetaFile, Stage};
use crate::name::LogKey;
use crate::reader::LogReader;
use crate::segment::Segment;
use crate::view::{Piece, Published, View};

pub use recover::{Damage, DamageKind, Recovered, RecoveredLog, TornTail};
pub(crate) use recover::{Unrecovered, recover, sweep};

/// One log: its segments, and how far they are durable.
#[derive(Debug)]
pub(crate) struct Log<D: Disk> {
    disk: D,
    folder: PathBuf,
    key: LogKey,
    config: LogConfig,
    meta: MetaFile<D>,
    segments: Vec<Tracked<D>>,
    /// Names in the folder changed since it was last synced.
    names_unsynced: bool,
    /// A write was taken back since the last sync. Until that is durable, a crash could bring back
    /// records that were refused.
    took_back: bool,
    end: Offset,
    durable_end: Offset,
    cuts: u64,
    /// What readers see of all segments but the last.
    earlier: Arc<[Piece<D>]>,
    published: Arc<Published<D>>,
}

/// A segment and what the writer alone needs to know of it.
#[derive(Debug)]
struct Tracked<D: Disk> {
    piece: Piece<D>,
    unsynced: bool,
    stage: SegmentStage,
    opened_at: Timestamp,
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
    folder: Option<PathBuf>,
}

impl<D: Disk> Unsynced<D> {
    pub(crate) fn sync(&self, disk: &D) -> Result<(), StorageFault> {
        for segment in &self.segments {
            segment.sync()?;
        }
        match &self.folder {
            Some(folder) => disk.sync_dir(folder).map_err(Action::Sync.failed(folder)),
            None => Ok(()),
        }
    }
}

impl<D: Disk> Log<D> {
    /// Prepares an empty log in `folder`, durable but for the folder's own name, and `rename`s it
    /// to where it belongs.
    pub(crate) fn create(
        disk: &D,
        new_folder: &Path,
        folder: &Path,
        key: LogKey,
        id: LogId,
        (config, start): (LogConfig, Offset),
    ) -> Result<Self, StorageFault> {
        let meta = Meta {
            log_id: id,
            log_start: start,
            recovery_point: start,
            start_epoch: None,
            stage: Stage::Live,
        };
        disk.create_dir(new_folder).map_err(Action::Create.failed(new_folder))?;
        let meta = MetaFile::create(disk, new_folder, meta)?;
        disk.sync_dir(new_folder).map_err(Action::Sync.failed(new_folder))?;
        disk.rename(new_folder, folder).map_err(Action::Rename.failed(folder))?;
        Ok(Self::assemble(disk, folder, key, config, meta, Vec::new()))
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
        let view = View {
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
            folder: folder.to_path_buf(),
            key,
            config,
            meta,
            segments,
            names_unsynced: false,
            took_back: false,
            end,
            durable_end: end,
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
    pub(crate) fn must_sync(&self) -> bool {
        self.took_back || self.config.durability == Durability::Fsync
    }

    pub(crate) fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    pub(crate) fn reader(&self) -> LogReader<D> {
        LogReader::new(Arc::clone(&self.published))
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        let last = self.segments.last().map(|last| last.piece.epoch());
        last.or(self.meta.current().start_epoch)
    }

    /// Lets the next append begin a new segment.
    pub(crate) fn roll(&mut self) {
        if let Some(last) = self.segments.last_mut().filter(|last| last.stage == SegmentStage::Open)
        {
            last.stage = SegmentStage::Closed;
        }
    }

    /// What is written but not durable.
    pub(crate) fn unsynced(&self) -> Unsynced<D> {
        let unsynced = self.segments.iter().filter(|tracked| tracked.unsynced);
        Unsynced {
            segments: unsynced.map(|tracked| Arc::clone(&tracked.piece.segment)).collect(),
            folder: self.names_unsynced.then(|| self.folder.clone()),
        }
    }

    /// Notes that what [`Log::unsynced`] named was synced, with nothing written since.
    pub(crate) fn mark_synced(&mut self) {
        for tracked in &mut self.segments {
            tracked.unsynced = false;
        }
        self.names_unsynced = false;
        self.took_back = false;
        self.durable_end = self.end;
        self.publish();
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
