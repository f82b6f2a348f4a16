//! Deleting records on request: all of a partition before an offset.

use thiserror::Error;
use tracing::info;
use types::{Coded, Offset, Reason, TopicName, TopicPartition};

use crate::causes::with_causes;
use crate::directory::{LogChangeError, WeakDirectoryQueue, WriterGone};
use crate::partitions::{Partitions, RoutingError};

/// Before which offset records are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// This one, which stays.
    Offset(Offset),
    /// The high watermark: all that consumers could read.
    HighWatermark,
}

/// Why nothing was deleted, or why it is not known whether it was.
#[derive(Debug, Error)]
pub(crate) enum DeletionError {
    /// It is elsewhere, or nowhere.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// What is not committed is not anyone's to remove (J12): it may yet turn out never to have
    /// been.
    #[error(
        "offset {asked} of {partition} is out of range: records are committed up to {end} \
         (exclusive); delete before that or an earlier one"
    )]
    OutOfRange {
        /// Which partition.
        partition: TopicPartition,
        /// What was asked for.
        asked: Offset,
        /// The high watermark.
        end: Offset,
    },
    /// The platform lives on what is in there.
    #[error("records of the internal topic {topic} cannot be deleted")]
    Internal {
        /// Which topic.
        topic: TopicName,
    },
    /// The log could not be changed.
    #[error("records of {partition} could not be deleted: {}", with_causes(source))]
    Log {
        /// Which partition.
        partition: TopicPartition,
        /// Why.
        source: LogChangeError,
    },
}

impl Coded for DeletionError {
    fn reason(&self) -> Reason {
        match self {
            Self::Routing(error) => error.reason(),
            Self::OutOfRange { .. } => Reason::OffsetOutOfRange,
            Self::Internal { .. } => Reason::InvalidTopic,
            Self::Log { source, .. } => source.reason(),
        }
    }
}

/// Deletes records.
#[derive(Clone, Debug)]
pub(crate) struct Deletion {
    partitions: Partitions,
    directory: WeakDirectoryQueue,
}

impl Deletion {
    pub(crate) const fn new(partitions: Partitions, directory: WeakDirectoryQueue) -> Self {
        Self { partitions, directory }
    }

    /// Deletes the records before an offset; returns the first offset that is left, durably. That
    /// is later than asked if the partition began later already.
    ///
    /// # Errors
    ///
    /// [`DeletionError`]. After all but a failure of the log, or of the leadership at the last
    /// moment, nothing was deleted. Asking again does no harm.
    pub(crate) async fn delete(
        &self,
        asked: &TopicPartition,
        before: Before,
    ) -> Result<Offset, DeletionError> {
        let partition = self.partitions.led(asked)?;
        if asked.topic.is_internal() {
            return Err(DeletionError::Internal { topic: asked.topic.clone() });
        }
        let high_watermark = partition.high_watermark();
        let start = match before {
            Before::HighWatermark => high_watermark,
            Before::Offset(offset) if offset <= high_watermark => offset,
            Before::Offset(offset) => {
                return Err(DeletionError::OutOfRange {
                    partition: asked.clone(),
                    asked: offset,
                    end: high_watermark,
                });
            }
        };
        let failed = |source| DeletionError::Log { partition: asked.clone(), source };
        let directory =
            self.directory.upgrade().ok_or_else(|| failed(LogChangeError::Gone(WriterGone)))?;
        let began = partition.log().log_start();
        directory.advance_log_start(partition.key(), start).await.map_err(failed)?;
        if began < start {
            let (topic, partition) = (&asked.topic, asked.partition);
            info!(%topic, %partition, offset = %start, "records deleted on request");
        }
        self.partitions.still_leading(asked)?;
        Ok(partition.log().log_start())
    }
}

#[cfg(test)]
mod tests;
