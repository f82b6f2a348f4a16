//! What readers see of a log: a picture that the writer replaces as a whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::{io, mem};

use disk::{Disk, DiskFile};
use types::{LeaderEpoch, LogId, Offset, Timestamp};

use crate::error::{Action, ReadError, StorageFault};
use crate::resync::{Place, Resync};
use crate::segment::Segment;
use crate::write_behind::WriteBehind;

/// A segment as far as it is part of the log.
#[derive(Debug)]
pub(crate) struct Piece<D: Disk> {
    pub(crate) segment: Arc<Segment<D>>,
    /// Behind the last offset.
    pub(crate) end: Offset,
    /// Bytes that hold batches.
    pub(crate) len: u64,
    /// Largest timestamp.
    pub(crate) newest: Timestamp,
    /// When its last batch was appended, by the writer's clock; at the latest, if a crash took the
    /// exact moment.
    pub(crate) written: Timestamp,
}

impl<D: Disk> Clone for Piece<D> {
    fn clone(&self) -> Self {
        Self { segment: Arc::clone(&self.segment), ..*self }
    }
}

impl<D: Disk> Piece<D> {
    pub(crate) fn base(&self) -> Offset {
        self.segment.name().base
    }

    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.segment.name().epoch
    }

    /// Up to `wanted` bytes from `position` on, fewer at the end of the piece, or where the disk does
    /// not give them all.
    pub(crate) fn read(&self, position: u64, wanted: usize) -> (Vec<u8>, Option<io::Error>) {
        let left = usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        let file = self.segment.file();
        match file.read_vec_at(wanted, position) {
            Ok(bytes) => (bytes, None),
            Err(error) => (read_some(file, position, wanted), Some(error)),
        }
    }

    /// Whether a whole batch lies at `place`.
    pub(crate) fn is_whole(&self, place: Place) -> bool {
        self.resync().is_whole(place)
    }

    fn resync(&self) -> Resync<'_, WriteBehind<D::File>> {
        Resync { file: self.segment.file(), name: self.segment.name(), len: self.len }
    }

    /// Where to go on behind `bad`, at which no whole batch of that offset lies.
    pub(crate) fn way_back(&self, bad: Place) -> Result<Place, ReadError> {
        let base = self.base();
        let entry = self
            .segment
            .with_index(|index| index.entry_behind(bad.position))
            .map_err(|source| ReadError::Storage { source })?;
        let end = Place { position: self.len, offset: self.end };
        let known = entry.and_then(|entry| entry.place(base)).unwrap_or(end);
        Ok(self.resync().way_back(bad, known))
    }

    pub(crate) fn unreadable(&self, error: io::Error) -> ReadError {
        let source: StorageFault = Action::Read.failed(self.segment.path())(error);
        ReadError::Storage { source }
    }
}

/// What the disk gives of these bytes before it refuses.
fn read_some<F: DiskFile>(file: &F, position: u64, wanted: usize) -> Vec<u8> {
    let mut bytes = vec![0; wanted];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, position.saturating_add(read as u64)) {
            Ok(0) | Err(_) => break,
            Ok(more) => read += more,
        }
    }
    bytes.truncate(read);
    bytes
}

/// One file of a log, as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentExtent {
    /// Behind its last offset.
    pub end: Offset,
    /// Bytes that hold batches.
    pub bytes: u64,
    /// Largest timestamp: whoever made the records chose it.
    pub newest: Timestamp,
    /// When its last batch was appended, by the writer's clock; at the latest, if a crash took the
    /// exact moment.
    pub written: Timestamp,
}

/// One epoch of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset that the log knows of.
    pub start: Offset,
}

/// A picture of a log.
#[derive(Debug)]
pub(crate) struct View<D: Disk> {
    pub(crate) log_id: LogId,
    pub(crate) log_start: Offset,
    pub(crate) end: Offset,
    pub(crate) durable_end: Offset,
    /// Epoch of the last record below the first piece.
    pub(crate) start_epoch: Option<LeaderEpoch>,
    /// How often the log was cut short. Bytes read while this grew mean nothing.
    pub(crate) cuts: u64,
    /// All pieces but the last, oldest first.
    pub(crate) earlier: Arc<[Piece<D>]>,
    pub(crate) last: Option<Piece<D>>,
}

impl<D: Disk> View<D> {
    pub(crate) fn pieces(&self) -> impl DoubleEndedIterator<Item = &Piece<D>> {
        self.earlier.iter().chain(&self.last)
    }

    /// The piece that holds `offset`, or would if it had been written.
    pub(crate) fn piece_of(&self, offset: Offset) -> Option<&Piece<D>> {
        if let Some(last) = self.last.as_ref().filter(|last| last.base() <= offset) {
            return Some(last);
        }
        let behind = self.earlier.partition_point(|piece| piece.base() <= offset);
        self.earlier.get(behind.checked_sub(1)?)
    }

    pub(crate) fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.last.as_ref().map(Piece::epoch).or(self.start_epoch)
    }

    /// The epochs of the log, oldest first, each once.
    pub(crate) fn epochs(&self) -> Vec<EpochStart> {
        let first_base = self.pieces().next().map_or(self.log_start, Piece::base);
        let first = self.start_epoch.map(|epoch| EpochStart { epoch, start: first_base });
        let mut epochs: Vec<EpochStart> = first.into_iter().collect();
        for piece in self.pieces() {
            if epochs.last().is_none_or(|last| last.epoch < piece.epoch()) {
                epochs.push(EpochStart { epoch: piece.epoch(), start: piece.base() });
            }
        }
        epochs
    }

    /// Where the newest epoch that is not newer than `epoch` ends (exclusive).
    pub(crate) fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<Offset> {
        let known = self.start_epoch.is_some_and(|start| start <= epoch)
            || self.pieces().any(|piece| piece.epoch() <= epoch);
        let newer = self.pieces().find(|piece| epoch < piece.epoch());
        known.then(|| newer.map_or(self.end, Piece::base))
    }
}

/// Where the writer puts its latest picture.
#[derive(Debug)]
pub(crate) struct Published<D: Disk> {
    view: RwLock<Arc<View<D>>>,
    /// The picture's. Every produce is told of it, while the rest changes with every append: it
    /// would be sent from one core to another each time.
    log_start: OwnCacheLines<AtomicU64>,
}

/// Apart from whatever changes beside it. Two lines of 64 bytes, since processors fetch pairs.
#[derive(Debug)]
#[repr(align(128))]
struct OwnCacheLines<T>(T);

impl<D: Disk> Published<D> {
    pub(crate) fn new(view: View<D>) -> Self {
        let log_start = OwnCacheLines(AtomicU64::new(view.log_start.get()));
        Self { view: RwLock::new(Arc::new(view)), log_start }
    }

    pub(crate) fn load(&self) -> Arc<View<D>> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// First offset of the latest picture.
    pub(crate) fn log_start(&self) -> Offset {
        Offset::new(self.log_start.0.load(Ordering::Acquire))
    }

    pub(crate) fn store(&self, view: View<D>) {
        let (start, view) = (view.log_start.get(), Arc::new(view));
        let mut latest = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let earlier = mem::replace(&mut *latest, view);
        // Before the picture can be seen: who was refused by it does not find the start before it.
        if self.log_start.0.load(Ordering::Relaxed) != start {
            self.log_start.0.store(start, Ordering::Release);
        }
        drop(latest);
        drop(earlier);
    }
}
