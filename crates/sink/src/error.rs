use std::time::Duration;

use lake::commit::{Imbalance, InvalidRecord};
use lake::plan::{Fenced, PlanError};
use lake::{InvalidPath, LakePath, RunId};
use thiserror::Error;
use types::{Coded, Offset, Reason, TopicId, TopicPartition};

use crate::source::{SchemaError, SourceError};
use crate::store::StoreError;

/// Why a run, a plan or a verification did not come to its end.
///
/// Nothing is lost by any of them: what was not committed is read again by the next run, what was
/// committed and not published is published by it.
#[derive(Debug, Error)]
pub enum RunError {
    /// The topic is called like one of the lake's own directories.
    #[error("a topic of that name cannot be landed: {source}")]
    ReservedTopic {
        /// Which name.
        #[source]
        source: InvalidPath,
    },
    /// The source does not continue what was landed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The lake did not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The topic cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The registry cannot be asked.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Another run committed the same partitions first.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// Another run took this one for dead and collected its staging.
    #[error(
        "run {run} was taken for dead and its staging was collected; nothing was committed; runs must end within max_run_time"
    )]
    Collected {
        /// This run.
        run: RunId,
    },
    /// The run took longer than it may.
    #[error(
        "run {run} took {} s and may take {} s; nothing was committed; lower max_records_per_partition or raise max_run_time", elapsed.as_secs(), limit.as_secs()
    )]
    TooOld {
        /// This run.
        run: RunId,
        /// How long it has taken.
        elapsed: Duration,
        /// How long it may take.
        limit: Duration,
    },
    /// Not one record came in the time there is for reading.
    #[error(
        "run {run} got no record within {} s, although there are some; nothing was committed; see the broker's log, then run again", limit.as_secs()
    )]
    NothingRead {
        /// This run.
        run: RunId,
        /// How long it may read.
        limit: Duration,
    },
    /// The topic was deleted and made again under the run: what it read may be of either life.
    #[error(
        "the topic was deleted and made anew while the run read it (was {planned}, is {found}); nothing was committed"
    )]
    RecreatedMeanwhile {
        /// The life that was to be landed.
        planned: TopicId,
        /// The life the source knows now.
        found: TopicId,
    },
    /// The run was told to stop before it committed.
    #[error("the run was interrupted before its commit; nothing was landed")]
    Interrupted,
    /// A commit record cannot be trusted.
    #[error("{path}: {source}")]
    Record {
        /// Its file.
        path: LakePath,
        /// What is wrong.
        #[source]
        source: InvalidRecord,
    },
    /// The run's own numbers do not add up: a bug, caught before the commit.
    #[error("nothing was committed, because the run's numbers do not add up: {source}")]
    Imbalance {
        /// Where.
        #[source]
        source: Imbalance,
    },
    /// The source sent a record that does not belong there: a bug in it.
    #[error(
        "{partition}: asked for offsets from {expected} on and below {to}, got offset {found}; nothing was committed"
    )]
    Contradiction {
        /// The partition.
        partition: TopicPartition,
        /// The lowest offset that could come next.
        expected: Offset,
        /// End of the range, exclusive.
        to: Offset,
        /// What came.
        found: Offset,
    },
    /// A committed file is neither staged nor published: someone deleted it.
    #[error(
        "commit {seq} names {path}, which is neither there nor in staging; restore it, or the rows in it are lost"
    )]
    Missing {
        /// The commit.
        seq: u64,
        /// Where the file belongs.
        path: LakePath,
    },
    /// A file that is not the sink's lies where a committed file belongs.
    #[error(
        "commit {seq} cannot publish {path}: another file of that name is there; move it away and run again"
    )]
    Occupied {
        /// The commit.
        seq: u64,
        /// The name both want.
        path: LakePath,
    },
    /// The machine gave no randomness for the run's id.
    #[error("the system gives no random bytes: {source}")]
    Random {
        /// What the system reports.
        #[source]
        source: getrandom::Error,
    },
}

impl RunError {
    /// Whether another run did, or is doing, this one's work: exit code 75.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced(_) | Self::Collected { .. })
    }
}

impl Coded for RunError {
    fn reason(&self) -> Reason {
        match self {
            Self::ReservedTopic { .. } => Reason::InvalidTopic,
            Self::Plan(PlanError::Gap { .. } | PlanError::SourceBehind { .. }) => {
                Reason::OffsetOutOfRange
            }
            Self::Plan(PlanError::TopicRecreated { .. } | PlanError::PartitionGone { .. })
            | Self::RecreatedMeanwhile { .. } => Reason::UnknownTopicOrPartition,
            Self::Plan(PlanError::LogFull)
            | Self::Imbalance { .. }
            | Self::Contradiction { .. }
            | Self::Random { .. } => Reason::UnknownServerError,
            Self::Store(error) => error.reason(),
            Self::Source(error) => error.reason(),
            Self::Schema(SchemaError::UnknownId { .. } | SchemaError::NotAvro { .. }) => {
                Reason::InvalidRecord
            }
            Self::Schema(SchemaError::Unavailable { .. }) => Reason::CoordinatorNotAvailable,
            Self::Fenced(_) | Self::Collected { .. } => Reason::FencedLeaderEpoch,
            Self::TooOld { .. } | Self::NothingRead { .. } => Reason::RequestTimedOut,
            Self::Interrupted => Reason::ShuttingDown,
            Self::Record { .. } | Self::Missing { .. } => Reason::CorruptMessage,
            Self::Occupied { .. } => Reason::StorageError,
        }
    }
}
