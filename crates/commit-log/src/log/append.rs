use std::io::IoSlice;
use std::sync::Arc;

use disk::{Disk, DiskFile};
use record::{Batch, BatchHeader, HEADER_LEN};
use types::{LeaderEpoch, Offset, Timestamp};

use super::{Failure, Log, SegmentStage, Tracked};
use crate::config::LogConfig;
use crate::directory::{Append, AppendAt};
use crate::duty::Changes;
use crate::error::{Action, AppendError, StorageFault};
use crate::index::BEFORE_ALL;
use crate::name::SegmentName;
use crate::producers::Verdict;
use crate::room::Room;
use crate::scan::index_entry;
use crate::segment::Segment;
use crate::view::Piece;
use crate::write_behind::{Hold, WriteBuffers};

/// The record format holds epochs as `i32`.
const LAST_EPOCH: u32 = i32::MAX as u32;

/// A batch and where it is going to lie.
struct Placed<'a> {
    batch: &'a Batch,
    base: Offset,
    end: Offset,
}

/// Where the batches of an append lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) base: Offset,
    /// Behind the last record.
    pub(crate) end: Offset,
    pub(crate) writing: Writing,
}

/// Whether an append changed its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Its batches were written.
    New,
    /// Its producer sent again what had been written before. It waits as the original does.
    Before,
    /// There was nothing to write.
    Nothing,
}

/// When what is appended has to be in the file of its segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileWrite<'a> {
    /// Before the append is through.
    Now,
    /// Before the segment is synced, or followed by another. Until then this memory has it, as
    /// far as there is any: for appends that are answered once the journal is durable.
    Behind(&'a Arc<WriteBuffers>),
}

impl<D: Disk> Log<D> {
    /// Adds batches at the end, unless they lie in the log already. Readers see them from the next
    /// [`Log::publish`]. Without `room` nothing is added, but what lies there is still told: its
    /// producer must not take it for lost.
    pub(crate) fn append(
        &mut self,
        append: &Append,
        now: Timestamp,
        room: Room,
        file: FileWrite<'_>,
    ) -> Result<Placement, Failure<AppendError>> {
        let (placed, bytes) = self.place(append).map_err(Failure::Refused)?;
        let base = self.end;
        if placed.is_empty() {
            return Ok(Placement { base, end: base, writing: Writing::Nothing });
        }
        let note = match self.judge_producers(append, now).map_err(Failure::Refused)? {
            Verdict::New(note) => note,
            Verdict::Duplicate { base_offset, end } => {
                return Ok(Placement { base: base_offset, end, writing: Writing::Before });
            }
        };
        room.for_records(append.at, self.config.owner).map_err(Failure::Refused)?;
        self.write(append, &placed, (bytes, file), now)?;
        // What was written may yet be lost, with what is known of its producer.
        self.producers.settle(note);
        if append.at != AppendAt::End {
            for placed in &placed {
                self.note_producer(placed.batch.header(), placed.base, now);
            }
        }
        Ok(Placement { base, end: self.end, writing: Writing::New })
    }

    fn write(
        &mut self,
        append: &Append,
        placed: &[Placed<'_>],
        (bytes, file): (u64, FileWrite<'_>),
        now: Timestamp,
    ) -> Result<(), Failure<AppendError>> {
        let fresh = self.begin_segment(append.epoch, bytes, now)?;
        let Some(last) = self.segments.last_mut() else { return Ok(()) };
        let written = write(&last.piece, placed, append.epoch, file);
        last.changes.note();
        match written {
            Ok(()) => {
                last.take(placed, self.config.index_interval_bytes, now);
                self.end = last.piece.end;
                if fresh == Fresh::Yes {
                    self.publish_segments();
                }
                Ok(())
            }
            // What waited was answered: it is not taken back, and written again with the next.
            Err(Unwritten::Waiting(fault)) => Err(judge(fault)),
            Err(Unwritten::Append(fault)) => {
                self.took_back = true;
                self.roll_back(fresh).map_err(Failure::Broken)?;
                Err(judge(fault))
            }
        }
    }

    /// Checks an append against the log and gives each batch its place.
    fn place<'a>(&self, append: &'a Append) -> Result<(Vec<Placed<'a>>, u64), AppendError> {
        if let AppendAt::Exactly(asked) = append.at
            && asked != self.end
        {
            return Err(AppendError::NotAtEnd { asked, end: self.end });
        }
        if let Some(last) = self.last_epoch().filter(|last| append.epoch < *last) {
            return Err(AppendError::StaleEpoch { epoch: append.epoch, last });
        }
        let exhausted = || AppendError::Exhausted { log: self.key };
        if append.epoch > LeaderEpoch::new(LAST_EPOCH) {
            return Err(exhausted());
        }
        let mut placed = Vec::with_capacity(append.batches.len());
        let mut bytes = 0;
        let mut base = self.end;
        for batch in &append.batches {
            let records = u64::from(batch.header().last_offset_delta) + 1;
            let end = base.checked_add(records).ok_or_else(exhausted)?;
            placed.push(Placed { batch, base, end });
            bytes += batch.bytes().len() as u64;
            base = end;
        }
        if bytes > LogConfig::MAX_SEGMENT_BYTES {
            return Err(AppendError::TooLarge { bytes, limit: LogConfig::MAX_SEGMENT_BYTES });
        }
        Ok((placed, bytes))
    }

    /// Makes sure that the last segment can take `bytes` of `epoch`.
    fn begin_segment(
        &mut self,
        epoch: LeaderEpoch,
        bytes: u64,
        now: Timestamp,
    ) -> Result<Fresh, Failure<AppendError>> {
        if self.segments.last().is_some_and(|last| last.takes(&self.config, epoch, bytes, now)) {
            return Ok(Fresh::No);
        }
        if let Some(before) = self.segments.last() {
            // Or a process that is killed would leave a gap for the journal to fill.
            before.piece.segment.flush().map_err(judge)?;
            before.piece.segment.file().release();
        }
        let name = SegmentName { base: self.end, epoch };
        // Before the first record of all there is nothing to know.
        let is_first = self.segments.is_empty() && self.producers.is_empty();
        let snapshot = (!is_first).then(|| self.snapshot());
        let segment = Segment::create(&self.disk, &self.folder.path, name).map_err(|fault| {
            self.names.note();
            Failure::Refused(AppendError::storage(fault))
        })?;
        let segment = Arc::new(segment);
        self.roll();
        let piece = Piece { segment, end: self.end, len: 0, newest: BEFORE_ALL, written: now };
        let stage = SegmentStage::Open;
        let changes = Changes::default();
        self.segments.push(Tracked { piece, changes, stage, opened_at: now, snapshot });
        self.names.note();
        Ok(Fresh::Yes)
    }

    /// Takes back a write that failed in the middle.
    fn roll_back(&mut self, fresh: Fresh) -> Result<(), StorageFault> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        let path = last.piece.segment.path();
        match fresh {
            Fresh::No => {
                last.piece.segment.file().set_len(last.piece.len).map_err(Action::Cut.failed(path))
            }
            Fresh::Yes => {
                self.disk.remove_file(path).map_err(Action::Remove.failed(path))?;
                self.segments.pop();
                Ok(())
            }
        }
    }
}

/// Whether a segment was made for the append at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
}

impl<D: Disk> Tracked<D> {
    fn takes(&self, config: &LogConfig, epoch: LeaderEpoch, bytes: u64, now: Timestamp) -> bool {
        let limit = config.segment_bytes.min(LogConfig::MAX_SEGMENT_BYTES);
        self.stage == SegmentStage::Open
            && self.piece.epoch() == epoch
            && self.piece.len.saturating_add(bytes) <= limit
            && !self.is_due(config, now)
            && u32::try_from(self.piece.end.distance_from(self.piece.base())).is_ok()
    }

    pub(super) fn is_due(&self, config: &LogConfig, now: Timestamp) -> bool {
        now.millis_since(self.opened_at) >= config.segment_ms
    }

    /// Counts batches that were written in.
    fn take(&mut self, placed: &[Placed<'_>], interval: u32, now: Timestamp) {
        self.piece.written = now;
        for Placed { batch, base, end } in placed {
            let header: &BatchHeader = batch.header();
            let Piece { segment, len, newest, .. } = &self.piece;
            if let Some(entry) = index_entry(segment.name(), *base, *len, *newest) {
                segment.note(interval, entry);
            }
            self.piece.len += batch.bytes().len() as u64;
            self.piece.newest = self.piece.newest.max(header.max_timestamp);
            self.piece.end = *end;
        }
    }
}

/// Why batches are not in their segment.
#[derive(Debug)]
enum Unwritten {
    /// What waited before them could not be written. Nothing of them was.
    Waiting(StorageFault),
    /// Any part of them may be in the file.
    Append(StorageFault),
}

/// Adds batches behind one another, without copying what they hold if they go to the file: only
/// headers are patched.
fn write<D: Disk>(
    piece: &Piece<D>,
    placed: &[Placed<'_>],
    epoch: LeaderEpoch,
    file: FileWrite<'_>,
) -> Result<(), Unwritten> {
    let headers: Vec<[u8; HEADER_LEN]> =
        placed.iter().map(|placed| placed.batch.placed_header(placed.base, epoch)).collect();
    let mut slices = Vec::with_capacity(2 * placed.len());
    for (header, placed) in headers.iter().zip(placed) {
        let (_, body) = placed.batch.bytes().split_at_checked(HEADER_LEN).unwrap_or_default();
        slices.push(IoSlice::new(header));
        slices.push(IoSlice::new(body));
    }
    let segment = &piece.segment;
    if let FileWrite::Behind(buffers) = file {
        let hold = || segment.file().hold(&slices, piece.len, buffers);
        if hold() == Hold::Held {
            return Ok(());
        }
        segment.flush().map_err(Unwritten::Waiting)?;
        if hold() == Hold::Held {
            return Ok(());
        }
    }
    segment.flush().map_err(Unwritten::Waiting)?;
    segment
        .file()
        .write_all_vectored_at(&mut slices, piece.len)
        .map_err(Action::Write.failed(segment.path()))
        .map_err(Unwritten::Append)
}

fn judge(fault: StorageFault) -> Failure<AppendError> {
    if fault.is_final() {
        Failure::Broken(fault)
    } else {
        Failure::Refused(AppendError::storage(fault))
    }
}
