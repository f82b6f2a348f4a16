//! Gathers records into batches and delivers them to the leaders of their partitions.

mod accumulator;
mod batch;
mod config;
mod delivery;
mod identity;
mod lane;
mod numbering;
mod partitioner;
mod sender;
mod stream;
mod verdict;

pub use config::{Acks, Idempotence, ProducerConfig, RetryUnknownOutcome};
pub use delivery::{Delivery, RecordMetadata};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cluster::Topic;
use daemon::clock::Clock;
use record::{Compression, Header, partition_for_key};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use types::{Coded, PartitionId, Reason, Timestamp, TopicName, TopicPartition};

use self::accumulator::{Accumulator, Gathering, NewBatch, NewRecord, Wake};
use self::config::MAX_RECORD_BYTES;
use self::delivery::{Ticket, Untold};
use self::lane::{MAX_SENT, Tracking};
use self::partitioner::StickyPartitioner;
use self::sender::Sender;
use crate::ClientError;
use crate::backoff::{random, wait};
use crate::metadata::{Metadata, Missing};

/// How often a topic is asked for that does not exist: one made a moment ago is known to every
/// broker within moments.
const MISSING_TRIES: u32 = 5;

/// One record to be produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// Where it goes. A topic that does not exist is made, if the brokers allow that.
    pub topic: TopicName,
    /// Its partition; `None`: by its key as Kafka's Java client has it, or without a key all of
    /// them in turn, batch by batch.
    pub partition: Option<PartitionId>,
    /// The key; records of one key keep their order.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone. One of 8 KiB or more is not copied into its batch, unless
    /// that is packed: the memory that it is a part of is held, and must stay as it is, until it is
    /// delivered.
    pub value: Option<Bytes>,
    /// Headers, in order; names may repeat.
    pub headers: Vec<Header>,
    /// When it happened; `None`: now.
    pub timestamp: Option<Timestamp>,
}

impl ProducerRecord {
    /// A record with a value and nothing else.
    pub fn new(topic: TopicName, value: impl Into<Bytes>) -> Self {
        Self {
            topic,
            partition: None,
            key: None,
            value: Some(value.into()),
            headers: Vec::new(),
            timestamp: None,
        }
    }

    /// The same record with a key.
    #[must_use]
    pub fn with_key(self, key: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), ..self }
    }
}

/// What gathers, under one lock that is never held for long.
struct Gathered {
    accumulator: Accumulator<Ticket>,
    sticky: StickyPartitioner,
    untold: Untold,
    closed: bool,
}

/// What the producer and its sender share.
struct Inner {
    config: ProducerConfig,
    metadata: Arc<Metadata>,
    clock: Clock,
    /// The accumulator's time zero.
    start: Instant,
    gathered: Mutex<Gathered>,
    /// One permit for each byte that is free.
    memory: Semaphore,
    wake: Notify,
}

impl Inner {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        // Nothing panics under this lock; and what it guards is whole at any time.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends records, batched and pipelined over partitions, in order within each.
///
/// A producer is idempotent unless its configuration says otherwise: the brokers gave it an id, its
/// batches carry numbers, and a log takes each number once and in its turn. So a batch whose answer
/// was lost is sent again, until `delivery_timeout`, and up to five requests of a partition are
/// under way at a time, each of as many batches as have come meanwhile. Only if no answer is to be
/// had by then do deliveries fail with [`ClientError::OutcomeUnknown`]; what comes behind them is
/// then written in a new epoch, so that they can no longer arrive out of order.
///
/// Without [`Idempotence`], one batch of a partition is under way at a time: a retry can then
/// neither overtake nor be overtaken. A batch whose connection breaks after it was sent may or may
/// not be in the log; its deliveries then fail with [`ClientError::OutcomeUnknown`] rather than be
/// sent twice, unless [`RetryUnknownOutcome::MayDouble`] says otherwise.
///
/// Dropping a producer abandons what is not delivered; [`close`](Producer::close) waits for it.
pub struct Producer {
    inner: Arc<Inner>,
    sender: Mutex<Option<JoinHandle<()>>>,
    stop: DropGuard,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Producer {
    pub(crate) fn start(
        metadata: Arc<Metadata>,
        config: ProducerConfig,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        config.validate()?;
        let gathering = Gathering {
            linger: config.linger,
            delivery_timeout: config.delivery_timeout,
            compression: config.compression,
            slots: match config.tracking() {
                Tracking::Idempotent => MAX_SENT,
                Tracking::Untracked(_) => 1,
            },
        };
        let gathered = Gathered {
            accumulator: Accumulator::new(gathering),
            sticky: StickyPartitioner::default(),
            untold: Untold::default(),
            closed: false,
        };
        let inner = Arc::new(Inner {
            memory: Semaphore::new(config.buffer_bytes),
            config,
            metadata,
            clock,
            start: Instant::now(),
            gathered: Mutex::new(gathered),
            wake: Notify::new(),
        });
        let stop = CancellationToken::new();
        let sender = tokio::spawn(Sender::new(Arc::clone(&inner)).run(stop.clone()));
        Ok(Self { inner, sender: Mutex::new(Some(sender)), stop: stop.drop_guard() })
    }

    /// Hands over a record. Waits for the topic's metadata the first time, and for memory while
    /// the buffer is full; the [`Delivery`] then waits for the broker. Records handed over one
    /// after the other stay in order within their partition.
    ///
    /// # Errors
    ///
    /// [`ClientError::BufferFull`] and [`ClientError::Timeout`] after `max_block`,
    /// [`ClientError::UnknownPartition`], [`ClientError::RecordTooLarge`],
    /// [`ClientError::Closed`], or what the brokers say about the topic; that it does not exist, at
    /// once. Then the record was not handed over.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, ClientError> {
        // The usual case does without a deadline, for which it would have to look at the clock.
        let topic = match self.known_topic(&record) {
            Some(topic) => topic,
            None => self.topic(&record).await?,
        };
        let new = NewRecord {
            timestamp: record.timestamp.unwrap_or_else(|| self.inner.clock.now()),
            key: record.key.as_deref(),
            value: record.value.as_ref(),
            headers: &record.headers,
        };
        let memory = self.room_for(&record.topic, new.size()).await?;
        let (delivery, wake) = self.append(&topic, record.partition, new)?;
        // The sender gives the memory back when the batch is settled.
        memory.forget();
        if wake == Wake::Sender {
            self.inner.wake.notify_one();
        }
        Ok(delivery)
    }

    fn append(
        &self,
        topic: &Topic,
        partition: Option<PartitionId>,
        record: NewRecord<'_>,
    ) -> Result<(Delivery, Wake), ClientError> {
        let mut gathered = self.inner.gathered();
        let Gathered { accumulator, sticky, closed, .. } = &mut *gathered;
        if *closed {
            return Err(ClientError::Closed);
        }
        let by_key = || partition_for_key(record.key?, count(topic)).map(PartitionId::new);
        let in_turn = || {
            let is_led = |of| topic.partition(of).is_some_and(|it| it.leader.is_some());
            let is_open = |of| is_led(of) && accumulator.is_open(&topic.name, of);
            sticky.choose(&topic.name, record.size(), is_open, || led(topic), random())
        };
        let partition = partition
            .or_else(by_key)
            .or_else(in_turn)
            .ok_or_else(|| ClientError::NoPartitions { topic: topic.name.clone() })?;
        let to = TopicPartition::new(topic.name.clone(), partition);
        let new_batch = || NewBatch {
            ticket: Ticket::new(),
            limit: self.batch_limit(topic),
            opened: self.inner.start.elapsed(),
        };
        match accumulator.append(&to, record, new_batch) {
            Ok(appended) => {
                let delivery = Delivery::new(to, appended.ticket, appended.index);
                Ok((delivery, appended.wake))
            }
            Err(source) => Err(ClientError::Record { topic_partition: to, source }),
        }
    }

    /// Largest batch for a topic, before it is packed.
    fn batch_limit(&self, topic: &Topic) -> usize {
        let allowed = topic.configs.max_message_bytes();
        // Packing adds a little to records that cannot be made smaller.
        let margin = match self.inner.config.compression {
            Compression::None => 0,
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                allowed / 1024 + 64
            }
        };
        self.inner.config.batch_bytes.min(allowed.saturating_sub(margin))
    }

    /// The topic of a record, if it was seen and has its partition.
    fn known_topic(&self, record: &ProducerRecord) -> Option<Arc<Topic>> {
        let topic = self.inner.metadata.known_topic(&record.topic)?;
        check_partition(topic, record.partition).ok()
    }

    /// The topic of a record, made if it is missing. What may pass is waited for.
    async fn topic(&self, record: &ProducerRecord) -> Result<Arc<Topic>, ClientError> {
        let deadline = Instant::now() + self.inner.config.max_block;
        let metadata = &self.inner.metadata;
        let mut failures = 0;
        loop {
            let found = match metadata.topic(&record.topic, Missing::Create).await {
                Ok(topic) => check_partition(topic, record.partition),
                Err(error) => Err(error),
            };
            let error = match found {
                Ok(topic) => return Ok(topic),
                Err(error) => error,
            };
            failures += 1;
            let pause = wait(failures, random());
            let asked_again = matches!(error, ClientError::UnknownPartition { .. }) && 1 < failures;
            // One that the brokers neither find nor make will not come by itself.
            let is_missing = error.reason() == Reason::UnknownTopicOrPartition;
            let asked_enough = asked_again || (is_missing && MISSING_TRIES <= failures);
            if asked_enough || !error.is_transient() || deadline < Instant::now() + pause {
                return Err(error);
            }
            if matches!(error, ClientError::UnknownPartition { .. }) {
                // It may have been added since.
                metadata.refresh(&record.topic, Missing::Refuse).await?;
            } else {
                sleep(pause).await;
            }
        }
    }

    async fn room_for(
        &self,
        topic: &TopicName,
        size: usize,
    ) -> Result<SemaphorePermit<'_>, ClientError> {
        let ProducerConfig { buffer_bytes, max_block, .. } = self.inner.config;
        let limit = buffer_bytes.min(MAX_RECORD_BYTES);
        let permits = u32::try_from(size)
            .ok()
            .filter(|_| size <= limit)
            .ok_or_else(|| ClientError::RecordTooLarge { topic: topic.clone(), size, limit })?;
        if let Ok(permit) = self.inner.memory.try_acquire_many(permits) {
            return Ok(permit);
        }
        match timeout(max_block, self.inner.memory.acquire_many(permits)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(ClientError::Closed),
            Err(_elapsed) => {
                Err(ClientError::BufferFull { limit: buffer_bytes, waited: max_block })
            }
        }
    }

    /// Sends everything handed over so far without lingering, and waits until it is settled.
    ///
    /// # Errors
    ///
    /// The first failure since the last flush that no [`Delivery`] has told: those who await every
    /// delivery need not look at this, those who await none lose nothing unseen.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let unsettled = self.inner.gathered().accumulator.close_batches();
        self.inner.wake.notify_one();
        for ticket in unsettled {
            // A failure that no delivery tells is remembered.
            ticket.settled().await.ok();
        }
        let untold = self.inner.gathered().untold.take_first();
        untold.map_or(Ok(()), Err)
    }

    /// Takes no more records, delivers what was handed over, and ends.
    ///
    /// # Errors
    ///
    /// As [`flush`](Producer::flush).
    pub async fn close(self) -> Result<(), ClientError> {
        self.inner.gathered().closed = true;
        let flushed = self.flush().await;
        self.stop.disarm().cancel();
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // One that panicked has settled its batches all the same, as `flush` has told.
            sender.await.ok();
        }
        flushed
    }
}

fn count(topic: &Topic) -> u32 {
    u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX)
}

/// Partitions that can take records now; all of them if none can.
fn led(topic: &Topic) -> Vec<PartitionId> {
    let led = topic.numbered_partitions().filter(|(_, partition)| partition.leader.is_some());
    let led: Vec<_> = led.map(|(number, _)| number).collect();
    if led.is_empty() {
        topic.numbered_partitions().map(|(number, _)| number).collect()
    } else {
        led
    }
}

fn check_partition(
    topic: Arc<Topic>,
    partition: Option<PartitionId>,
) -> Result<Arc<Topic>, ClientError> {
    match partition {
        Some(partition) if topic.partition(partition).is_none() => {
            Err(ClientError::UnknownPartition {
                topic_partition: TopicPartition::new(topic.name.clone(), partition),
                partitions: topic.partitions.len(),
            })
        }
        Some(_) | None => Ok(topic),
    }
}
