//! Keeping what a log knows of its producers in step with what it holds.

use std::path::PathBuf;
use std::sync::Arc;

use disk::{Disk, DiskFile};
use record::BatchHeader;
use types::{LeaderEpoch, Offset, Timestamp};

use super::{Log, Tracked};
use crate::directory::{Append, AppendAt};
use crate::duty::Background;
use crate::error::{Action, AppendError, StorageFault};
use crate::name::snapshot_file;
use crate::producers::{ProducerSnapshot, ProducerStates, SnapshotPoint, Verdict};
use crate::scan::Window;
use crate::segment::replace;
use crate::view::Piece;

/// What was known of the producers when a segment was begun, until it is stored.
pub(super) type Snapshot = Arc<[u8]>;

/// What was known of producers at some point of a log.
#[derive(Debug)]
struct Recalled {
    states: ProducerStates,
    /// How many segments lie before it, or hold it; those behind are to be looked at.
    segments: usize,
    /// Where it is, if that is within a segment.
    behind: Offset,
}

impl<D: Disk> Log<D> {
    /// What is to be done with the batches of an append.
    pub(super) fn judge_producers(
        &self,
        append: &Append,
        now: Timestamp,
    ) -> Result<Verdict, AppendError> {
        match append.at {
            AppendAt::End => {
                let headers = append.batches.iter().map(record::Batch::header);
                Ok(self.producers.check(headers, self.end, now)?)
            }
            // A copy of what a leader has checked.
            AppendAt::Exactly(_) => Ok(Verdict::New(crate::producers::Note::default())),
        }
    }

    /// Takes note of a batch that lies in the log, and that was not judged here.
    pub(super) fn note_producer(&mut self, header: &BatchHeader, base: Offset, now: Timestamp) {
        if header.producer.is_some() {
            let mut placed = header.clone();
            placed.base_offset = base;
            self.producers.apply(&placed, now);
        }
    }

    /// What is known now, as it is stored.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.producers.snapshot(self.point_at(self.end, self.last_epoch())).into()
    }

    fn point_at(&self, end: Offset, last_epoch: Option<LeaderEpoch>) -> SnapshotPoint {
        SnapshotPoint { log: self.id(), end, last_epoch }
    }

    fn snapshot_path(&self, offset: Offset) -> PathBuf {
        self.folder.path.join(snapshot_file(offset))
    }

    /// Stores what is known, durably, for a log that is about to hold no record of it.
    pub(super) fn store_snapshot(&self) -> Result<(), StorageFault> {
        let path = self.snapshot_path(self.end);
        replace(&self.disk, &path, &self.snapshot())
    }

    /// Stores what was known before the start of a log that is about to hold nothing, the last of it
    /// of this epoch. Needs no room on the disk if that was nobody.
    pub(super) fn store_snapshot_at_start(
        &self,
        known: &ProducerStates,
        last_epoch: Option<LeaderEpoch>,
    ) -> Result<(), StorageFault> {
        if known.is_empty() {
            return Ok(());
        }
        let start = self.log_start();
        let snapshot = known.snapshot(self.point_at(start, last_epoch));
        match self.segments.first().filter(|first| first.piece.base() == start) {
            // A round of upkeep may be about to store one there, too.
            Some(first) => first.piece.segment.store_snapshot(&snapshot).map(drop),
            None => replace(&self.disk, &self.snapshot_path(start), &snapshot),
        }
    }

    /// Learns of the producers again from what the log holds: from the newest snapshot that is
    /// right for it, and the batches behind. What is older than all snapshots, and deleted, is
    /// forgotten. Where a segment lacks a snapshot that is right it is to be stored again: what lies
    /// before that segment may be removed, and would be forgotten then.
    pub(super) fn restore_producers(&mut self, now: Timestamp) -> Result<(), StorageFault> {
        let Recalled { mut states, segments: from, behind } =
            self.newest_snapshot(self.segments.len(), now)?;
        let mut is_whole = true;
        for index in from..self.segments.len() {
            // Not of what is only partly known: a file that is damaged may be brought back.
            let snapshot = self.point_before(index).filter(|_| from < index && is_whole);
            let snapshot = snapshot.map(|point| Snapshot::from(states.snapshot(point)));
            let Some(tracked) = self.segments.get_mut(index) else { break };
            tracked.snapshot = snapshot.or_else(|| tracked.snapshot.take());
            let read = learn(&mut states, &tracked.piece, (behind, Offset::MAX), now)?;
            is_whole &= read == tracked.piece.len;
        }
        self.producers = states;
        Ok(())
    }

    /// What was known of the producers before an offset that the log holds.
    pub(super) fn producers_before(
        &self,
        offset: Offset,
        now: Timestamp,
    ) -> Result<ProducerStates, StorageFault> {
        let begun = self.segments.partition_point(|tracked| tracked.piece.base() <= offset);
        let Recalled { mut states, segments, behind } = self.newest_snapshot(begun, now)?;
        for tracked in self.segments.iter().take(begun).skip(segments) {
            learn(&mut states, &tracked.piece, (behind, offset), now)?;
        }
        Ok(states)
    }

    /// Makes sure that it is known whom the log knew when a segment was begun. It is stored, or in memory
    /// until then, unless a crash took it from there while a later segment's was stored already.
    pub(super) fn recall_before(&mut self, segment: usize) -> Result<(), StorageFault> {
        let (Some(point), Some(tracked)) = (self.point_before(segment), self.segments.get(segment))
        else {
            return Ok(());
        };
        if tracked.snapshot.is_some() || self.snapshot_for(None, point)?.is_some() {
            return Ok(());
        }
        // Not before any of them was active, which is all that counts.
        let last_written =
            self.segments.last().map_or(tracked.piece.written, |it| it.piece.written);
        let known = self.producers_before(tracked.piece.base(), last_written)?;
        let snapshot = Snapshot::from(known.snapshot(point));
        if let Some(tracked) = self.segments.get_mut(segment) {
            tracked.snapshot = Some(snapshot);
        }
        Ok(())
    }

    /// What the newest snapshot knew that is right, of those before which so many segments lie or
    /// fewer.
    fn newest_snapshot(&self, below: usize, now: Timestamp) -> Result<Recalled, StorageFault> {
        let start = self.log_start();
        let mut found = None;
        if self.segments.is_empty() {
            found = self.snapshot_for(None, self.point_at(self.end, self.last_epoch()))?;
        }
        let (mut segments, mut behind) = (below, Offset::ZERO);
        while found.is_none()
            && let Some(index) = segments.checked_sub(1)
            && let Some(Tracked { piece, snapshot, .. }) = self.segments.get(index)
        {
            segments = index;
            // Where a deletion had done with a segment that a crash brought back, or that reaches
            // beyond the log's start, there is one at that start.
            if piece.base() < start && start <= piece.end {
                found = self.snapshot_for(None, self.point_at(start, Some(piece.epoch())))?;
                behind = if found.is_some() { start } else { behind };
            }
            if found.is_none()
                && let Some(point) = self.point_before(index)
            {
                found = self.snapshot_for(snapshot.as_deref(), point)?;
            }
        }
        let limits = self.config.producers;
        let states = found.map_or_else(
            || ProducerStates::new(limits),
            |snapshot| ProducerStates::restore(limits, snapshot, now),
        );
        Ok(Recalled { states, segments, behind })
    }

    /// What a snapshot must have as its point that is right where a segment begins.
    fn point_before(&self, index: usize) -> Option<SnapshotPoint> {
        let base = self.segments.get(index)?.piece.base();
        Some(self.point_at(base, self.epoch_before(index)))
    }

    /// A snapshot that is right for the log at `point`, out of memory or of its file.
    fn snapshot_for(
        &self,
        held: Option<&[u8]>,
        point: SnapshotPoint,
    ) -> Result<Option<ProducerSnapshot>, StorageFault> {
        let snapshot = match held {
            Some(held) => ProducerSnapshot::decode(held),
            None => self.read_snapshot(point.end)?,
        };
        // Correctness rule J11: one that the log contradicts would take a lost batch for written.
        Ok(snapshot.filter(|snapshot| snapshot.point == point))
    }

    fn read_snapshot(&self, offset: Offset) -> Result<Option<ProducerSnapshot>, StorageFault> {
        let path = self.snapshot_path(offset);
        let read = self.disk.open(&path).and_then(|file| {
            let len = usize::try_from(file.len()?).map_err(std::io::Error::other)?;
            file.read_vec_at(len, 0)
        });
        match read {
            Ok(bytes) => Ok(ProducerSnapshot::decode(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Action::Read.failed(&path)(error)),
        }
    }
}

impl<D: Disk> Tracked<D> {
    /// Stores whom the log knew when the segment was begun, durably, if that was not done yet. All
    /// before it must be durable. Needs no room on the disk if it knew nobody.
    pub(super) fn store_producers(&mut self) -> Result<(), StorageFault> {
        if let Some(snapshot) = &self.snapshot
            && !ProducerSnapshot::decode(snapshot).is_some_and(|known| known.is_empty())
            && self.piece.segment.store_snapshot(snapshot)? == Background::Done
        {
            self.snapshot = None;
        }
        Ok(())
    }
}

/// Learns of producers from the batches of a segment that reach beyond `behind`, and end at `end` or
/// before. Returns how many bytes of the segment could be read.
fn learn<D: Disk>(
    states: &mut ProducerStates,
    piece: &Piece<D>,
    (behind, end): (Offset, Offset),
    now: Timestamp,
) -> Result<u64, StorageFault> {
    for_each_header(piece, |header| {
        let is_meant = behind < header.end_offset() && header.end_offset() <= end;
        if header.producer.is_some() && is_meant {
            states.apply(header, now);
        }
    })
}

/// Looks at every header of a segment. Ends where one is not right: readers will tell. Returns where
/// that is.
fn for_each_header<D: Disk>(
    piece: &Piece<D>,
    mut look: impl FnMut(&BatchHeader),
) -> Result<u64, StorageFault> {
    let segment = &piece.segment;
    let mut window = Window::new(segment.file(), piece.len);
    let (mut position, mut expected) = (0, None);
    while let Some(Ok(header)) = window
        .header(segment.name(), position, expected)
        .map_err(Action::Read.failed(segment.path()))?
    {
        look(&header);
        expected = Some(header.end_offset());
        position = position.saturating_add(header.total_len() as u64);
    }
    Ok(position)
}
