//! From records to closed files in staging.

mod files;
mod partition;
mod row_file;

pub(crate) use partition::{StagedPartition, stage_partition};

use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use lake::avro::Codec;
use lake::partitioner::Partitioner;
use lake::{LakePath, RunId, TopicPaths};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use types::TopicId;

use crate::progress::Progress;
use crate::schemas::Schemas;

/// What becomes of a record without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TombstonePolicy {
    /// It is left out and counted.
    Skip,
    /// It goes to quarantine, key and headers included.
    Quarantine,
}

/// The shape and the bounds of what is staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// Codec of the blocks.
    pub codec: Codec,
    /// Uncompressed bytes after which a block is closed.
    pub block_bytes: usize,
    /// Bytes after which a file is closed and the next begun.
    pub file_bytes: u64,
    /// Bytes of rows that one partition may hold in memory.
    pub memory_bytes: usize,
    /// Files that one partition may hold open.
    pub open_files: usize,
}

/// What the tasks of one run share.
pub(crate) struct Stage<S, C> {
    pub(crate) store: S,
    pub(crate) schemas: Schemas<C>,
    pub(crate) partitioner: Partitioner,
    pub(crate) tombstones: TombstonePolicy,
    pub(crate) files: FileSettings,
    pub(crate) paths: TopicPaths,
    pub(crate) topic_id: TopicId,
    pub(crate) run_id: RunId,
    /// The run's staging directory.
    pub(crate) directory: LakePath,
    /// Bounds the files that are being written and closed, over all partitions.
    pub(crate) writes: Arc<Semaphore>,
    pub(crate) clock: Clock,
    /// When to stop reading and commit what there is, by the clock's monotonic time.
    pub(crate) read_until: Duration,
    pub(crate) stop: CancellationToken,
    pub(crate) progress: Arc<dyn Progress>,
}
