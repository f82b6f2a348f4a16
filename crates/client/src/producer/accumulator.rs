//! Records on their way into batches, and batches on their way out: which partition may send what,
//! and when. Pure: time is told, and sending is someone else's.
//!
//! The law of order: of each partition one batch is under way at a time, and a batch that comes
//! back is in front again. So a retry never overtakes nor is overtaken, and batches grow by
//! themselves while their predecessor is under way.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::Duration;

use record::{Batch, BatchBuilder, Compression, Header, RecordError, record_size_bound};
use types::{PartitionId, Timestamp, TopicName, TopicPartition};

use crate::ClientError;

/// What the accumulator needs to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gathering {
    pub(crate) linger: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) compression: Compression,
}

/// One record, as it is appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRecord<'a> {
    pub(crate) timestamp: Timestamp,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header],
}

impl NewRecord<'_> {
    /// Most bytes it takes in a batch.
    pub(crate) fn size(&self) -> usize {
        record_size_bound(self.key, self.value, self.headers)
    }
}

/// Where a record went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Appended<T> {
    /// Of the batch it joined.
    pub(crate) ticket: T,
    /// Its place in the batch.
    pub(crate) index: u32,
    /// Whether the sender has something new to look at.
    pub(crate) wake: Wake,
}

/// What a batch begins with.
#[derive(Debug)]
pub(crate) struct NewBatch<T> {
    /// How its records hear of its fate.
    pub(crate) ticket: T,
    /// Its size before it is packed, in bytes; one record may exceed it, alone.
    pub(crate) limit: usize,
    /// When that is.
    pub(crate) opened: Duration,
}

/// Whether whoever sends must be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Sender,
    Nobody,
}

/// A batch that gathers or waits. `T` is how its records hear of its fate.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    pub(crate) ticket: T,
    /// Bytes of the producer's memory that its records hold.
    pub(crate) memory: usize,
    /// How often it was tried, and what went wrong last.
    pub(crate) failures: u32,
    pub(crate) last_failure: Option<ClientError>,
    builder: BatchBuilder,
    limit: usize,
    /// The batch as it is sent, once it was.
    sealed: Option<Batch>,
    opened: Duration,
    /// Takes no more records.
    closed: bool,
}

impl<T> Pending<T> {
    fn new(batch: NewBatch<T>, builder: BatchBuilder, memory: usize) -> Self {
        Self {
            ticket: batch.ticket,
            limit: batch.limit,
            memory,
            failures: 0,
            last_failure: None,
            builder,
            sealed: None,
            opened: batch.opened,
            closed: false,
        }
    }

    pub(crate) fn record_count(&self) -> u32 {
        self.sealed.as_ref().map_or(self.builder.record_count(), |b| b.header().record_count)
    }

    /// The batch as it is sent; packed the first time only.
    pub(crate) fn seal(&mut self) -> Result<Batch, RecordError> {
        if let Some(batch) = &self.sealed {
            return Ok(batch.clone());
        }
        let empty = BatchBuilder::new(Compression::None);
        let batch = mem::replace(&mut self.builder, empty).build()?;
        self.sealed = Some(batch.clone());
        Ok(batch)
    }
}

#[derive(Debug)]
struct Queue<T> {
    /// Oldest first; only the last may be open.
    waiting: VecDeque<Pending<T>>,
    under_way: Option<T>,
    /// End of the pause after a failure.
    not_before: Duration,
}

impl<T> Queue<T> {
    const fn new() -> Self {
        Self { waiting: VecDeque::new(), under_way: None, not_before: Duration::ZERO }
    }

    /// When the first batch may be sent; `None` while nothing can be.
    fn due(&self, linger: Duration) -> Option<Duration> {
        if self.under_way.is_some() {
            return None;
        }
        let first = self.waiting.front()?;
        let ripe = if first.closed { first.opened } else { first.opened.saturating_add(linger) };
        Some(ripe.max(self.not_before))
    }
}

/// All partitions with records that are not delivered yet.
#[derive(Debug)]
pub(crate) struct Accumulator<T> {
    gathering: Gathering,
    queues: BTreeMap<TopicPartition, Queue<T>>,
}

impl<T: Clone> Accumulator<T> {
    pub(crate) const fn new(gathering: Gathering) -> Self {
        Self { gathering, queues: BTreeMap::new() }
    }

    /// Adds a record to its partition's last batch, or to a new one.
    pub(crate) fn append(
        &mut self,
        to: &TopicPartition,
        record: NewRecord<'_>,
        new_batch: impl FnOnce() -> NewBatch<T>,
    ) -> Result<Appended<T>, RecordError> {
        let size = record.size();
        let NewRecord { timestamp, key, value, headers } = record;
        let queue = self.queues.entry(to.clone()).or_insert_with(Queue::new);
        let mut wake = Wake::Nobody;
        if let Some(last) = queue.waiting.back_mut()
            && last.limit < last.builder.plain_size() + size
        {
            last.closed = true;
        }
        let open = queue.waiting.back_mut().filter(|last| !last.closed);
        let (ticket, index) = if let Some(last) = open {
            last.builder.push(timestamp, key, value, headers)?;
            last.memory += size;
            (last.ticket.clone(), last.builder.record_count() - 1)
        } else {
            // Where batches pile up, the next one becomes as large as the last.
            let bytes = queue.waiting.back().map_or(0, |last| last.builder.plain_size());
            let mut builder = BatchBuilder::with_capacity(self.gathering.compression, bytes);
            builder.push(timestamp, key, value, headers)?;
            let batch = new_batch();
            let ticket = batch.ticket.clone();
            queue.waiting.push_back(Pending::new(batch, builder, size));
            wake = Wake::Sender;
            (ticket, 0)
        };
        if queue.under_way.is_some() {
            // Its answer will wake the sender.
            wake = Wake::Nobody;
        }
        Ok(Appended { ticket, index, wake })
    }

    /// Whether a partition has a batch that takes more records.
    pub(crate) fn is_open(&self, topic: &TopicName, partition: PartitionId) -> bool {
        let of = TopicPartition::new(topic.clone(), partition);
        let last = self.queues.get(&of).and_then(|queue| queue.waiting.back());
        last.is_some_and(|last| !last.closed)
    }

    /// Takes the first batch of every partition that may send one; from now on it is under way.
    pub(crate) fn take_due(&mut self, now: Duration) -> Vec<(TopicPartition, Pending<T>)> {
        let mut due = Vec::new();
        for (partition, queue) in &mut self.queues {
            if queue.due(self.gathering.linger).is_some_and(|due| due <= now)
                && let Some(mut first) = queue.waiting.pop_front()
            {
                first.closed = true;
                queue.under_way = Some(first.ticket.clone());
                due.push((partition.clone(), first));
            }
        }
        due
    }

    /// The batch of a partition that was under way has met its fate.
    pub(crate) fn settled(&mut self, of: &TopicPartition) {
        if let Some(queue) = self.queues.get_mut(of) {
            queue.under_way = None;
            if queue.waiting.is_empty() {
                self.queues.remove(of);
            }
        }
    }

    /// The batch of a partition that was under way comes back, to be sent before all others but
    /// not before `retry_at`.
    pub(crate) fn put_back(
        &mut self,
        of: &TopicPartition,
        pending: Pending<T>,
        retry_at: Duration,
    ) {
        let queue = self.queues.entry(of.clone()).or_insert_with(Queue::new);
        queue.under_way = None;
        queue.not_before = retry_at;
        queue.waiting.push_front(pending);
    }

    /// Takes every batch that has waited for too long.
    pub(crate) fn take_expired(&mut self, now: Duration) -> Vec<(TopicPartition, Pending<T>)> {
        let timeout = self.gathering.delivery_timeout;
        let mut expired = Vec::new();
        for (partition, queue) in &mut self.queues {
            while let Some(first) =
                queue.waiting.pop_front_if(|first| first.opened.saturating_add(timeout) <= now)
            {
                expired.push((partition.clone(), first));
            }
        }
        self.queues.retain(|_, queue| !queue.waiting.is_empty() || queue.under_way.is_some());
        expired
    }

    /// When there is something to do if nothing else happens.
    pub(crate) fn next_wakeup(&self) -> Option<Duration> {
        let timeout = self.gathering.delivery_timeout;
        let wakeup = |queue: &Queue<T>| {
            let expiry = queue.waiting.front().map(|first| first.opened.saturating_add(timeout));
            let due = queue.due(self.gathering.linger);
            due.into_iter().chain(expiry).min()
        };
        self.queues.values().filter_map(wakeup).min()
    }

    /// Closes every batch, so that nothing lingers. Returns the tickets of all that is not settled.
    pub(crate) fn close_batches(&mut self) -> Vec<T> {
        let mut unsettled = Vec::new();
        for queue in self.queues.values_mut() {
            unsettled.extend(queue.under_way.clone());
            for pending in &mut queue.waiting {
                pending.closed = true;
                unsettled.push(pending.ticket.clone());
            }
        }
        unsettled
    }

    /// Takes everything that is not under way.
    pub(crate) fn take_all(&mut self) -> Vec<(TopicPartition, Pending<T>)> {
        let mut all = Vec::new();
        for (partition, queue) in &mut self.queues {
            all.extend(queue.waiting.drain(..).map(|pending| (partition.clone(), pending)));
        }
        all
    }
}

#[cfg(test)]
mod tests;
