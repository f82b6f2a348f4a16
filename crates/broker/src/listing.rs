//! Finding offsets: the first, the end, and by time.

use std::sync::Arc;

use commit_log::ReadError;
use thiserror::Error;
use types::{Coded, LeaderEpoch, Offset, Reason, Timestamp, TopicPartition};

use crate::causes::with_causes;
use crate::partition::Partition;
use crate::partitions::{Partitions, RoutingError};

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The first one held.
    Earliest,
    /// The end of what consumers may read.
    Latest,
    /// That of the first record whose timestamp is this or later.
    Time(Timestamp),
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// `None` when no record is that young.
    pub(crate) found: Option<(Offset, Option<Timestamp>)>,
    /// The epoch of the leader that answers.
    pub(crate) epoch: LeaderEpoch,
}

/// Why nothing was found.
#[derive(Debug, Error)]
pub(crate) enum ListingError {
    /// It is elsewhere, or nowhere.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// The log could not be read.
    #[error("{partition} could not be searched: {}", with_causes(source))]
    Read {
        /// Which partition.
        partition: TopicPartition,
        /// Why.
        source: ReadError,
    },
    /// The process is going away.
    #[error("the broker is shutting down; retry at another one, or when it is back")]
    ShuttingDown,
}

impl Coded for ListingError {
    fn reason(&self) -> Reason {
        match self {
            Self::Routing(error) => error.reason(),
            Self::Read { source, .. } => source.reason(),
            Self::ShuttingDown => Reason::ShuttingDown,
        }
    }
}

/// Finds offsets.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    partitions: Partitions,
}

impl Listing {
    pub(crate) const fn new(partitions: Partitions) -> Self {
        Self { partitions }
    }

    /// First offset held, for an answer that carries it besides; 0 if this broker does not lead.
    pub(crate) fn log_start(&self, partition: &TopicPartition) -> u64 {
        self.partitions.led(partition).map_or(0, |led| led.log().log_start().get())
    }

    /// Finds one offset.
    pub(crate) async fn list(
        &self,
        asked: &TopicPartition,
        at: At,
    ) -> Result<Listed, ListingError> {
        let partition = self.partitions.led(asked)?;
        let high_watermark = partition.high_watermark();
        let found = match at {
            At::Earliest => Some((partition.log().log_start(), None)),
            At::Latest => Some((high_watermark, None)),
            At::Time(timestamp) => by_time(&partition, timestamp, high_watermark)
                .await?
                .map(|(offset, timestamp)| (offset, Some(timestamp))),
        };
        self.partitions.still_leading(asked)?;
        Ok(Listed { found, epoch: partition.epoch() })
    }
}

/// Searches off the runtime: what is not in the page cache takes the disk's time.
async fn by_time(
    partition: &Arc<Partition>,
    timestamp: Timestamp,
    up_to: Offset,
) -> Result<Option<(Offset, Timestamp)>, ListingError> {
    let log = partition.log().clone();
    let search = move || log.offset_for_timestamp(timestamp, up_to);
    match tokio::task::spawn_blocking(search).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(source)) => Err(ListingError::Read { partition: partition.name().clone(), source }),
        // The runtime drops blocking work only when it ends.
        Err(_cancelled) => Err(ListingError::ShuttingDown),
    }
}
