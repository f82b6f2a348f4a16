use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use disk::Disk;
use types::{Offset, Timestamp};

use crate::flaw::FlawKind;
use crate::view::Piece;

/// Something that is not as it was sealed, and which records it hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Which of its bytes cannot be relied on.
    pub bytes: Range<u64>,
    /// The offsets of the records that were there; none if records are not concerned.
    pub offsets: Range<Offset>,
    /// Time of the last whole record before them in the segment: the largest, if times do not grow.
    pub after: Option<Timestamp>,
    /// Time of the first whole record behind them in the segment.
    pub before: Option<Timestamp>,
    /// What is wrong.
    pub kind: FindingKind,
}

/// What is wrong in a segment, with its index or with what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Bytes that are not the batch that belongs there.
    Flaw(FlawKind),
    /// The file is not there.
    Missing,
    /// The file is shorter or longer than it was when it was sealed.
    Length {
        /// Bytes it had.
        sealed: u64,
        /// Bytes it has.
        found: u64,
    },
    /// The index is not what belongs to the segment. It is made again from the segment when it is
    /// needed: no record is lost for that.
    Index {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What was known of producers before the segment is not readable. It is learnt again from older
    /// records when it is needed.
    Producers,
}

impl FindingKind {
    /// Why a file could not be read.
    pub(super) fn of(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Missing
        } else {
            Self::Flaw(FlawKind::Unreadable { cause: error.to_string() })
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flaw(flaw) => flaw.fmt(f),
            Self::Missing => f.write_str("the file is missing"),
            Self::Length { sealed, found } => {
                write!(f, "the file had {sealed} bytes and has {found}")
            }
            Self::Index { problem } => write!(
                f,
                "the index {problem}; it is made again from the \
                 records when it is needed"
            ),
            Self::Producers => f.write_str(
                "what was known of producers cannot be read; it is learnt again from the records",
            ),
        }
    }
}

impl Finding {
    /// Whether records were hit.
    pub fn hits_records(&self) -> bool {
        !self.offsets.is_empty()
    }

    /// One that concerns all records of a segment.
    pub(super) fn of_all<D: Disk>(piece: &Piece<D>, kind: FindingKind) -> Self {
        Self {
            file: piece.segment.path().to_path_buf(),
            bytes: 0..piece.len,
            offsets: piece.base()..piece.end,
            after: None,
            before: None,
            kind,
        }
    }

    /// One that concerns no record.
    pub(super) fn beside<D: Disk>(
        piece: &Piece<D>,
        file: PathBuf,
        bytes: Range<u64>,
        kind: FindingKind,
    ) -> Self {
        let offsets = piece.base()..piece.base();
        Self { file, bytes, offsets, after: None, before: None, kind }
    }
}
