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

    /// Learns of the producers again from what the log holds: from the newest snapshot that is
    /// right for it, and the batches behind. What is older than all snapshots, and deleted, is
    /// forgotten.
    pub(super) fn restore_producers(&mut self, now: Timestamp) -> Result<(), StorageFault> {
        let limits = self.config.producers;
        let mut states = None;
        if self.segments.is_empty() {
            let point = self.point_at(self.end, self.last_epoch());
            states = self.snapshot_for(None, point)?;
        }
        let mut from = self.segments.len();
        while states.is_none()
            && let Some(index) = from.checked_sub(1)
        {
            from = index;
            let Some(tracked) = self.segments.get(index) else { break };
            let before = index.checked_sub(1).and_then(|before| self.segments.get(before));
            let last_epoch =
                before.map(|before| before.piece.epoch()).or(self.meta.current().start_epoch);
            let point = self.point_at(tracked.piece.base(), last_epoch);
            states = self.snapshot_for(tracked.snapshot.as_deref(), point)?;
        }
        let mut states = states.map_or_else(
            || ProducerStates::new(limits),
            |snapshot| ProducerStates::restore(limits, snapshot, now),
        );
        for Tracked { piece, .. } in self.segments.iter().skip(from) {
            for_each_header(piece, |header| {
                if header.producer.is_some() {
                    states.apply(header, now);
                }
            })?;
        }
        self.producers = states;
        Ok(())
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

/// Looks at every header of a segment. Ends where one is not right: readers will tell.
fn for_each_header<D: Disk>(
    piece: &Piece<D>,
    mut look: impl FnMut(&BatchHeader),
) -> Result<(), StorageFault> {
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
    Ok(())
}
