//! From what a crash left in a folder to a log, or to a report of damage.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{Disk, DiskFile, EntryKind};
use types::{LeaderEpoch, Offset, Timestamp};

use super::cut::{forget_producers, remove_if_there};
use super::{Failure, FileWrite, Log, SegmentStage, Tracked};
use crate::checkpoint::{Checkpoint, JournalLife};
use crate::config::LogConfig;
use crate::directory::{Append, AppendAt};
use crate::duty::Changes;
use crate::error::{Action, AppendError, StorageFault};
use crate::flaw::Flaw;
use crate::index::Seal;
use crate::journal::replay::{Journalled, Replay};
use crate::meta::{META_FILE, Meta, MetaFile, Stage};
use crate::name::{LogKey, SegmentName, parse_snapshot_file, snapshot_file};
use crate::room::Room;
use crate::scan::{Scan, scan};
use crate::segment::Segment;
use crate::view::Piece;

/// What was found in a log's folder when its directory was opened.
#[derive(Debug)]
pub struct RecoveredLog {
    /// Which log.
    pub log: LogKey,
    /// How it is.
    pub outcome: Recovered,
}

/// How a log came out of recovery.
#[derive(Debug)]
pub enum Recovered {
    /// It can be used; a crash may have cost it a tail that nobody was promised.
    Usable {
        /// First offset.
        start: Offset,
        /// Behind the last offset.
        end: Offset,
        /// What was cut off.
        torn_tail: Option<TornTail>,
        /// Batches that only the journal held.
        replayed: u64,
    },
    /// Records that were durable are not there. The folder is left as it is.
    Damaged(Damage),
}

/// A tail that was cut off because writing it had not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Bytes that were cut, over all segments.
    pub bytes: u64,
    /// What was wrong with the first of them; `None` if whole segments had to go because what
    /// belongs before them is missing.
    pub flaw: Option<Flaw>,
}

/// Records that a sync had promised are missing or wrong.
#[derive(Debug)]
pub struct Damage {
    /// The file, or the folder if a file is missing.
    pub path: PathBuf,
    /// First offset that is not there.
    pub lost_from: Offset,
    /// Everything before it had been durable.
    pub durable_to: Offset,
    /// What is wrong.
    pub kind: DamageKind,
}

/// How durable records can be lost.
#[derive(Debug)]
pub enum DamageKind {
    /// `partition.meta` is missing or not valid.
    Meta,
    /// A segment is missing or ends too early.
    Missing,
    /// A segment holds something else.
    Flaw(Flaw),
    /// A segment cannot be read.
    Unreadable(StorageFault),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            DamageKind::Meta => return write!(f, "{path} is missing or not valid"),
            DamageKind::Missing => write!(f, "records are missing in {path}")?,
            DamageKind::Flaw(flaw) => write!(f, "{path} is damaged {flaw}")?,
            DamageKind::Unreadable(fault) => write!(f, "{path} is unreadable ({})", fault.source)?,
        }
        write!(f, ": offsets from {} were durable to {}", self.lost_from, self.durable_to)
    }
}

/// Why there is no log.
#[derive(Debug)]
pub(crate) enum Unrecovered {
    Damaged(Damage),
    Storage(StorageFault),
}

impl From<StorageFault> for Unrecovered {
    fn from(fault: StorageFault) -> Self {
        Self::Storage(fault)
    }
}

/// What a directory remembers of its logs beyond their folders.
#[derive(Debug)]
pub(crate) struct Past<D: Disk> {
    /// `None` if there is none: nothing was checkpointed yet, or it was lost.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Which entries of the journal count.
    pub(crate) life: JournalLife,
    pub(crate) replay: Replay<D>,
}

impl<D: Disk> Past<D> {
    /// How far the files of a log are known to be synced.
    fn recovery_point(&self, meta: Meta) -> Offset {
        let noted = self.checkpoint.as_ref();
        let noted = noted.and_then(|checkpoint| checkpoint.point(meta.log_id, meta.cuts));
        noted.map_or(meta.recovery_point, |noted| noted.max(meta.recovery_point))
    }
}

/// Brings back the log in `folder`: cuts it at its first damage, adds what the journal holds beyond,
/// and only then judges whether something is missing that was promised. Everything it then holds
/// is durable.
pub(crate) fn recover<D: Disk>(
    disk: &D,
    folder: &Path,
    key: LogKey,
    (config, now): (&LogConfig, Timestamp),
    past: &Past<D>,
) -> Result<(Log<D>, RecoveredLog), Unrecovered> {
    let Some(mut meta) = MetaFile::open(disk, folder)? else {
        return Err(Unrecovered::Damaged(Damage {
            path: folder.join(META_FILE),
            lost_from: Offset::ZERO,
            durable_to: Offset::ZERO,
            kind: DamageKind::Meta,
        }));
    };
    let mut names = tidy(disk, folder, meta.current().log_start)?;
    let before = match meta.current() {
        // Nothing is promised any more of what is being dropped. The file is about to say that the
        // log is live, and must not promise it again then.
        dropped @ Meta { stage: Stage::Resetting, log_start, .. } => {
            Meta { recovery_point: log_start, ..dropped }
        }
        live @ Meta { stage: Stage::Live, .. } => {
            Meta { recovery_point: past.recovery_point(live), ..live }
        }
    };
    if before.stage == Stage::Resetting {
        remove(disk, folder, names.drain(..).rev(), &[before.log_start])?;
        if before.start_epoch.is_none() {
            forget_producers(disk, folder)?;
        }
        // Durably, before the file says that the log is live: a second loss of power would bring them
        // back into it.
        disk.sync_dir(folder).map_err(Action::Sync.failed(folder))?;
    }
    let found = Found::read(disk, folder, names, config, before)?;
    let journalled = found.beyond(&past.replay, before);
    found.judge(folder, before, &journalled)?;
    let Found { mut segments, stale, torn, torn_bytes, flaw, start_epoch, end } = found;

    let live = Meta { start_epoch, stage: Stage::Live, ..before };
    if (start_epoch, Stage::Live) != (before.start_epoch, before.stage) {
        // Before the segment that tells the epoch goes.
        meta.write(folder, live)?;
    }
    // What is known of producers where a segment that stays begins, or the log ends, is still right.
    let mut known_at: Vec<_> = segments.iter().map(|tracked| tracked.piece.base()).collect();
    known_at.extend([before.log_start, end]);
    // Newest first, as when a log is cut.
    remove(disk, folder, torn.into_iter().rev(), &known_at)?;
    remove(disk, folder, stale, &known_at)?;
    for tracked in segments.iter_mut().filter(|tracked| tracked.stage != SegmentStage::Sealed) {
        let segment = &tracked.piece.segment;
        // A crash while the log was cut can leave an index of what is no longer there. It would be
        // believed once the segment has grown to its old length again.
        remove_if_there(disk, &segment.index_path())?;
        let failed = Action::Cut.failed(segment.path());
        segment.file().set_len(tracked.piece.len).map_err(failed)?;
        // What an earlier life wrote may be in the cache only, and is about to be relied upon.
        segment.sync()?;
        tracked.opened_at = now;
    }
    date(&mut segments, now);
    disk.sync_dir(folder).map_err(Action::Sync.failed(folder))?;

    let flaw = flaw.map(|(_, flaw)| flaw);
    let torn_tail = (torn_bytes > 0).then_some(TornTail { bytes: torn_bytes, flaw });
    let mut log = Log::assemble(disk, folder, key, config.clone(), meta, segments);
    let replayed = journalled.batches.len() as u64;
    log.restore_producers(now)?;
    log.let_go()?;
    log.replay(&journalled, &past.replay, now)?;
    if past.replay.lost().is_some() {
        // Once it is durable what the journal had. Of what did not follow, or cannot be read today,
        // nothing is to follow what comes now, if the journal is kept for another log.
        let void = Meta { void_below: past.replay.behind(), ..log.meta.current() };
        log.meta.write(folder, void)?;
    }
    let outcome =
        Recovered::Usable { start: before.log_start, end: log.end(), torn_tail, replayed };
    Ok((log, RecoveredLog { log: key, outcome }))
}

/// Says when each segment was written: what was not sealed before this start, by now.
fn date<D: Disk>(segments: &mut [Tracked<D>], now: Timestamp) {
    for Tracked { piece, stage, .. } in segments {
        if *stage != SegmentStage::Sealed {
            piece.written = now;
            if piece.newest < EPOCH || now < piece.newest {
                // Its records do not tell their age, so that this moment has to: the seal will
                // remember it over further starts.
                *stage = SegmentStage::Closed;
            }
        }
        // Whatever the clock said then.
        piece.written = piece.written.min(now);
    }
}

/// Removes a folder and the files in it. Not durable by itself.
pub(crate) fn sweep<D: Disk>(disk: &D, folder: &Path) -> Result<(), StorageFault> {
    for entry in disk.list(folder).map_err(Action::List.failed(folder))? {
        let path = folder.join(entry.name);
        disk.remove_file(&path).map_err(Action::Remove.failed(&path))?;
    }
    disk.remove_dir(folder).map_err(Action::Remove.failed(folder))
}

/// Lists the segments in order, and removes what belongs to none, and unfinished files.
fn tidy<D: Disk>(
    disk: &D,
    folder: &Path,
    log_start: Offset,
) -> Result<Vec<SegmentName>, StorageFault> {
    let entries = disk.list(folder).map_err(Action::List.failed(folder))?;
    let files = || {
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        files.filter_map(|entry| entry.name.to_str())
    };
    let mut names: Vec<SegmentName> = files().filter_map(SegmentName::parse_log).collect();
    names.sort();
    for file in files() {
        let orphan = SegmentName::parse_index(file).is_some_and(|name| !names.contains(&name));
        let orphan = orphan
            || parse_snapshot_file(file).is_some_and(|offset| {
                offset != log_start && !names.iter().any(|name| name.base == offset)
            });
        let unfinished = Path::new(file).extension() == Some(OsStr::new("tmp"));
        if orphan || unfinished {
            let path = folder.join(file);
            disk.remove_file(&path).map_err(Action::Remove.failed(&path))?;
        }
    }
    Ok(names)
}

/// Removes segments, but for what is known of producers at some offsets.
fn remove<D: Disk>(
    disk: &D,
    folder: &Path,
    names: impl IntoIterator<Item = SegmentName>,
    known_at: &[Offset],
) -> Result<(), StorageFault> {
    for name in names {
        remove_if_there(disk, &folder.join(name.index_file()))?;
        if !known_at.contains(&name.base) {
            remove_if_there(disk, &folder.join(snapshot_file(name.base)))?;
        }
        let path = folder.join(name.log_file());
        disk.remove_file(&path).map_err(Action::Remove.failed(&path))?;
    }
    Ok(())
}

/// What lies in a folder, up to the first thing that is wrong.
struct Found<D: Disk> {
    segments: Vec<Tracked<D>>,
    /// Segments that deletion had done with.
    stale: Vec<SegmentName>,
    /// Segments from the first wrong one on, in order.
    torn: Vec<SegmentName>,
    torn_bytes: u64,
    /// What is wrong with the first wrong one, and where it is.
    flaw: Option<(PathBuf, Flaw)>,
    /// Epoch of the last record below the first segment.
    start_epoch: Option<LeaderEpoch>,
    end: Offset,
}

impl<D: Disk> Found<D> {
    fn read(
        disk: &D,
        folder: &Path,
        names: Vec<SegmentName>,
        config: &LogConfig,
        meta: Meta,
    ) -> Result<Self, Unrecovered> {
        let mut found = Self {
            segments: Vec::new(),
            stale: Vec::new(),
            torn: Vec::new(),
            torn_bytes: 0,
            flaw: None,
            start_epoch: meta.start_epoch,
            end: meta.log_start,
        };
        let mut opened = Vec::with_capacity(names.len());
        for name in names {
            let segment = Segment::open(disk, folder, name)?;
            let len = segment.file().len().map_err(Action::Read.failed(segment.path()))?;
            if len == 0 {
                // Made for an append that never came; it would hide the one that holds its offsets.
                found.stale.push(name);
            } else {
                opened.push((segment, len));
            }
        }
        let starts = opened.partition_point(|(segment, _)| segment.name().base <= meta.log_start);
        let behind = opened.split_off(starts.saturating_sub(1).min(opened.len()));
        for (segment, _) in opened {
            found.outlived(segment.name());
        }
        for (segment, len) in behind {
            found.follow(segment, len, config, meta)?;
        }
        if found.end < meta.log_start && meta.recovery_point <= meta.log_start {
            found.disown(meta.log_start);
        }
        Ok(found)
    }

    /// Deletion had done with all that is here, and a crash kept some of it.
    fn disown(&mut self, log_start: Offset) {
        for tracked in std::mem::take(&mut self.segments) {
            self.outlived(tracked.piece.segment.name());
        }
        self.stale.append(&mut self.torn);
        self.torn_bytes = 0;
        self.flaw = None;
        self.end = log_start;
    }

    /// The log begins behind this segment now, and remembers its epoch.
    fn outlived(&mut self, name: SegmentName) {
        self.start_epoch = self.start_epoch.max(Some(name.epoch));
        self.stale.push(name);
    }

    /// Takes in the next segment, or its good part, or sets it aside.
    fn follow(
        &mut self,
        segment: Segment<D>,
        file_len: u64,
        config: &LogConfig,
        meta: Meta,
    ) -> Result<(), Unrecovered> {
        let name = segment.name();
        let fits = match self.segments.last() {
            Some(before) => before.piece.end == name.base && before.piece.epoch() <= name.epoch,
            None => name.base <= meta.log_start,
        };
        if self.flaw.is_some() || !self.torn.is_empty() || !fits {
            self.torn.push(name);
            self.torn_bytes += file_len;
            return Ok(());
        }
        let stage = self.segments.last_mut().map(|before| &mut before.stage);
        if let Some(stage) = stage.filter(|stage| **stage == SegmentStage::Open) {
            *stage = SegmentStage::Closed;
        }
        let sealed = segment.read_seal()?.filter(|seal| {
            seal.log_id == meta.log_id && seal.segment_len == file_len && name.base < seal.end
        });
        let tracked = match sealed {
            Some(seal) => {
                let segment = Arc::new(segment);
                let Seal { end, newest, written, .. } = seal;
                let piece = Piece { segment, end, len: file_len, newest, written };
                Tracked {
                    piece,
                    changes: Changes::default(),
                    stage: SegmentStage::Sealed,
                    opened_at: BEGINNING,
                    snapshot: None,
                }
            }
            None => match self.scanned(segment, file_len, config, meta)? {
                Some(tracked) => tracked,
                None => return Ok(()),
            },
        };
        self.end = tracked.piece.end;
        self.segments.push(tracked);
        Ok(())
    }

    fn scanned(
        &mut self,
        segment: Segment<D>,
        file_len: u64,
        config: &LogConfig,
        meta: Meta,
    ) -> Result<Option<Tracked<D>>, Unrecovered> {
        let name = segment.name();
        let walk = scan(segment.file(), name, config.index_interval_bytes, meta.recovery_point);
        let scan = walk.map_err(|error| {
            let path = segment.path().to_path_buf();
            let fault = Action::Read.failed(&path)(error);
            let kind = DamageKind::Unreadable(fault);
            let (lost_from, durable_to) = (name.base, meta.recovery_point);
            Unrecovered::Damaged(Damage { path, lost_from, durable_to, kind })
        })?;
        if let Some(flaw) = scan.flaw {
            self.torn_bytes += file_len.saturating_sub(scan.len);
            self.flaw = Some((segment.path().to_path_buf(), flaw));
        }
        if scan.len == 0 {
            self.torn.push(name);
            return Ok(None);
        }
        segment.hold_index(scan.index);
        let segment = Arc::new(segment);
        let Scan { end, len, newest, .. } = scan;
        let piece = Piece { segment, end, len, newest, written: BEGINNING };
        let stage = SegmentStage::Open;
        let changes = Changes::default();
        Ok(Some(Tracked { piece, changes, stage, opened_at: BEGINNING, snapshot: None }))
    }

    /// The batches of the journal that lie beyond the valid end of the files, as far as they follow
    /// it without a gap. A gap where the journal lost entries ends the log: whoever trusted the directory
    /// put up with that.
    fn beyond(&self, replay: &Replay<D>, meta: Meta) -> Beyond {
        let mut end = self.end;
        let mut epoch = self.segments.last().map(|last| last.piece.epoch()).or(self.start_epoch);
        let mut beyond = Beyond { batches: Vec::new(), end, behind_gap: None };
        let mut before = None;
        for batch in replay.of(meta.log_id, meta.void_below) {
            if batch.base == end && epoch <= Some(batch.epoch) {
                (end, epoch) = (batch.end, Some(batch.epoch));
                beyond.batches.push(*batch);
            } else if end < batch.end {
                if end < batch.base && replay.lost_between(before, batch.position) {
                    break;
                }
                beyond.behind_gap = beyond.behind_gap.max(Some(batch.end));
            }
            before = Some(batch.position);
        }
        Beyond { end, ..beyond }
    }

    /// Whether what is missing had been promised.
    fn judge(&self, folder: &Path, meta: Meta, beyond: &Beyond) -> Result<(), Unrecovered> {
        // The journal takes only what follows something durable: a gap before it is a loss.
        let durable_to = meta.recovery_point.max(beyond.behind_gap.unwrap_or_default());
        if durable_to <= beyond.end {
            return Ok(());
        }
        let (path, kind) = match &self.flaw {
            Some((path, flaw)) => (path.clone(), DamageKind::Flaw(flaw.clone())),
            None => (folder.to_path_buf(), DamageKind::Missing),
        };
        let lost_from = beyond.end;
        Err(Unrecovered::Damaged(Damage { path, lost_from, durable_to, kind }))
    }
}

/// What only the journal holds of a log.
struct Beyond {
    batches: Vec<Journalled>,
    /// Where the log ends with them.
    end: Offset,
    /// Where batches end that do not follow.
    behind_gap: Option<Offset>,
}

impl<D: Disk> Log<D> {
    /// Appends what only the journal holds, durably. A loss of power on the way leaves the journal
    /// as it is, and the next start does it again.
    fn replay(
        &mut self,
        beyond: &Beyond,
        replay: &Replay<D>,
        now: Timestamp,
    ) -> Result<(), StorageFault> {
        for journalled in &beyond.batches {
            let batches = vec![replay.fetch(journalled)?];
            let at = AppendAt::Exactly(journalled.base);
            let append = Append { log: self.key, epoch: journalled.epoch, batches, at };
            self.append(&append, now, Room::Ample, FileWrite::Now).map_err(
                |failure| match failure {
                    Failure::Refused(
                        AppendError::Full { source } | AppendError::Failed { source },
                    )
                    | Failure::Broken(source) => source,
                    Failure::Refused(refused) => {
                        Action::Write.failed(&self.folder.path)(io::Error::other(refused))
                    }
                },
            )?;
        }
        if !beyond.batches.is_empty() {
            self.sync()?;
        }
        Ok(())
    }
}

/// Until recovery knows better.
const BEGINNING: Timestamp = EPOCH;
/// Kafka's clients say -1 where a record has no time.
const EPOCH: Timestamp = Timestamp::from_millis(0);
