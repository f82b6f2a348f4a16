use record::RecordError;
use thiserror::Error;
use types::{LeaderEpoch, Offset};

/// A place in a segment where the log stops making sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at byte {position}: {kind}")]
pub struct Flaw {
    /// Where the batch begins.
    pub position: u64,
    /// What is wrong with it.
    pub kind: FlawKind,
}

/// What is wrong with a batch in a segment.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlawKind {
    /// Its bytes are no batch, or not whole.
    #[error("{0}")]
    Batch(RecordError),
    /// It does not follow the one before.
    #[error("a batch of offset {found} where {expected} belongs")]
    Offset {
        /// What follows.
        expected: Offset,
        /// What it says.
        found: Offset,
    },
    /// It is of another epoch than the segment.
    #[error("a batch of epoch {} in a segment of {expected}",
        found.map_or("none".to_owned(), |found| found.to_string()))]
    Epoch {
        /// The segment's.
        expected: LeaderEpoch,
        /// What it says.
        found: Option<LeaderEpoch>,
    },
    /// It says that it ends behind everything that was written.
    #[error("a batch that ends at offset {found} where all end at {end}")]
    BehindEnd {
        /// Where the segment ends (exclusive).
        end: Offset,
        /// Where it says that it ends (exclusive).
        found: Offset,
    },
    /// The disk does not give it.
    #[error("the disk does not give it: {cause}")]
    Unreadable {
        /// What the system reported.
        cause: String,
    },
}
