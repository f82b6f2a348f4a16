//! Reads assigned partitions, each from a position of its own.

mod config;
mod partitions;
mod range;
mod routing;
mod stream;

pub use config::{ConsumerConfig, OnOutOfRange, StartAt};
pub use range::RangeReader;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use record::{Batch, Batches, Record, RecordError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};
use types::{BrokerId, Coded, Offset, Reason, TopicName, TopicPartition};
use wire::convert::{error_to_remote, topic_partition};
use wire::v1::broker as v1;

use self::partitions::{Partitions, Patience, StreamId};
use self::stream::{Event, StreamHandle};
use crate::ClientError;
use crate::backoff::random;
use crate::metadata::{Metadata, Missing};

/// Events that wait for the reader; the bytes among them are bounded by the credit.
const MAX_EVENTS: usize = 64;
/// Most records for which there is room before one of them was read: what a batch says that it holds
/// is only believed so far.
const RESERVED_AT_ONCE: usize = 16 * 1024;

/// Records of one partition, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedBatch {
    /// Their partition.
    pub topic_partition: TopicPartition,
    /// At least one, the first not before the position asked for.
    pub records: Vec<Record>,
    /// The first offset that could not be read yet when these were sent.
    pub high_watermark: Offset,
}

/// What arrived and was not read yet.
#[derive(Debug)]
struct Ready {
    stream: StreamId,
    of: TopicPartition,
    batches: Batches,
    bytes: u64,
    high_watermark: Offset,
}

/// Reads partitions that the caller assigns, several brokers at once, ahead of the caller by a
/// bounded number of bytes.
///
/// Positions live here only: they start where the caller says and follow what
/// [`next_batch`](Consumer::next_batch) returned. Lost connections and moved leaders are gone
/// after by itself; reading resumes at the position, so that nothing is missed or seen twice.
#[derive(Debug)]
pub struct Consumer {
    metadata: Arc<Metadata>,
    config: ConsumerConfig,
    partitions: Partitions,
    streams: BTreeMap<BrokerId, StreamHandle>,
    tasks: JoinSet<()>,
    event_to: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    ready: VecDeque<Ready>,
    /// Topics whose leaders may have moved.
    stale: BTreeSet<TopicName>,
    next_stream: StreamId,
    /// Time zero of `partitions`.
    start: Instant,
}

impl Consumer {
    pub(crate) fn new(metadata: Arc<Metadata>, config: ConsumerConfig) -> Self {
        let (event_to, events) = mpsc::channel(MAX_EVENTS);
        Self {
            metadata,
            partitions: Partitions::new(config.retry_timeout),
            config,
            streams: BTreeMap::new(),
            tasks: JoinSet::new(),
            event_to,
            events,
            ready: VecDeque::new(),
            stale: BTreeSet::new(),
            next_stream: 0,
            start: Instant::now(),
        }
    }

    /// Reads these partitions too, from where it says; one that is read already is sought. Topics
    /// that do not exist are made, if the brokers allow that.
    ///
    /// # Errors
    ///
    /// [`ClientError::UnknownPartition`], or what the brokers say about a topic; then nothing was
    /// assigned.
    pub async fn assign(
        &mut self,
        partitions: &[(TopicPartition, StartAt)],
    ) -> Result<(), ClientError> {
        for (of, _) in partitions {
            let known = self.metadata.known_topic(&of.topic);
            if known.is_some_and(|topic| topic.partition(of.partition).is_some()) {
                continue;
            }
            // It may be new, or have been added since.
            let topic = self.metadata.await_topic(&of.topic, Missing::Create).await?;
            if topic.partition(of.partition).is_none() {
                return Err(ClientError::UnknownPartition {
                    topic_partition: of.clone(),
                    partitions: topic.partitions.len(),
                });
            }
        }
        for (of, start) in partitions {
            self.seek(of.clone(), *start);
        }
        Ok(())
    }

    /// Goes on elsewhere in a partition, which is assigned if it was not.
    pub fn seek(&mut self, of: TopicPartition, start: StartAt) {
        self.partitions.seek(of, start);
    }

    /// Reads a partition no more.
    pub fn unassign(&mut self, of: &TopicPartition) {
        self.partitions.unassign(of);
        self.stop_fetching(of);
    }

    /// The next offset to be returned of a partition; `None` if it is not assigned, or its start
    /// is not known yet.
    pub fn position(&self, of: &TopicPartition) -> Option<Offset> {
        self.partitions.position(of)
    }

    /// Waits for records of any partition. `None` if no partition is assigned, or all of them rest
    /// after an error.
    ///
    /// Dropping the future loses nothing: it may be used under a timeout.
    ///
    /// # Errors
    ///
    /// [`ClientError::OffsetOutOfRange`] and [`ClientError::Damaged`] (records that rotted): the
    /// partition then rests until it is sought or assigned again. Anything that may pass shows
    /// only after [`retry_timeout`](ConsumerConfig::retry_timeout), and the next call goes on
    /// trying.
    pub async fn next_batch(&mut self) -> Result<Option<FetchedBatch>, ClientError> {
        loop {
            if let Some(batch) = self.take_ready()? {
                return Ok(Some(batch));
            }
            if self.partitions.rest() {
                return Ok(None);
            }
            self.resolve().await?;
            self.route().await?;
            let wakeup = self.partitions.next_wakeup().map(|at| self.start + at);
            tokio::select! {
                Some(event) = self.events.recv() => self.take(event)?,
                () = sleep_until(wakeup.unwrap_or(self.start)), if wakeup.is_some() => {}
                // A stream that ended has said so by an event.
                Some(_ended) = self.tasks.join_next() => {}
            }
        }
    }

    /// All records one by one. Ends when [`next_batch`](Consumer::next_batch) returns `None`, and
    /// after an error.
    pub fn into_records(
        self,
    ) -> impl Stream<Item = Result<(TopicPartition, Record), ClientError>> + Send {
        let start = (self, VecDeque::new());
        futures::stream::try_unfold(start, |(mut consumer, mut waiting)| async move {
            if waiting.is_empty() {
                let Some(batch) = consumer.next_batch().await? else { return Ok(None) };
                let of = batch.topic_partition;
                waiting.extend(batch.records.into_iter().map(|record| (of.clone(), record)));
            }
            let next = waiting.pop_front();
            Ok(next.map(|next| (next, (consumer, waiting))))
        })
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Decodes the next batch that has arrived and is still wanted.
    fn take_ready(&mut self) -> Result<Option<FetchedBatch>, ClientError> {
        while let Some(ready) = self.ready.front_mut() {
            let wanted = self.partitions.wanted(&ready.of, ready.stream);
            let told_end = ready.batches.next_end();
            let batch = wanted.and_then(|from| Some((from, ready.batches.next()?)));
            let Some((from, batch)) = batch else {
                let (stream, bytes) = (ready.stream, ready.bytes);
                self.ready.pop_front();
                self.give_back(stream, bytes);
                continue;
            };
            let (of, high_watermark) = (ready.of.clone(), ready.high_watermark);
            let end = batch.as_ref().ok().map(|batch| batch.header().end_offset()).or(told_end);
            let read = batch.and_then(|batch| {
                Ok((records_from(&batch, from, self.config.max_payload_bytes)?, batch))
            });
            match read {
                Ok((records, batch)) => {
                    self.partitions.advance(&of, batch.header().end_offset());
                    if !records.is_empty() {
                        return Ok(Some(FetchedBatch {
                            topic_partition: of,
                            records,
                            high_watermark,
                        }));
                    }
                }
                Err(source) => {
                    self.halt(&of);
                    let cause = ClientError::Record { topic_partition: of.clone(), source };
                    // What a batch that is not whole says of its end may be what rotted: without a
                    // witness only the one record that is wanted counts as lost. Who reads on
                    // behind it hears of the rest from the broker.
                    let behind = from.checked_add(1).unwrap_or(Offset::MAX);
                    return Err(damaged(of, from..end.unwrap_or(behind).max(behind), cause));
                }
            }
        }
        Ok(None)
    }

    fn give_back(&mut self, stream: StreamId, bytes: u64) {
        let Some(handle) = self.streams.values_mut().find(|handle| handle.id == stream) else {
            return;
        };
        handle.credit.give_back(bytes);
        if let Some(credit_bytes) = handle.credit.grant() {
            let request = v1::FetchStreamRequest { credit_bytes, ..Default::default() };
            // A full queue is tried again with the next bytes; an ended stream needs none.
            if handle.requests.try_send(request).is_ok() {
                handle.credit.granted(credit_bytes);
            }
        }
    }

    fn halt(&mut self, of: &TopicPartition) {
        self.partitions.halt(of);
        self.stop_fetching(of);
    }

    /// What is under way still arrives and is dropped.
    fn stop_fetching(&self, of: &TopicPartition) {
        let unassign =
            v1::StreamedPartition { topic: of.topic.to_string(), partition: of.partition.get() };
        for handle in self.streams.values().filter(|handle| handle.carries.contains(of)) {
            let request =
                v1::FetchStreamRequest { unassign: vec![unassign.clone()], ..Default::default() };
            // If the queue is full, the broker sends on until its credit is used up.
            handle.requests.try_send(request).ok();
        }
    }

    fn take(&mut self, event: Event) -> Result<(), ClientError> {
        match event {
            Event::Ended { stream, error } => {
                self.streams.retain(|_, handle| handle.id != stream);
                // Each of them has to be asked for again, whatever is told of the others.
                let mut told = Ok(());
                for of in self.partitions.of_stream(stream) {
                    told = told.and(self.fail(&of, error.clone()));
                }
                told
            }
            Event::Fetched { stream, partition } => self.take_fetched(stream, partition),
        }
    }

    fn take_fetched(
        &mut self,
        stream: StreamId,
        fetched: v1::FetchedPartition,
    ) -> Result<(), ClientError> {
        let of = topic_partition(&fetched.topic, fetched.partition)?;
        let bytes = fetched.batches.len() as u64;
        let Some(error) = fetched.error else {
            let batches = Batches::new(fetched.batches);
            let high_watermark = Offset::new(fetched.high_watermark);
            self.ready.push_back(Ready { stream, of, batches, bytes, high_watermark });
            return Ok(());
        };
        // The broker stops reading a partition whose error it has told, so that asking for it
        // again on the same stream is safe.
        if let Some(handle) = self.streams.values_mut().find(|handle| handle.id == stream) {
            handle.carries.remove(&of);
        }
        let Some(asked) = self.partitions.wanted(&of, stream) else { return Ok(()) };
        let error = error_to_remote(error);
        if error.reason() != Reason::OffsetOutOfRange {
            let error = ClientError::Broker(error);
            let error = match fetched.resume_offset.map(Offset::new) {
                Some(end) => damaged(of.clone(), asked..end, error),
                None => error,
            };
            return self.fail(&of, error);
        }
        match self.config.on_out_of_range {
            OnOutOfRange::Error => {
                self.halt(&of);
                let start = Offset::new(fetched.log_start_offset);
                let end = Offset::new(fetched.high_watermark);
                Err(ClientError::OffsetOutOfRange { topic_partition: of, asked, start, end })
            }
            OnOutOfRange::Earliest => {
                warn!(partition = %of, offset = %asked, "an offset was gone, earliest taken");
                self.partitions.seek(of, StartAt::Earliest);
                Ok(())
            }
            OnOutOfRange::Latest => {
                warn!(partition = %of, offset = %asked, "an offset was gone, latest taken");
                self.partitions.seek(of, StartAt::Latest);
                Ok(())
            }
        }
    }

    /// Something about a partition failed: it is tried again, or its reader hears of it.
    fn fail(&mut self, of: &TopicPartition, error: ClientError) -> Result<(), ClientError> {
        if !error.is_transient() {
            self.halt(of);
            return Err(error);
        }
        debug!(partition = %of, %error, "a partition is to be asked for again");
        self.stale.insert(of.topic.clone());
        match self.partitions.failed(of, self.now(), random()) {
            Patience::Left => Ok(()),
            Patience::Exhausted => Err(error),
        }
    }
}

fn damaged(
    topic_partition: TopicPartition,
    offsets: Range<Offset>,
    cause: ClientError,
) -> ClientError {
    ClientError::Damaged { topic_partition, offsets, cause: Box::new(cause) }
}

/// The records of a batch that were asked for: batches are whole, and the first may begin before
/// the offset wanted. Control batches are the platform's own.
fn records_from(
    batch: &Batch,
    from: Offset,
    max_payload_bytes: usize,
) -> Result<Vec<Record>, RecordError> {
    if batch.header().is_control || batch.header().end_offset() <= from {
        return Ok(Vec::new());
    }
    let all = batch.records_within(max_payload_bytes)?;
    let wanted = batch.header().end_offset().distance_from(from.max(batch.header().base_offset));
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let most = all.size_hint().1.unwrap_or_default().min(wanted).min(RESERVED_AT_ONCE);
    let mut records = Vec::with_capacity(most);
    for record in all {
        let record = record?;
        if from <= record.offset {
            records.push(record);
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
