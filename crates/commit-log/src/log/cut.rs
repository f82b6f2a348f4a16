use std::io;
use std::path::Path;
use std::sync::Arc;

use disk::{Disk, DiskFile};
use types::{LeaderEpoch, Offset, Timestamp};

use super::{Failure, Log, SegmentStage, Tracked};
use crate::checkpoint::JournalPosition;
use crate::error::{Action, LogError, StorageFault};
use crate::index::Index;
use crate::meta::{Meta, Stage};
use crate::name::parse_snapshot_file;
use crate::scan::Window;
use crate::segment::Segment;
use crate::view::Piece;

/// Where a segment is to be cut: at a batch's start.
struct Cut {
    /// Which of the segments, and its epoch.
    segment: usize,
    epoch: LeaderEpoch,
    /// Bytes that stay.
    len: u64,
    /// Behind the last offset that stays.
    end: Offset,
    /// Largest timestamp that stays.
    newest: Timestamp,
}

/// When it is stored who wrote the records that a deletion takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remember {
    /// Before they go.
    First,
    /// If there is no room for that, right after it. They must go, for nothing else makes room, and a
    /// crash in between makes the log forget who wrote them.
    AsSoonAsThereIsRoom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remembered {
    Yes,
    No,
}

impl<D: Disk> Log<D> {
    /// Drops the batches that end beyond `end`, durably; returns where the log ends now, which is
    /// before `end` if that lies within a batch.
    ///
    /// `journal` is where the next entry of the journal goes. What lies before it is void for this
    /// log as soon as that is written, which is before anything is cut: the files hold all of it
    /// by then, and replay must not add to what the cut leaves of them.
    pub(crate) fn truncate(
        &mut self,
        end: Offset,
        journal: JournalPosition,
        now: Timestamp,
    ) -> Result<Offset, Failure<LogError>> {
        if self.end <= end {
            return Ok(self.end);
        }
        let start = self.log_start();
        if end < start {
            return Err(Failure::Refused(LogError::OutOfRange {
                asked: end,
                start,
                end: self.end,
            }));
        }
        self.sync().map_err(judge)?;
        let meta = self.meta.current();
        let cut = match self.find_cut(end).map_err(judge)? {
            // Nothing stays.
            Some(Cut { segment: 0, len: 0, end, .. }) if start <= end => {
                return self.cut_to_start(meta.start_epoch, journal, now);
            }
            Some(cut) if start < cut.end => cut,
            // The log starts there, or within the batch that goes: nothing stays that readers may have.
            Some(cut) => {
                let stays_before = 0 < cut.len || cut.end < start;
                let before =
                    if stays_before { Some(cut.epoch) } else { self.epoch_before(cut.segment) };
                return self.cut_to_start(before, journal, now);
            }
            None => return self.cut_to_start(meta.start_epoch, journal, now),
        };
        // Everything up to the end was just synced, so what stays is known to be.
        let recovery_point = cut.end;
        let cuts = meta.cuts.saturating_add(1);
        self.write_meta(Meta { recovery_point, cuts, void_below: journal, ..meta })?;
        self.cut_at(&cut).map_err(Failure::Broken)?;
        // A batch that was cut must not count as written, nor one that stays as new.
        self.restore_producers(now).map_err(Failure::Broken)?;
        Ok(self.end)
    }

    /// Drops all that is left of the log. What is known of producers from before its start stays.
    fn cut_to_start(
        &mut self,
        start_epoch: Option<LeaderEpoch>,
        journal: JournalPosition,
        now: Timestamp,
    ) -> Result<Offset, Failure<LogError>> {
        let start = self.log_start();
        let known = self.producers_before(start, now).map_err(judge)?;
        self.store_snapshot_at_start(&known, start_epoch).map_err(judge)?;
        self.empty(start, start_epoch, journal)?;
        self.producers = known;
        Ok(start)
    }

    /// Drops everything, durably, and lets the log begin anew at `start`.
    pub(crate) fn reset(
        &mut self,
        start: Offset,
        journal: JournalPosition,
    ) -> Result<(), Failure<LogError>> {
        self.empty(start, None, journal)
    }

    /// Drops everything. A log without an epoch of what was before its start knows nobody.
    fn empty(
        &mut self,
        start: Offset,
        start_epoch: Option<LeaderEpoch>,
        journal: JournalPosition,
    ) -> Result<(), Failure<LogError>> {
        let before = self.meta.current();
        let meta = Meta {
            log_start: start,
            recovery_point: start,
            start_epoch,
            stage: Stage::Resetting,
            cuts: before.cuts.saturating_add(1),
            void_below: journal,
            ..before
        };
        self.write_meta(meta)?;
        let dropped = std::mem::take(&mut self.segments);
        self.producers.clear();
        self.end = start;
        self.durable_end = start;
        self.synced_end = start;
        self.cuts += 1;
        self.publish_segments();
        let known_at = start_epoch.map(|_| start);
        self.remove_files(dropped.iter().rev(), known_at).map_err(Failure::Broken)?;
        if start_epoch.is_none() {
            // Those that belong to no segment, too: where the log grows to their offsets again they would
            // pass for what is known there.
            self.names.note();
            forget_producers(&self.disk, &self.folder.path).map_err(Failure::Broken)?;
        }
        self.sync_names().map_err(Failure::Broken)?;
        let live = Meta { stage: Stage::Live, ..meta };
        self.meta.write(&self.folder.path, live).map_err(Failure::Broken)
    }

    /// Lets the log begin at `offset`, durably, and removes the segments that lie wholly before
    /// it. Nothing happens if it begins there or later.
    pub(crate) fn advance_log_start(
        &mut self,
        offset: Offset,
        remember: Remember,
    ) -> Result<(), Failure<LogError>> {
        let start = self.log_start();
        if offset <= start {
            return Ok(());
        }
        if self.end < offset {
            let end = self.end;
            return Err(Failure::Refused(LogError::OutOfRange { asked: offset, start, end }));
        }
        // What the journal alone holds is not enough: its files go on without the log's.
        if self.synced_end < offset {
            self.sync().map_err(judge)?;
        }
        let gone = self.segments.partition_point(|tracked| tracked.piece.end <= offset);
        let last_gone = self.segments.iter().take(gone).next_back().map(|last| last.piece.epoch());
        // Producers would be forgotten with their records.
        let takes_records = 0 < gone || self.segments.is_empty();
        let stored = if takes_records { self.remember_before(gone) } else { Ok(()) };
        let remembered = match stored {
            Err(fault) if fault.is_out_of_space() && remember == Remember::AsSoonAsThereIsRoom => {
                Remembered::No
            }
            stored => stored.map(|()| Remembered::Yes).map_err(judge)?,
        };
        let meta = self.meta.current();
        self.write_meta(Meta {
            log_start: offset,
            recovery_point: self.synced_end,
            start_epoch: last_gone.or(meta.start_epoch),
            ..meta
        })?;
        let removed: Vec<Tracked<D>> = self.segments.drain(..gone).collect();
        self.publish_segments();
        self.remove_files(removed.iter(), None).map_err(Failure::Broken)?;
        match remembered {
            Remembered::Yes => Ok(()),
            Remembered::No => match self.remember_before(0) {
                // They are gone all the same. It is noted with the next segment, or by upkeep.
                Err(fault) if fault.is_out_of_space() => Ok(()),
                stored => stored.map_err(judge),
            },
        }
    }

    /// Removes what a start finds wholly before where the log begins: a deletion that a crash undid, or
    /// what is left of a segment of which only the journal holds the rest. With the next segment it
    /// would be done with, and whom it knows forgotten. It stays where there is no room to store that.
    pub(super) fn let_go(&mut self) -> Result<(), StorageFault> {
        if self.segments.is_empty() || self.log_start() != self.end {
            return Ok(());
        }
        if !self.producers.is_empty() {
            match self.store_snapshot() {
                Err(fault) if fault.is_out_of_space() => return Ok(()),
                stored => stored?,
            }
        }
        let meta = Meta { start_epoch: self.last_epoch(), ..self.meta.current() };
        self.meta.write(&self.folder.path, meta)?;
        let removed = std::mem::take(&mut self.segments);
        self.publish_segments();
        self.remove_files(removed.iter(), None)
    }

    /// Stores who wrote what lies before that segment, or before the end if there is none.
    fn remember_before(&mut self, segment: usize) -> Result<(), StorageFault> {
        if segment == self.segments.len() {
            return self.store_snapshot();
        }
        if 0 < segment {
            self.recall_before(segment)?;
        }
        self.segments.get_mut(segment).map_or(Ok(()), Tracked::store_producers)
    }

    fn write_meta(&mut self, meta: Meta) -> Result<(), Failure<LogError>> {
        self.meta.write(&self.folder.path, meta).map_err(judge)
    }

    /// The last batch boundary at or before `end`, which lies before the log's.
    fn find_cut(&self, end: Offset) -> Result<Option<Cut>, StorageFault> {
        let behind = self.segments.partition_point(|tracked| tracked.piece.base() < end);
        let Some(index) = behind.checked_sub(1) else { return Ok(None) };
        let Some(Tracked { piece, .. }) = self.segments.get(index) else { return Ok(None) };
        let Piece { segment, len, .. } = piece;
        let relative = u32::try_from(end.distance_from(piece.base())).unwrap_or(u32::MAX);
        let lookup = segment.with_index(|index| index.find_offset(relative.saturating_sub(1)))?;
        let unreadable = |error| Action::Read.failed(segment.path())(error);
        let mut window = Window::new(segment.file(), *len);
        let mut cut = Cut {
            segment: index,
            epoch: piece.epoch(),
            len: lookup.position,
            end,
            newest: lookup.newest_before,
        };
        while let Some(header) = window.header(segment.name(), cut.len, None).map_err(unreadable)? {
            let header = header.map_err(|flaw| unreadable(io::Error::other(flaw)))?;
            if end < header.end_offset() {
                cut.end = header.base_offset;
                break;
            }
            cut.end = header.end_offset();
            cut.len = cut.len.saturating_add(header.total_len() as u64);
            cut.newest = cut.newest.max(header.max_timestamp);
        }
        Ok(Some(cut))
    }

    /// Removes what lies behind a cut, newest first: a crash that keeps the order of removals then
    /// costs no more than it must. One that does not leaves a gap behind the recovery point, where
    /// recovery cuts.
    fn cut_at(&mut self, cut: &Cut) -> Result<(), StorageFault> {
        let dropped = self.segments.split_off((cut.segment + 1).min(self.segments.len()));
        self.end = cut.end;
        self.durable_end = self.durable_end.min(cut.end);
        self.synced_end = self.synced_end.min(cut.end);
        self.cuts += 1;
        let emptied = match self.segments.pop() {
            Some(last) if cut.len == 0 => Some(last),
            Some(last) => {
                let shortened = self.shorten(&last, cut)?;
                self.segments.push(shortened);
                None
            }
            None => None,
        };
        // Readers first: whoever reads across the cut now notices.
        self.publish_segments();
        self.remove_files(dropped.iter().rev().chain(&emptied), None)?;
        if let Some(last) = self.segments.last() {
            let segment = &last.piece.segment;
            remove_if_there(&self.disk, &segment.index_path())?;
            segment.file().set_len(last.piece.len).map_err(Action::Cut.failed(segment.path()))?;
            segment.sync()?;
        }
        self.sync_names()
    }

    /// The segment as it will be once it is cut: a new handle, since readers of the old one may
    /// still be asking the old index.
    fn shorten(&self, whole: &Tracked<D>, cut: &Cut) -> Result<Tracked<D>, StorageFault> {
        let name = whole.piece.segment.name();
        let mut index: Index = whole.piece.segment.with_index(Index::clone)?;
        index.truncate(cut.len);
        let segment = Segment::open(&self.disk, &self.folder.path, name)?;
        whole.piece.segment.retire();
        segment.hold_index(index);
        let segment = Arc::new(segment);
        let piece =
            Piece { segment, end: cut.end, len: cut.len, newest: cut.newest, ..whole.piece };
        let snapshot = whole.snapshot.clone();
        Ok(Tracked { piece, stage: SegmentStage::Open, snapshot, ..*whole })
    }

    /// Removes segments, but for what is known of producers at an offset.
    fn remove_files<'a>(
        &mut self,
        segments: impl Iterator<Item = &'a Tracked<D>>,
        known_at: Option<Offset>,
    ) -> Result<(), StorageFault>
    where
        D: 'a,
    {
        for tracked in segments {
            self.names.note();
            let segment = &tracked.piece.segment;
            segment.retire();
            remove_if_there(&self.disk, &segment.index_path())?;
            if Some(segment.name().base) != known_at {
                remove_if_there(&self.disk, &segment.snapshot_path())?;
            }
            self.disk.remove_file(segment.path()).map_err(Action::Remove.failed(segment.path()))?;
        }
        Ok(())
    }

    fn sync_names(&mut self) -> Result<(), StorageFault> {
        self.folder.sync(&self.disk)?;
        self.names.synced(self.names.so_far());
        Ok(())
    }
}

fn judge(fault: StorageFault) -> Failure<LogError> {
    if fault.is_final() {
        Failure::Broken(fault)
    } else {
        Failure::Refused(LogError::storage(fault))
    }
}

/// Removes all that is stored of producers. Not durable by itself.
pub(super) fn forget_producers<D: Disk>(disk: &D, folder: &Path) -> Result<(), StorageFault> {
    for entry in disk.list(folder).map_err(Action::List.failed(folder))? {
        if entry.name.to_str().and_then(parse_snapshot_file).is_some() {
            let path = folder.join(entry.name);
            disk.remove_file(&path).map_err(Action::Remove.failed(&path))?;
        }
    }
    Ok(())
}

pub(super) fn remove_if_there<D: Disk>(disk: &D, path: &Path) -> Result<(), StorageFault> {
    match disk.remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Action::Remove.failed(path)(error)),
    }
}
