use std::io;
use std::path::Path;

use disk::{Disk, DiskFile};
use record::BatchHeader;
use types::{LogId, Timestamp};

use super::{Finding, FindingKind, Findings};
use crate::index::{self, Index, IndexEntry, Seal};
use crate::producers::ProducerSnapshot;
use crate::resync::Place;
use crate::view::Piece;

/// The index of a segment as its file has it, held against the batches one by one.
#[derive(Debug)]
pub(super) struct CheckedIndex {
    /// `None` if it is not to be relied on.
    index: Option<Index>,
    /// How many of its entries lie before the place that the walk has reached.
    passed: usize,
    bytes: u64,
    wrong: Option<&'static str>,
}

impl CheckedIndex {
    /// Reads it, and what else was sealed with the segment, and notes what is wrong with either.
    pub(super) fn read<D: Disk>(piece: &Piece<D>, log_id: LogId, findings: &mut Findings) -> Self {
        check_producers(piece, findings);
        let path = piece.segment.index_path();
        let (found, bytes) = match read_file(piece.segment.disk(), &path) {
            Ok(bytes) => (judge(&bytes, piece, log_id), bytes.len() as u64),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Err("is missing"), 0),
            Err(error) => {
                let kind = FindingKind::of(&error);
                findings.add(Finding::beside(piece, path, 0..0, kind));
                return Self { index: None, passed: 0, bytes: 0, wrong: None };
            }
        };
        match found {
            Ok(index) => Self { index: Some(index), passed: 0, bytes, wrong: None },
            Err(problem) => {
                let kind = FindingKind::Index { problem };
                findings.add(Finding::beside(piece, path, 0..bytes, kind));
                Self { index: None, passed: 0, bytes, wrong: None }
            }
        }
    }

    /// Bytes of its file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next place behind `position` where it says that a batch begins.
    pub(super) fn known_behind(&self, position: u64, base: types::Offset) -> Option<Place> {
        self.index.as_ref()?.entry_behind(position)?.place(base)
    }

    /// Holds it against a whole batch at `place`, before which `newest` is the largest timestamp,
    /// if that is known.
    pub(super) fn pass(
        &mut self,
        place: Place,
        header: &BatchHeader,
        newest: Option<Timestamp>,
        base: types::Offset,
    ) {
        let Some(entry) = self.next() else { return };
        let position = u64::from(entry.position);
        let end = place.position.saturating_add(header.total_len() as u64);
        if position == place.position {
            let offset_is_right = entry.place(base) == Some(place);
            let time_is_right = newest.is_none_or(|newest| newest == entry.newest_before);
            if !(offset_is_right && time_is_right) {
                self.wrong = Some("tells another offset or time than the segment");
            }
            self.passed += 1;
        } else if position < end {
            self.wrong = Some("points into the middle of a batch");
            self.passed += 1;
        }
    }

    /// Leaves out what it says of a stretch that cannot be read.
    pub(super) fn skip_to(&mut self, position: u64) {
        while self.next().is_some_and(|entry| u64::from(entry.position) < position) {
            self.passed += 1;
        }
    }

    /// What is wrong with it that only the batches show.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        self.wrong
    }

    fn next(&self) -> Option<IndexEntry> {
        self.index.as_ref()?.entries().get(self.passed).copied()
    }
}

fn judge<D: Disk>(bytes: &[u8], piece: &Piece<D>, log_id: LogId) -> Result<Index, &'static str> {
    let (index, seal) = index::decode(bytes).ok_or("fails its checksum")?;
    let Seal { log_id: sealed_log, segment_len, end, newest, written: _ } = seal;
    if (sealed_log, segment_len, end, newest) != (log_id, piece.len, piece.end, piece.newest) {
        return Err("was sealed for another segment");
    }
    Ok(index)
}

fn check_producers<D: Disk>(piece: &Piece<D>, findings: &mut Findings) {
    let path = piece.segment.snapshot_path();
    match read_file(piece.segment.disk(), &path) {
        Ok(bytes) if ProducerSnapshot::decode(&bytes).is_none() => {
            let (bytes, kind) = (0..bytes.len() as u64, FindingKind::Producers);
            findings.add(Finding::beside(piece, path, bytes, kind));
        }
        Ok(_whole) => {}
        // Not every segment has one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            findings.add(Finding::beside(piece, path, 0..0, FindingKind::of(&error)));
        }
    }
}

fn read_file<D: Disk>(disk: &D, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open_uncached(path)?;
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    file.read_vec_at(len, 0)
}
