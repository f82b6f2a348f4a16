//! Appending: from a request for a topic to verified batches in the queue of a log.

use std::num::TryFromIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cluster::Topic;
use daemon::clock::Clock;
use futures::FutureExt;
use record::{Batch, BatchBuilder, Compression, Header, RecordError, partition_for_key};
use replication::{Acknowledged, Acks};
use thiserror::Error;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio_util::task::AbortOnDropHandle;
use types::{Coded, Offset, PartitionId, Reason, Timestamp, TopicPartition};

use self::checking::{Checking, Interrupted};
use crate::partition::{Answer, Partition, PartitionError, Produce};
use crate::partitions::{Partitions, RoutingError, choices};

mod checking;

/// What is to be appended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Payload {
    /// Record batches one behind the other, as a client library built them.
    Batches(Bytes),
    /// Records that the broker makes a batch of.
    Records(Vec<NewRecord>),
}

/// A record as a script sends it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewRecord {
    /// Absent is not the same as empty.
    pub(crate) key: Option<Bytes>,
    /// Absent is a tombstone.
    pub(crate) value: Option<Bytes>,
    /// Names may repeat.
    pub(crate) headers: Vec<Header>,
    /// Absent: the time of arrival.
    pub(crate) timestamp: Option<Timestamp>,
}

/// An append to one partition.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    /// Where to.
    pub(crate) partition: TopicPartition,
    /// When to answer.
    pub(crate) acks: Acks,
    /// How long the acks may take.
    pub(crate) timeout: Duration,
    /// What.
    pub(crate) payload: Payload,
}

/// Why nothing was appended, or why it is not known whether it was.
#[derive(Debug, Error)]
pub(crate) enum AppendFailure {
    /// It belongs elsewhere, or nowhere.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// No record at all.
    #[error("a produce needs at least one record")]
    Empty,
    /// The batches, or the records for one, break a rule.
    #[error("{partition} takes no such batch: {source}")]
    Record {
        /// Which partition refuses it.
        partition: TopicPartition,
        /// The rule.
        source: RecordError,
    },
    /// A batch larger than the topic allows.
    #[error(
        "a batch of {size} bytes or more is too large for {partition}, whose topic allows \
         max.message.bytes={limit}; send smaller batches, or raise the topic's limit"
    )]
    TooLarge {
        /// Which partition refuses it.
        partition: TopicPartition,
        /// Its size, a lower bound.
        size: u64,
        /// The topic's limit.
        limit: u64,
    },
    /// Markers of transactions come from brokers only.
    #[error("{partition} takes no {kind} batches from clients; send plain ones")]
    Reserved {
        /// Which partition refuses it.
        partition: TopicPartition,
        /// What is reserved.
        kind: &'static str,
    },
    /// The broker's memory for produces is used up.
    #[error("produces that wait hold all of the broker's limits.produce_bytes; back off and retry")]
    Busy,
    /// The partition refused it, or its outcome is not known.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The process is going away.
    #[error("the broker is shutting down; retry at another one, or when it is back")]
    ShuttingDown,
}

impl Coded for AppendFailure {
    fn reason(&self) -> Reason {
        match self {
            Self::Routing(error) => error.reason(),
            Self::Empty | Self::Reserved { .. } => Reason::InvalidRecord,
            Self::Record { source, .. } => source.reason(),
            Self::TooLarge { .. } => Reason::MessageTooLarge,
            Self::Busy => Reason::Busy,
            Self::Partition(error) => error.reason(),
            Self::ShuttingDown => Reason::ShuttingDown,
        }
    }
}

/// How long a produce that is not to wait stands in the queue to a log all the same: usually many
/// times what it takes to write all that is in it.
const QUEUE_PATIENCE: Duration = Duration::from_secs(1);

/// What to do with a produce for which there is no room at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Answer `BUSY`.
    Refuse,
    /// Wait; the sender is held up by the network.
    Wait,
}

/// An append that is in the queue of its log.
#[derive(Debug)]
pub(crate) struct Queued {
    /// First offset that the log held then.
    pub(crate) log_start: Offset,
    /// Resolves once its acks are there, or cannot be.
    pub(crate) answer: Answer,
}

/// Serves produces.
#[derive(Clone, Debug)]
pub(crate) struct Producing {
    partitions: Partitions,
    /// One permit for each byte that may wait.
    memory: Arc<Semaphore>,
    /// Whose turn it is among the partitions, for records without a key.
    turn: Arc<AtomicUsize>,
    checking: Checking,
    clock: Clock,
}

impl Producing {
    /// At most `memory` bytes of produces wait at any time.
    pub(crate) fn new(partitions: Partitions, memory: u32, clock: Clock) -> Self {
        let memory = Arc::new(Semaphore::new(memory as usize));
        let (turn, checking) = (Arc::new(AtomicUsize::new(0)), Checking::new());
        Self { partitions, memory, turn, checking, clock }
    }

    /// The partition for records that name none: by the first one's key, or in turn.
    pub(crate) fn choose(&self, topic: &Topic, payload: &Payload) -> PartitionId {
        let key = match payload {
            Payload::Batches(_) => None,
            Payload::Records(records) => records.first().and_then(|first| first.key.as_deref()),
        };
        choose(topic, key, || self.turn.fetch_add(1, Ordering::Relaxed))
    }

    /// Queues an append, waiting while there is no room for it. Calls that one caller makes one
    /// after the other are appended in that order.
    ///
    /// Goes on whether it is polled or not: a stream whose client takes no answers is not. Were it
    /// to wait by itself, its turn would come, and keep what it waited for from all others. A call
    /// that is given up may queue all the same, before or behind the next.
    ///
    /// # Errors
    ///
    /// [`AppendFailure`] says whether something may have been appended.
    pub(crate) async fn submit(&self, append: Append) -> Result<Queued, AppendFailure> {
        let producing = self.clone();
        let mut queueing = Box::pin(async move { producing.queue(append, WhenFull::Wait).await });
        if let Some(queued) = queueing.as_mut().now_or_never() {
            return queued;
        }
        let queued = AbortOnDropHandle::new(tokio::spawn(queueing)).await;
        queued.unwrap_or_else(|_died| Err(PartitionError::outcome_unknown().into()))
    }

    /// Queues an append and waits for its acks; refuses it if there is no room. The caller must go
    /// on being polled.
    ///
    /// # Errors
    ///
    /// [`AppendFailure`] says whether something may have been appended.
    pub(crate) async fn append(&self, append: Append) -> Result<Acknowledged, AppendFailure> {
        Ok(self.queue(append, WhenFull::Refuse).await?.answer.await?)
    }

    async fn queue(&self, append: Append, when_full: WhenFull) -> Result<Queued, AppendFailure> {
        let Append { partition, acks, timeout, payload } = append;
        let partition = self.partitions.led(&partition)?;
        let batches = self.verify(&partition, payload).await?;
        let size = batches.iter().map(|batch| batch.bytes().len()).sum();
        let memory = self.reserve(size, when_full).await?;
        let timestamp_type = partition.limits().timestamp_type;
        // What its acks may take is counted once there is memory for it.
        let deadline = self.clock.monotonic().saturating_add(timeout);
        let produce = Produce { batches, timestamp_type, acks, deadline, memory };
        let answer = match when_full {
            WhenFull::Refuse => partition.offer(produce, QUEUE_PATIENCE.min(timeout)).await?,
            WhenFull::Wait => partition.submit(produce).await?,
        };
        Ok(Queued { log_start: partition.log().log_start(), answer })
    }

    /// Memory for so many bytes that wait.
    async fn reserve(
        &self,
        bytes: usize,
        when_full: WhenFull,
    ) -> Result<OwnedSemaphorePermit, AppendFailure> {
        let permits = u32::try_from(bytes).map_err(|_huge: TryFromIntError| AppendFailure::Busy)?;
        let memory = Arc::clone(&self.memory);
        match when_full {
            WhenFull::Refuse => memory.try_acquire_many_owned(permits),
            WhenFull::Wait => {
                let reserved = memory.acquire_many_owned(permits).await;
                reserved.map_err(|_closed: AcquireError| TryAcquireError::Closed)
            }
        }
        .map_err(|refused| match refused {
            TryAcquireError::NoPermits => AppendFailure::Busy,
            TryAcquireError::Closed => AppendFailure::ShuttingDown,
        })
    }

    async fn verify(
        &self,
        partition: &Partition,
        payload: Payload,
    ) -> Result<Vec<Batch>, AppendFailure> {
        let limit = partition.limits().max_message_bytes;
        let batches = match payload {
            Payload::Batches(bytes) => {
                let split = self.checking.split(bytes, limit).await;
                split.map_err(|Interrupted| AppendFailure::ShuttingDown)?
            }
            Payload::Records(records) => {
                build(&records, self.clock.now(), limit).map(|batch| batch.into_iter().collect())
            }
        };
        let name = partition.name();
        let batches = batches.map_err(|error| refused(name.clone(), error))?;
        if batches.is_empty() {
            return Err(AppendFailure::Empty);
        }
        match batches.iter().find_map(|batch| reserved(batch)) {
            Some(kind) => Err(AppendFailure::Reserved { partition: name.clone(), kind }),
            None => Ok(batches),
        }
    }
}

/// By murmur2 of the key, as Kafka's Java client does; without one, whoever's turn it is among
/// the partitions that have a leader.
fn choose(topic: &Topic, key: Option<&[u8]>, turn: impl FnOnce() -> usize) -> PartitionId {
    let count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
    if let Some(partition) = key.and_then(|key| partition_for_key(key, count)) {
        return PartitionId::new(partition);
    }
    let choices = choices(topic);
    let chosen = turn().checked_rem(choices.len()).and_then(|place| choices.get(place));
    chosen.copied().unwrap_or(PartitionId::new(0))
}

/// One batch of these records; `None` if there are none.
fn build(
    records: &[NewRecord],
    now: Timestamp,
    limit: usize,
) -> Result<Option<Batch>, RecordError> {
    if records.is_empty() {
        return Ok(None);
    }
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        let NewRecord { key, value, headers, timestamp } = record;
        builder.push(timestamp.unwrap_or(now), key.as_deref(), value.as_deref(), headers)?;
        if limit < builder.plain_size() {
            let size = builder.plain_size() as u64;
            return Err(RecordError::TooLarge { size, limit: limit as u64 });
        }
    }
    builder.build().map(Some)
}

/// What a client may not send yet, if this batch is of that kind.
const fn reserved(batch: &Batch) -> Option<&'static str> {
    if batch.header().is_control {
        Some("control")
    } else if batch.header().is_transactional {
        Some("transactional")
    } else {
        None
    }
}

fn refused(partition: TopicPartition, source: RecordError) -> AppendFailure {
    if let RecordError::TooLarge { size, limit } = source {
        return AppendFailure::TooLarge { partition, size, limit };
    }
    AppendFailure::Record { partition, source }
}

#[cfg(test)]
mod tests;
