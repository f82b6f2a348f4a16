//! One partition that this broker leads: a handle for requests, the [`Leader`](replication::Leader)
//! behind it, and the task that attends to what happens to it by itself.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use commit_log::{AppendError, LogKey};
use record::Batch;
use replication::{Acknowledged, Acks, ProduceError};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::timeout;
use types::{Coded, LeaderEpoch, Offset, Reason, TimestampType, TopicPartition};

use crate::causes::with_causes;
use crate::directory::{Log, WeakDirectoryQueue, WriterGone};
use crate::lease::LeaseView;
use crate::retention::Retention;

mod attendant;
mod leading;

pub(crate) use attendant::{Attendant, Leadership};
use leading::Leading;

/// What a producer hears.
pub(crate) type Outcome = Result<Acknowledged, PartitionError>;

/// What a topic allows, by its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicLimits {
    /// The largest batch, in bytes.
    pub(crate) max_message_bytes: usize,
    /// Whose clock the timestamps of its records are from.
    pub(crate) timestamp_type: TimestampType,
    /// How much is kept, and for how long.
    pub(crate) retention: Retention,
}

/// Batches for one partition: verified, and counted against the broker's memory.
#[derive(Debug)]
pub(crate) struct Produce {
    /// To be appended in this order, in one piece.
    pub(crate) batches: Vec<Batch>,
    /// Whose clock their timestamps are to be from.
    pub(crate) timestamp_type: TimestampType,
    /// When to answer.
    pub(crate) acks: Acks,
    /// The latest moment to answer, on the broker's monotonic clock.
    pub(crate) deadline: Duration,
    /// Held until the batches are written.
    pub(crate) memory: OwnedSemaphorePermit,
}

/// Why a partition did not append.
#[derive(Debug, Error)]
pub(crate) enum PartitionError {
    /// The queue to its log is full.
    #[error("as much waits for the disk of {partition} as may; back off and retry")]
    Busy {
        /// Whose log.
        partition: TopicPartition,
    },
    /// The leadership ended before the produce was taken up.
    #[error(
        "this broker no longer leads {partition}; nothing was written: refresh the metadata and \
         send it to the new leader"
    )]
    Ended {
        /// Of which partition.
        partition: TopicPartition,
    },
    /// The log refused it.
    #[error("nothing was appended to {partition}: {}", with_causes(source))]
    Log {
        /// Whose log.
        partition: TopicPartition,
        /// Why.
        source: AppendError,
    },
    /// It was refused for another reason, or its outcome is not known.
    #[error(transparent)]
    Produce(#[from] ProduceError<AppendError>),
}

impl PartitionError {
    /// It may have been appended, or not.
    pub(crate) const fn outcome_unknown() -> Self {
        Self::Produce(ProduceError::NoLongerLeader)
    }
}

impl Coded for PartitionError {
    fn reason(&self) -> Reason {
        match self {
            Self::Busy { .. } => Reason::Busy,
            Self::Ended { .. } => Reason::NotLeaderOrFollower,
            Self::Log { source, .. } => source.reason(),
            Self::Produce(error) => error.reason(),
        }
    }
}

/// A partition that this broker leads, in one leader epoch, as requests see it.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    name: TopicPartition,
    epoch: LeaderEpoch,
    key: LogKey,
    limits: TopicLimits,
    leading: Arc<Leading>,
    directory: WeakDirectoryQueue,
    committed: watch::Receiver<Offset>,
    log: Log,
    lease: LeaseView,
}

impl Partition {
    /// Which one.
    pub(crate) const fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// The epoch led.
    pub(crate) const fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Its log's place in the directory.
    pub(crate) const fn key(&self) -> LogKey {
        self.key
    }

    /// What its topic allows.
    pub(crate) const fn limits(&self) -> TopicLimits {
        self.limits
    }

    /// The same partition with other limits.
    pub(crate) fn with_limits(&self, limits: TopicLimits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// Its log; consumers may read up to [`committed`](Self::committed) only.
    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// The high watermark, and word of its advances; closed when the leadership ends.
    pub(crate) fn committed(&self) -> watch::Receiver<Offset> {
        self.committed.clone()
    }

    /// The first offset that is not committed.
    pub(crate) fn high_watermark(&self) -> Offset {
        *self.committed.borrow()
    }

    /// Queues a produce; refuses it if there is no place for it in the queue to the log within
    /// `patience`. The caller must go on being polled.
    ///
    /// # Errors
    ///
    /// [`PartitionError::Busy`], or the leadership has ended.
    pub(crate) async fn offer(
        &self,
        produce: Produce,
        patience: Duration,
    ) -> Result<Answer, PartitionError> {
        let directory = self.directory.upgrade().ok_or_else(|| self.ended())?;
        let slot = match timeout(patience, directory.slot()).await {
            Ok(slot) => slot.map_err(|WriterGone| self.ended())?,
            Err(_elapsed) => {
                return Err(PartitionError::Busy { partition: self.name.clone() });
            }
        };
        self.queued(self.leading.produce(produce, slot))
    }

    /// Queues a produce, waiting while the queue to the log is full. Calls that one caller makes
    /// one after the other are appended in that order. The caller must go on being polled.
    ///
    /// # Errors
    ///
    /// The leadership has ended.
    pub(crate) async fn submit(&self, produce: Produce) -> Result<Answer, PartitionError> {
        let directory = self.directory.upgrade().ok_or_else(|| self.ended())?;
        let slot = directory.slot().await.map_err(|WriterGone| self.ended())?;
        self.queued(self.leading.produce(produce, slot))
    }

    fn queued(
        &self,
        queued: Result<oneshot::Receiver<Outcome>, PartitionError>,
    ) -> Result<Answer, PartitionError> {
        Ok(Answer { outcome: queued?, lease: self.lease.clone() })
    }

    fn ended(&self) -> PartitionError {
        PartitionError::Ended { partition: self.name.clone() }
    }
}

/// The answer to one produce, to come.
#[derive(Debug)]
pub(crate) struct Answer {
    outcome: oneshot::Receiver<Outcome>,
    lease: LeaseView,
}

/// Resolves to an error if the produce was refused, or its outcome is not known.
impl Future for Answer {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        // A reply is dropped unanswered only with all that leads.
        let unknown = PartitionError::outcome_unknown;
        let outcome = ready!(Pin::new(&mut self.outcome).poll(context));
        let outcome = outcome.map_err(|_died| unknown()).flatten();
        // Without the lease another broker may lead already, and not hold what was appended.
        Poll::Ready(if outcome.is_err() || self.lease.holds() { outcome } else { Err(unknown()) })
    }
}

#[cfg(test)]
mod tests;
