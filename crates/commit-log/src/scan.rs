//! Walking a segment batch by batch.

use std::io;

use bytes::Bytes;
use disk::DiskFile;
use record::{BatchChecksum, BatchHeader, HEADER_LEN, RecordError};
use types::{Offset, Timestamp};

use crate::flaw::{Flaw, FlawKind};
use crate::index::{BEFORE_ALL, Index, IndexEntry};
use crate::name::SegmentName;

/// What one read fetches ahead: many small batches, or a few headers between large ones.
const READ_AHEAD: usize = 64 * 1024;

/// A window that slides over a file.
#[derive(Debug)]
pub(crate) struct Window<'a, F> {
    file: &'a F,
    /// Where the file ends for us.
    len: u64,
    read_ahead: usize,
    start: u64,
    bytes: Bytes,
    bytes_read: u64,
}

impl<'a, F: DiskFile> Window<'a, F> {
    pub(crate) fn new(file: &'a F, len: u64) -> Self {
        Self::reading_ahead(file, len, READ_AHEAD)
    }

    /// One that reads so many bytes at once, or more if more are asked for.
    pub(crate) fn reading_ahead(file: &'a F, len: u64, read_ahead: usize) -> Self {
        Self { file, len, read_ahead, start: 0, bytes: Bytes::new(), bytes_read: 0 }
    }

    /// Bytes that it has read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The bytes `position..position + wanted`, fewer at the end of the file.
    pub(crate) fn get(&mut self, position: u64, wanted: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        if let Some(held) = self.held(position, wanted) {
            return Ok(held);
        }
        let mut buffer = vec![0; wanted.max(self.read_ahead).min(left)];
        if let Err(error) = self.file.read_exact_at(&mut buffer, position) {
            // What lies behind may be what cannot be read: that is for whoever comes to it.
            if buffer.len() == wanted {
                return Err(error);
            }
            buffer.truncate(wanted);
            self.file.read_exact_at(&mut buffer, position)?;
        }
        self.start = position;
        self.bytes_read += buffer.len() as u64;
        self.bytes = Bytes::from(buffer);
        Ok(self.bytes.slice(..wanted))
    }

    fn held(&self, position: u64, wanted: usize) -> Option<Bytes> {
        let from = usize::try_from(position.checked_sub(self.start)?).ok()?;
        let end = from.checked_add(wanted)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(from..end))
    }

    /// The header of the batch at `position`; `None` at the end of the file.
    pub(crate) fn header(
        &mut self,
        name: SegmentName,
        position: u64,
        expected: Option<Offset>,
    ) -> io::Result<Option<Result<BatchHeader, Flaw>>> {
        if position >= self.len {
            return Ok(None);
        }
        let bytes = self.get(position, HEADER_LEN)?;
        let left = self.len.saturating_sub(position);
        let header = check_header(name, &bytes, expected, left);
        Ok(Some(header.map_err(|kind| Flaw { position, kind })))
    }

    /// Holds the batch at `position`, which ends within the file, against its checksum. Takes no more
    /// memory for a long one than for a short one.
    pub(crate) fn check_sum(
        &mut self,
        position: u64,
        header: &BatchHeader,
    ) -> io::Result<Result<(), FlawKind>> {
        let end = position.saturating_add(header.total_len() as u64).min(self.len);
        let mut at = position.saturating_add(BatchChecksum::FROM as u64);
        let mut checksum = BatchChecksum::new(header);
        while at < end {
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let piece = self.piece(at, left)?;
            checksum.update(&piece);
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(checksum.verify().map_err(FlawKind::Batch))
    }

    /// Bytes from `position` on, `most` at the most: those that are held, or else read.
    fn piece(&mut self, position: u64, most: usize) -> io::Result<Bytes> {
        let behind = self.start.saturating_add(self.bytes.len() as u64);
        let held = usize::try_from(behind.saturating_sub(position)).unwrap_or(usize::MAX);
        if self.start <= position && 0 < held {
            return self.get(position, most.min(held));
        }
        self.get(position, most.min(self.read_ahead))
    }
}

/// Reads the header at the front of `bytes` and checks what a log knows beyond the format: that the
/// batch is of the segment's epoch, follows the one before, and fits into the `left` bytes.
pub(crate) fn check_header(
    name: SegmentName,
    bytes: &[u8],
    expected: Option<Offset>,
    left: u64,
) -> Result<BatchHeader, FlawKind> {
    let header = BatchHeader::parse(bytes).map_err(FlawKind::Batch)?;
    if header.leader_epoch != Some(name.epoch) {
        return Err(FlawKind::Epoch { expected: name.epoch, found: header.leader_epoch });
    }
    if let Some(expected) = expected.filter(|expected| *expected != header.base_offset) {
        return Err(FlawKind::Offset { expected, found: header.base_offset });
    }
    if header.total_len() as u64 > left {
        let found = usize::try_from(left).unwrap_or(usize::MAX);
        let truncated = RecordError::Truncated { needed: header.total_len(), found };
        return Err(FlawKind::Batch(truncated));
    }
    Ok(header)
}

/// What a walk over a whole segment found.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) index: Index,
    /// Behind the last good offset.
    pub(crate) end: Offset,
    /// Bytes of the good batches.
    pub(crate) len: u64,
    /// Largest timestamp in them.
    pub(crate) newest: Timestamp,
    /// Why it stopped before the end of the file.
    pub(crate) flaw: Option<Flaw>,
}

/// Walks a segment from its start to the first flaw. Batches that end at or below `trusted` were
/// made durable by a sync: only their headers are looked at.
pub(crate) fn scan<F: DiskFile>(
    file: &F,
    name: SegmentName,
    interval: u32,
    trusted: Offset,
) -> io::Result<Scan> {
    let mut window = Window::new(file, file.len()?);
    let mut scan =
        Scan { index: Index::default(), end: name.base, len: 0, newest: BEFORE_ALL, flaw: None };
    while let Some(header) = window.header(name, scan.len, Some(scan.end))? {
        let position = scan.len;
        let checked = match header {
            Ok(header) if header.end_offset() <= trusted => Ok(header),
            Ok(header) => window
                .check_sum(position, &header)?
                .map(|()| header)
                .map_err(|kind| Flaw { position, kind }),
            Err(flaw) => Err(flaw),
        };
        match checked {
            Ok(header) => scan.advance(name, interval, &header),
            Err(flaw) => {
                scan.flaw = Some(flaw);
                break;
            }
        }
    }
    Ok(scan)
}

impl Scan {
    fn advance(&mut self, name: SegmentName, interval: u32, header: &BatchHeader) {
        if let Some(entry) = index_entry(name, header.base_offset, self.len, self.newest) {
            self.index.note(interval, entry);
        }
        self.end = header.end_offset();
        self.len = self.len.saturating_add(header.total_len() as u64);
        self.newest = self.newest.max(header.max_timestamp);
    }
}

/// The entry for a batch; `None` where it lies further in than a writer of segments goes.
pub(crate) fn index_entry(
    name: SegmentName,
    base_offset: Offset,
    position: u64,
    newest_before: Timestamp,
) -> Option<IndexEntry> {
    Some(IndexEntry {
        relative_offset: u32::try_from(base_offset.distance_from(name.base)).ok()?,
        position: u32::try_from(position).ok()?,
        newest_before,
    })
}
