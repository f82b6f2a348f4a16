use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use disk::Disk;
use record::{Batch, BatchHeader, HEADER_LEN};
use types::{LeaderEpoch, Offset, Timestamp};

use crate::error::ReadError;
use crate::flaw::{Flaw, FlawKind};
use crate::name::SegmentName;
use crate::resync::Place;
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

    pub(crate) fn published(&self) -> &Arc<Published<D>> {
        &self.published
    }

    /// First offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.published.log_start()
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
        match self.undisturbed(|view| read(view, from, (max_bytes, usize::MAX), up_to))? {
            WithinRead::Batches(batches) => Ok(batches),
            // Nothing is larger than what was allowed.
            WithinRead::TooLarge { .. } => Ok(Bytes::new()),
        }
    }

    /// As [`LogReader::read`], but a first batch that is larger than `max_bytes` is not read: its
    /// size is told instead, so that memory can be found for it. What is returned takes no more
    /// than twice its length.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn read_within(
        &self,
        from: Offset,
        max_bytes: usize,
        up_to: Offset,
    ) -> Result<WithinRead, ReadError> {
        self.undisturbed(|view| read(view, from, (max_bytes, max_bytes), up_to))
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

/// What a read within a bound gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WithinRead {
    /// Whole batches, or none if there are none.
    Batches(Bytes),
    /// The first batch is larger than the bound.
    TooLarge {
        /// Its size in bytes.
        needed: usize,
    },
}

/// Batches of up to `max_bytes`; a first one that is larger, up to `largest`.
fn read<D: Disk>(
    view: &View<D>,
    from: Offset,
    (max_bytes, largest): (usize, usize),
    up_to: Offset,
) -> Result<WithinRead, ReadError> {
    if from < view.log_start || view.end < from {
        return Err(ReadError::OutOfRange { asked: from, start: view.log_start, end: view.end });
    }
    let up_to = up_to.min(view.end);
    let Some(piece) = view.piece_of(from).filter(|_| from < up_to) else {
        return Ok(WithinRead::Batches(Bytes::new()));
    };
    let name = piece.segment.name();
    let relative = u32::try_from(from.distance_from(name.base)).unwrap_or(u32::MAX);
    let lookup = piece
        .segment
        .with_index(|index| index.find_offset(relative))
        .map_err(|source| ReadError::Storage { source })?;
    let mut place = lookup.place(name.base);
    let (mut before, mut refused_at) = (None, None);
    let before_first = lookup.span.and_then(|span| usize::try_from(span).ok()).unwrap_or_default();
    let mut wanted = max_bytes.max(HEADER_LEN).saturating_add(before_first);
    loop {
        let (bytes, fault) = piece.read(place.position, wanted);
        let bytes = Bytes::from(bytes);
        let (len, end) = (piece.len, piece.end);
        let select = Select { name, from, max_bytes, up_to, place, before, len, end };
        match select.of(&bytes) {
            // More was read than asked for, so as to come to a batch that begins further on.
            Selected::Batches(range) if largest < range.len() => {
                return Ok(WithinRead::TooLarge { needed: range.len() });
            }
            Selected::Batches(range) => return Ok(WithinRead::Batches(part(&bytes, range))),
            Selected::More { at, needed, .. }
                if let Some(fault) = &fault
                    && at == place
                    && wanted <= needed
                    && refused_at == Some(at.position) =>
            {
                let kind = FlawKind::Unreadable { cause: fault.to_string() };
                (place, before) = (around(piece, at, None, kind, from)?, None);
            }
            Selected::More { needed, .. } if largest.max(HEADER_LEN) < needed => {
                return Ok(WithinRead::TooLarge { needed });
            }
            Selected::More { at, passed, needed } => {
                // A refusal that passes is none of the segment's: the second one is believed.
                refused_at = fault.is_some().then_some(at.position);
                (place, before, wanted) = (at, passed, needed);
            }
            Selected::Flawed { at, passed, kind } => {
                // The damage may be of a batch that nobody wants, on the way to one that is whole.
                place = around(piece, at, passed, kind, from)?;
                before = None;
                wanted = max_bytes.max(HEADER_LEN);
            }
        }
    }
}

/// A part of some bytes that does not keep many more of them in memory.
fn part(bytes: &Bytes, range: Range<usize>) -> Bytes {
    if range.len() < bytes.len() / 2 {
        return Bytes::copy_from_slice(bytes.get(range).unwrap_or_default());
    }
    bytes.slice(range)
}

/// Damaged batches in a row that one error tells of, so that a reader who goes on behind them comes
/// to records, and nobody reads a whole segment for one answer.
const TOLD_BATCHES: u32 = 1_000;

/// Where to go on around a damaged batch, unless `from` is an offset of it. No batch of that offset
/// lies at `bad`, or the one `before` does not end there.
fn around<D: Disk>(
    piece: &Piece<D>,
    bad: Place,
    before: Option<Place>,
    kind: FlawKind,
    from: Offset,
) -> Result<Place, ReadError> {
    let bad = before.filter(|before| !piece.is_whole(*before)).unwrap_or(bad);
    let on = piece.way_back(bad)?;
    if on.offset <= from {
        return Ok(on);
    }
    let mut end = on;
    for _ in 0..TOLD_BATCHES {
        if piece.end <= end.offset || piece.is_whole(end) {
            break;
        }
        end = piece.way_back(end)?;
    }
    let path = piece.segment.path().to_path_buf();
    let flaw = Flaw { position: bad.position, kind };
    Err(ReadError::Damaged { path, flaw, lost: bad.offset..end.offset })
}

/// Which of the batches in some bytes answer a read.
struct Select {
    name: SegmentName,
    from: Offset,
    max_bytes: usize,
    up_to: Offset,
    /// Where the first of these bytes lies: the beginning of a batch.
    place: Place,
    /// The batch before, if it was passed over by what its header says.
    before: Option<Place>,
    /// Bytes of the segment, and the offset behind its last.
    len: u64,
    end: Offset,
}

#[derive(Debug)]
enum Selected {
    /// These bytes are the answer.
    Batches(Range<usize>),
    /// The batch in question begins there and is not whole: read `needed` from there.
    More { at: Place, passed: Option<Place>, needed: usize },
    /// What lies there is not the batch that belongs there.
    Flawed { at: Place, passed: Option<Place>, kind: FlawKind },
}

impl Select {
    fn of(&self, bytes: &Bytes) -> Selected {
        let mut start = None;
        let mut skip = 0;
        let mut offset = self.place.offset;
        let mut passed = self.before;
        loop {
            let position = self.place.position.saturating_add(skip as u64);
            let at = Place { position, offset };
            let left = self.len.saturating_sub(position);
            let rest = bytes.get(skip..).unwrap_or_default();
            let first = start.unwrap_or(skip);
            if left == 0 || (start.is_some() && rest.len() < HEADER_LEN) {
                return Selected::Batches(first..skip);
            }
            if rest.len() < HEADER_LEN && (rest.len() as u64) < left {
                return Selected::More { at, passed, needed: HEADER_LEN.max(self.max_bytes) };
            }
            let header = match self.header(rest, at, left) {
                Ok(header) => header,
                // What lies before it is good; the next read will come upon it first.
                Err(_later) if start.is_some() => return Selected::Batches(first..skip),
                Err(kind) => return Selected::Flawed { at, passed, kind },
            };
            let end = skip.saturating_add(header.total_len());
            if header.end_offset() <= self.from {
                (skip, offset, passed) = (end, header.end_offset(), Some(at));
                continue;
            }
            if self.up_to < header.end_offset() {
                return Selected::Batches(first..skip);
            }
            if start.is_some() && end.saturating_sub(first) > self.max_bytes {
                return Selected::Batches(first..skip);
            }
            if bytes.len() < end {
                if start.is_some() {
                    return Selected::Batches(first..skip);
                }
                let needed = header.total_len().max(self.max_bytes);
                return Selected::More { at, passed, needed };
            }
            if header.base_offset < self.from
                && let Err(error) = Batch::verify(bytes.slice(skip..end))
            {
                // What it says of its end is all that makes it the one that is wanted.
                return Selected::Flawed { at, passed, kind: FlawKind::Batch(error) };
            }
            start = Some(first);
            (skip, offset) = (end, header.end_offset());
        }
    }

    fn header(&self, bytes: &[u8], at: Place, left: u64) -> Result<BatchHeader, FlawKind> {
        let header = check_header(self.name, bytes, Some(at.offset), left)?;
        let (end, found) = (self.end, header.end_offset());
        if end < found { Err(FlawKind::BehindEnd { end, found }) } else { Ok(header) }
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
    let name = segment.name();
    let mut at = segment
        .with_index(|index| index.find_timestamp(timestamp))
        .map_err(|source| ReadError::Storage { source })?
        .place(name.base);
    let mut window = Window::new(segment.file(), piece.len);
    // One that is damaged may be the first that is young enough: nobody can tell.
    let flawed = |at: Place, before: Option<Place>, kind| {
        // Of neither batch: the damage is told, whichever it is.
        match around(piece, at, before, kind, before.unwrap_or(at).offset) {
            Err(damaged) => damaged,
            Ok(_nothing_lost) => piece.unreadable(std::io::ErrorKind::InvalidData.into()),
        }
    };
    let mut before = None;
    while let Some(header) = window
        .header(name, at.position, Some(at.offset))
        .map_err(|error| piece.unreadable(error))?
    {
        let header = header.map_err(|flaw| flawed(at, before, flaw.kind))?;
        if timestamp <= header.max_timestamp && start < header.end_offset() {
            let bytes = window
                .get(at.position, header.total_len())
                .map_err(|error| piece.unreadable(error))?;
            let batch =
                Batch::verify(bytes).map_err(|error| flawed(at, None, FlawKind::Batch(error)))?;
            if let Some(found) = search_batch(&batch, timestamp, start) {
                return Ok(Some(found));
            }
        }
        let position = at.position.saturating_add(header.total_len() as u64);
        before = Some(at);
        at = Place { position, offset: header.end_offset() };
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
