use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use commit_log::{ReadError, WithinRead};
use types::{Offset, TopicPartition};
use wire::bounds::{Held, Purse};

use super::{FetchError, Fetching};
use crate::partition::Partition;

/// What is done about a first batch for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LargeBatch {
    /// Memory for it is waited for, so that readers always advance.
    Take,
    /// It is left for the next fetch: who holds something already must not wait for more.
    Leave,
}

/// With less memory than this for it, it does not pay to read.
const LEAST: usize = 4 * 1024;
/// How much memory is waited for when there is hardly any.
const MODEST: usize = 64 * 1024;

impl Fetching {
    /// Batches of up to `max_bytes`, or the first one whole, with the memory that they take; `None`
    /// if the first one had to be left.
    pub(super) async fn read_log(
        &self,
        partition: &Arc<Partition>,
        range: Range<Offset>,
        max_bytes: usize,
        large: LargeBatch,
        purse: &Purse,
    ) -> Result<Option<(Bytes, Held)>, FetchError> {
        let mut held = purse.take_up_to(max_bytes);
        if held.bytes() < max_bytes.min(LEAST) {
            if large == LargeBatch::Leave {
                return Ok(None);
            }
            drop(held);
            held = self.wait_for(purse, max_bytes.min(MODEST)).await?;
        }
        loop {
            match read_within(partition, range.clone(), held.bytes()).await? {
                WithinRead::Batches(batches) => {
                    held.shrink_to(batches.len());
                    return Ok(Some((batches, held)));
                }
                WithinRead::TooLarge { .. } if large == LargeBatch::Leave => return Ok(None),
                WithinRead::TooLarge { needed } => {
                    // All who held some while they wait might wait for each other.
                    drop(held);
                    held = self.wait_for(purse, needed).await?;
                }
            }
        }
    }

    async fn wait_for(&self, purse: &Purse, bytes: usize) -> Result<Held, FetchError> {
        let held = self.draining.run_until_cancelled(purse.take(bytes)).await;
        held.ok_or(FetchError::ShuttingDown)
    }
}

/// Reads off the runtime: what is not in the page cache takes the disk's time.
async fn read_within(
    partition: &Arc<Partition>,
    range: Range<Offset>,
    max_bytes: usize,
) -> Result<WithinRead, FetchError> {
    let log = partition.log().clone();
    let read = move || log.read_within(range.start, max_bytes, range.end);
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(source)) => Err(unread(partition.name().clone(), source)),
        // The runtime drops blocking work only when it ends.
        Err(_cancelled) => Err(FetchError::ShuttingDown),
    }
}

fn unread(partition: TopicPartition, source: ReadError) -> FetchError {
    match source {
        ReadError::Damaged { path, flaw, lost } => {
            let what = format!("{} {flaw}", path.display());
            FetchError::Lost { partition, offsets: lost, what }
        }
        ReadError::OutOfRange { .. } | ReadError::Storage { .. } => {
            FetchError::Read { partition, source }
        }
    }
}
