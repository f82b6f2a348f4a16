use std::path::PathBuf;

use disk::{Disk, DiskFile};
use record::BatchHeader;
use types::{Offset, Timestamp};

use super::index::CheckedIndex;
use super::{Finding, FindingKind, Findings};
use crate::flaw::FlawKind;
use crate::index::BEFORE_ALL;
use crate::name::SegmentName;
use crate::resync::{Place, Resync};
use crate::scan::Window;
use crate::view::Piece;

/// What one read fetches: few seeks on a disk that turns, and little memory.
const READ_AHEAD: usize = 256 * 1024;

/// The way through the batches of one segment.
#[derive(Debug)]
pub(super) struct Walk {
    path: PathBuf,
    index_path: PathBuf,
    name: SegmentName,
    /// Bytes that the segment was sealed with.
    sealed: u64,
    /// Bytes that the file has.
    found: u64,
    end: Offset,
    at: Place,
    /// Largest timestamp before, and whether all before was read.
    newest: Timestamp,
    gaps: u64,
    index: CheckedIndex,
    bad: Option<Bad>,
    /// Places in a row, up to here, that the disk does not give.
    unread: u32,
}

/// A disk that is dead takes its time to say so at each place: after so many the rest is given up.
const MOST_UNREAD: u32 = 16;

/// A stretch that is not as it was, from its first byte and offset on.
#[derive(Debug)]
struct Bad {
    from: Place,
    kind: FindingKind,
}

impl Walk {
    pub(super) fn new<D: Disk>(piece: &Piece<D>, found: u64, index: CheckedIndex) -> Self {
        Self {
            path: piece.segment.path().to_path_buf(),
            index_path: piece.segment.index_path(),
            name: piece.segment.name(),
            sealed: piece.len,
            found,
            end: piece.end,
            at: Place { position: 0, offset: piece.base() },
            newest: BEFORE_ALL,
            gaps: 0,
            index,
            bad: None,
            unread: 0,
        }
    }

    /// Bytes of the index, which were read before the walk began.
    pub(super) fn index_bytes(&self) -> u64 {
        self.index.bytes()
    }

    /// Bytes to be walked.
    fn len(&self) -> u64 {
        self.sealed.min(self.found)
    }

    pub(super) fn is_over(&self) -> bool {
        self.len() <= self.at.position
    }

    /// Reads on, some `budget` bytes; returns how many.
    pub(super) fn go_on<F: DiskFile>(
        &mut self,
        file: &F,
        budget: u64,
        findings: &mut Findings,
    ) -> u64 {
        let began = self.at.position;
        let mut window = Window::reading_ahead(file, self.len(), READ_AHEAD);
        while !self.is_over() && self.at.position.saturating_sub(began) < budget {
            match self.batch(&mut window) {
                Ok(header) => self.pass(&header, findings),
                Err(kind) => self.stumble(file, kind),
            }
        }
        window.bytes_read()
    }

    /// The whole batch that belongs where the walk is.
    fn batch<F: DiskFile>(&self, window: &mut Window<'_, F>) -> Result<BatchHeader, FindingKind> {
        let Place { position, offset } = self.at;
        let unreadable = |error| FindingKind::of(&error);
        let header = window.header(self.name, position, Some(offset)).map_err(unreadable)?;
        let truncated = record::RecordError::Truncated { needed: record::HEADER_LEN, found: 0 };
        let header = header.ok_or(FindingKind::Flaw(FlawKind::Batch(truncated)))?;
        let header = header.map_err(|flaw| FindingKind::Flaw(flaw.kind))?;
        let checked = window.check_sum(position, &header).map_err(unreadable)?;
        checked.map_err(FindingKind::Flaw)?;
        Ok(header)
    }

    fn pass(&mut self, header: &BatchHeader, findings: &mut Findings) {
        self.unread = 0;
        self.report(Some(header.base_timestamp), findings);
        let newest = (self.gaps == 0).then_some(self.newest);
        self.index.pass(self.at, header, newest, self.name.base);
        self.newest = self.newest.max(header.max_timestamp);
        let position = self.at.position.saturating_add(header.total_len() as u64);
        self.at = Place { position, offset: header.end_offset() };
    }

    /// Leaves a batch that is not as it was for the next place that is known.
    fn stumble<F: DiskFile>(&mut self, file: &F, kind: FindingKind) {
        let end = Place { position: self.len(), offset: self.end };
        let known = self.index.known_behind(self.at.position, self.name.base);
        let known = known.filter(|known| known.position < end.position).unwrap_or(end);
        let way = Resync { file, name: self.name, len: self.len() };
        if matches!(kind, FindingKind::Flaw(FlawKind::Unreadable { .. })) {
            self.unread += 1;
        }
        let on = if self.unread < MOST_UNREAD { way.way_back(self.at, known) } else { end };
        let from = self.at;
        self.bad.get_or_insert(Bad { from, kind });
        self.at = on;
        self.index.skip_to(on.position);
    }

    /// Closes the stretch that ends here, if there is one; `before` is the time behind it.
    fn report(&mut self, before: Option<Timestamp>, findings: &mut Findings) {
        let Some(Bad { from, kind }) = self.bad.take() else { return };
        self.gaps += 1;
        findings.add(Finding {
            file: self.path.clone(),
            bytes: from.position..self.at.position,
            offsets: from.offset..self.at.offset,
            after: (self.newest != BEFORE_ALL).then_some(self.newest),
            before,
            kind,
        });
    }

    /// Says what only the whole segment shows.
    pub(super) fn finish(mut self: Box<Self>, findings: &mut Findings) {
        let (from, length) =
            (self.at, FindingKind::Length { sealed: self.sealed, found: self.found });
        if self.found < self.sealed {
            // A batch that is cut off is no second damage.
            let from = self.bad.take().map_or(from, |bad| bad.from);
            self.bad = Some(Bad { from, kind: length });
            self.at = Place { position: self.sealed, offset: self.end };
        } else {
            if self.at.offset != self.end {
                // Its last batch says that it ends elsewhere than the seal says.
                let found = self.at.offset;
                let kind = FindingKind::Flaw(FlawKind::Offset { expected: self.end, found });
                self.bad.get_or_insert(Bad { from, kind });
                self.at.offset = self.at.offset.max(self.end);
            }
            if self.sealed < self.found {
                self.report(None, findings);
                self.bad = Some(Bad { from: self.at, kind: length });
                self.at.position = self.found;
            }
        }
        self.report(None, findings);
        if let Some(problem) = self.index.wrong() {
            findings.add(Finding {
                file: self.index_path.clone(),
                bytes: 0..self.index.bytes(),
                offsets: self.name.base..self.name.base,
                after: None,
                before: None,
                kind: FindingKind::Index { problem },
            });
        }
    }
}
