use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use disk::Disk;
use record::{Batch, HEADER_LEN};
use types::{LeaderEpoch, Offset, Timestamp};

use crate::error::ReadError;
use crate::flaw::{Flaw, FlawKind};
use crate::index::Lookup;
use crate::name::SegmentName;
use crate::scan::{Window, check_header};
use crate::view::{EpochStart, Piece, Published, SegmentExtent, View};

/// A handle for reading one log, from any thread, while its writer goes on.
///
/// It waits neither for writes nor for syncs. Segments that retention removes while they are being
/// read stay readable to the end of that read.
#[derive(Debug)]
pub struct LogReader<D: Disk> {
    published: Arc<Published<D>>,
}

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> Self {
        Self { published: Arc::clone(&self.published) }
    }
}

impl<D: Disk> LogReader<D> {
    pub(crate) fn new(published: Arc<Published<D>>) -> Self {
        Self { published }
    }

    /// First offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.published.load().log_start
    }

    /// Behind the last offset written. What lies beyond [`LogReader::durable_end`] may yet be lost.
    pub fn end(&self) -> Offset {
        self.published.load().end
    }

    /// Behind the last offset that would survive a loss of power.
    pub fn durable_end(&self) -> Offset {
        self.published.load().durable_end
    }

    /// The epoch of the last record ever written, if the log knows.
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.published.load().last_epoch()
    }

    /// The files it lies in, oldest first; appends go to the last one.
    pub fn segments(&self) -> Vec<SegmentExtent> {
        let extent = |piece: &Piece<D>| SegmentExtent {
            end: piece.end,
            bytes: piece.len,
            newest: piece.newest,
            written: piece.written,
        };
        self.published.load().pieces().map(extent).collect()
    }

    /// Every epoch of the log and where it starts, oldest first.
    pub fn epochs(&self) -> Vec<EpochStart> {
        self.published.load().epochs()
    }

    /// Where the newest epoch that is not newer than `epoch` ends (exclusive); `None` if the log
    /// knows no epoch so old.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<Offset> {
        self.published.load().end_of_epoch(epoch)
    }

    /// Whole batches as they lie on disk, the first of which contains `from`.
    ///
    /// None ends beyond `up_to` (exclusive) or the end of the log. At most `max_bytes`, unless the
    /// first batch alone is larger. Stops at the end of a segment, so fewer bytes do not mean that
    /// there are no more. Empty if nothing lies between `from` and `up_to`.
    ///
    /// The checksum of the batches is not computed: the one who uses them does.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] if `from` lies before the start or behind the end of the log;
    /// [`ReadError::Damaged`] if what lies there is not the batch that belongs there;
    /// [`ReadError::Storage`] if the disk refuses.
    pub fn read(&self, from: Offset, max_bytes: usize, up_to: Offset) -> Result<Bytes, ReadError> {
        self.undisturbed(|view| read(view, from, max_bytes, up_to))
    }

    /// The first record before `up_to` that is not older than `timestamp`, with its own timestamp.
    ///
    /// If a batch's codec is not read by this version, its first offset and largest timestamp
    /// stand in for its records'.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] and [`ReadError::Storage`] as for [`LogReader::read`].
    pub fn offset_for_timestamp(
        &self,
        timestamp: Timestamp,
        up_to: Offset,
    ) -> Result<Option<(Offset, Timestamp)>, ReadError> {
        self.undisturbed(|view| offset_for_timestamp(view, timestamp, up_to))
    }

    /// Reads again if the log was cut while reading: the bytes may be of both sides of the cut.
    fn undisturbed<T>(
        &self,
        read: impl Fn(&View<D>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        loop {
            let view = self.published.load();
            let answer = read(&view);
            if self.published.load().cuts == view.cuts {
                return answer;
            }
        }
    }
}

fn read<D: Disk>(
    view: &View<D>,
    from: Offset,
    max_bytes: usize,
    up_to: Offset,
) -> Result<Bytes, ReadError> {
    if from < view.log_start || view.end < from {
        return Err(ReadError::OutOfRange { asked: from, start: view.log_start, end: view.end });
    }
    let up_to = up_to.min(view.end);
    let Some(piece) = view.piece_of(from).filter(|_| from < up_to) else {
        return Ok(Bytes::new());
    };
    let name = piece.segment.name();
    let relative = u32::try_from(from.distance_from(name.base)).unwrap_or(u32::MAX);
    let Lookup { mut position, span, .. } = piece
        .segment
        .with_index(|index| index.find_offset(relative))
        .map_err(|source| ReadError::Storage { source })?;
    let before_first = span.and_then(|span| usize::try_from(span).ok()).unwrap_or_default();
    let mut wanted = max_bytes.max(HEADER_LEN).saturating_add(before_first);
    loop {
        let bytes = piece.read(position, wanted)?;
        let left = piece.len.saturating_sub(position);
        let select = Select { name, from, max_bytes, up_to, left };
        match select.of(&bytes).map_err(|flaw| damaged(piece, position, flaw))? {
            Selected::Batches(range) => return Ok(Bytes::from(bytes).slice(range)),
            Selected::More { skip, needed } => {
                position = position.saturating_add(skip as u64);
                wanted = needed;
            }
        }
    }
}

fn damaged<D: Disk>(piece: &Piece<D>, position: u64, flaw: Flaw) -> ReadError {
    let path = piece.segment.path().to_path_buf();
    let position = position.saturating_add(flaw.position);
    ReadError::Damaged { path, flaw: Flaw { position, kind: flaw.kind } }
}

/// Which of the batches in some bytes answer a read.
struct Select {
    name: SegmentName,
    from: Offset,
    max_bytes: usize,
    up_to: Offset,
    /// Bytes of the segment from the first of these on.
    left: u64,
}

#[derive(Debug)]
enum Selected {
    /// These bytes are the answer.
    Batches(Range<usize>),
    /// The batch in question begins after `skip` bytes and is not whole: read `needed` from there.
    More { skip: usize, needed: usize },
}

impl Select {
    fn of(&self, bytes: &[u8]) -> Result<Selected, Flaw> {
        let mut start = None;
        let mut at = 0;
        let mut expected = None;
        loop {
            let left = self.left.saturating_sub(at as u64);
            let rest = bytes.get(at..).unwrap_or_default();
            let first = start.unwrap_or(at);
            if left == 0 || (start.is_some() && rest.len() < HEADER_LEN) {
                return Ok(Selected::Batches(first..at));
            }
            if rest.len() < HEADER_LEN && (rest.len() as u64) < left {
                return Ok(Selected::More { skip: at, needed: HEADER_LEN.max(self.max_bytes) });
            }
            let header = match check_header(self.name, rest, expected, left) {
                Ok(header) => header,
                // What lies before it is good; the next read will come upon it first.
                Err(_later) if start.is_some() => return Ok(Selected::Batches(first..at)),
                Err(kind) => return Err(Flaw { position: at as u64, kind }),
            };
            let end = at.saturating_add(header.total_len());
            expected = Some(header.end_offset());
            if header.end_offset() <= self.from {
                at = end;
                continue;
            }
            if self.up_to < header.end_offset() {
                return Ok(Selected::Batches(first..at));
            }
            if start.is_some() && end.saturating_sub(first) > self.max_bytes {
                return Ok(Selected::Batches(first..at));
            }
            if bytes.len() < end {
                if start.is_some() {
                    return Ok(Selected::Batches(first..at));
                }
                let needed = header.total_len().max(self.max_bytes);
                return Ok(Selected::More { skip: at, needed });
            }
            start = Some(first);
            at = end;
        }
    }
}

fn offset_for_timestamp<D: Disk>(
    view: &View<D>,
    timestamp: Timestamp,
    up_to: Offset,
) -> Result<Option<(Offset, Timestamp)>, ReadError> {
    let up_to = up_to.min(view.end);
    let candidates =
        view.pieces().filter(|piece| timestamp <= piece.newest && view.log_start < piece.end);
    for piece in candidates {
        if up_to <= piece.base() {
            break;
        }
        let found = search_piece(piece, timestamp, view.log_start)?;
        if let Some((offset, at)) = found {
            return Ok((offset < up_to).then_some((offset, at)));
        }
    }
    Ok(None)
}

/// The first record of a piece, at or behind `start`, that is not older than `timestamp`.
fn search_piece<D: Disk>(
    piece: &Piece<D>,
    timestamp: Timestamp,
    start: Offset,
) -> Result<Option<(Offset, Timestamp)>, ReadError> {
    let segment = &piece.segment;
    let mut position = segment
        .with_index(|index| index.find_timestamp(timestamp))
        .map_err(|source| ReadError::Storage { source })?
        .position;
    let mut window = Window::new(segment.file(), piece.len);
    let mut expected = None;
    let flawed = |position, kind| damaged(piece, 0, Flaw { position, kind: FlawKind::Batch(kind) });
    while let Some(header) = window
        .header(segment.name(), position, expected)
        .map_err(|error| piece.unreadable(error))?
    {
        let header = header.map_err(|flaw| damaged(piece, 0, flaw))?;
        if timestamp <= header.max_timestamp && start < header.end_offset() {
            let bytes = window
                .get(position, header.total_len())
                .map_err(|error| piece.unreadable(error))?;
            let batch = Batch::verify(bytes).map_err(|error| flawed(position, error))?;
            if let Some(found) = search_batch(&batch, timestamp, start) {
                return Ok(Some(found));
            }
        }
        expected = Some(header.end_offset());
        position = position.saturating_add(header.total_len() as u64);
    }
    Ok(None)
}

fn search_batch(batch: &Batch, timestamp: Timestamp, start: Offset) -> Option<(Offset, Timestamp)> {
    let header = batch.header();
    let whole = (header.base_offset.max(start), header.max_timestamp);
    let Ok(records) = batch.records() else { return Some(whole) };
    for record in records {
        let Ok(record) = record else { return Some(whole) };
        if start <= record.offset && timestamp <= record.timestamp {
            return Some((record.offset, record.timestamp));
        }
    }
    None
}
