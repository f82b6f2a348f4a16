//! Records on their way into batches, and batches on their way out: which partition may send what,
//! and when. Pure: time is told, and sending is someone else's.
//!
//! Batches leave in the order they came, as many at a time as their partition has slots. While
//! some are under way the next one gathers: it leaves when it is full, when the last of them is
//! answered, or after [`COMPANY`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use record::{BatchBuilder, Compression, Header, RecordError, record_size_bound};
use types::{PartitionId, Timestamp, TopicName, TopicPartition};

use super::batch::Pending;

/// For how long a batch gathers at least while others of its partition are under way. Without it,
/// records that come one after the other would travel one by one in as many batches as may be
/// under way; for longer, they would wait for answers that syncs and networks delay.
pub(crate) const COMPANY: Duration = Duration::from_millis(1);

/// What the accumulator needs to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gathering {
    pub(crate) linger: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) compression: Compression,
    /// How many batches of one partition may leave before one of them has met its fate.
    pub(crate) slots: usize,
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

#[derive(Debug)]
struct Queue<T> {
    /// Oldest first; only the last may be open.
    waiting: VecDeque<Pending<T>>,
    /// Of batches that have left and have not met their fate.
    left: Vec<T>,
    /// How many more may leave.
    slots: usize,
    /// End of the pause after a failure.
    not_before: Duration,
}

impl<T> Queue<T> {
    const fn new(slots: usize) -> Self {
        Self { waiting: VecDeque::new(), left: Vec::new(), slots, not_before: Duration::ZERO }
    }

    /// When the first batch may leave; `None` while none can.
    fn due(&self, linger: Duration) -> Option<Duration> {
        if self.slots == 0 {
            return None;
        }
        let first = self.waiting.front()?;
        let linger = if self.left.is_empty() { linger } else { linger.max(COMPANY) };
        let ripe = if first.closed { first.opened } else { first.opened.saturating_add(linger) };
        Some(ripe.max(self.not_before))
    }
}

/// Whether any batch can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Shut,
}

/// All partitions with records that are not delivered yet.
#[derive(Debug)]
pub(crate) struct Accumulator<T> {
    gathering: Gathering,
    gate: Gate,
    queues: BTreeMap<TopicPartition, Queue<T>>,
}

impl<T: Clone + PartialEq> Accumulator<T> {
    pub(crate) const fn new(gathering: Gathering) -> Self {
        Self { gathering, gate: Gate::Open, queues: BTreeMap::new() }
    }

    /// Adds a record to its partition's last batch, or to a new one.
    pub(crate) fn append(
        &mut self,
        to: &TopicPartition,
        record: NewRecord<'_>,
        new_batch: impl FnOnce() -> NewBatch<T>,
    ) -> Result<Appended<T>, RecordError> {
        let size = record.size();
        let slots = self.gathering.slots;
        let queue = self.queues.entry(to.clone()).or_insert_with(|| Queue::new(slots));
        if let Some(last) = queue.waiting.back_mut()
            && !last.has_room_for(size)
        {
            last.closed = true;
        }
        if let Some(last) = queue.waiting.back_mut().filter(|last| !last.closed) {
            let index = last.push(record)?;
            return Ok(Appended { ticket: last.ticket.clone(), index, wake: Wake::Nobody });
        }
        // Where batches pile up, the next one becomes as large as the last.
        let bytes = queue.waiting.back().map_or(0, Pending::plain_size);
        let builder = BatchBuilder::with_capacity(self.gathering.compression, bytes);
        let mut batch = Pending::new(new_batch(), builder);
        let index = batch.push(record)?;
        let ticket = batch.ticket.clone();
        queue.waiting.push_back(batch);
        // Without a slot it is an answer that will wake the sender.
        let wake = if queue.slots == 0 { Wake::Nobody } else { Wake::Sender };
        Ok(Appended { ticket, index, wake })
    }

    /// Whether a partition has a batch that takes more records.
    pub(crate) fn is_open(&self, topic: &TopicName, partition: PartitionId) -> bool {
        let of = TopicPartition::new(topic.clone(), partition);
        let last = self.queues.get(&of).and_then(|queue| queue.waiting.back());
        last.is_some_and(|last| !last.closed)
    }

    /// Takes the first batch of every partition that may let one go now.
    pub(crate) fn take_due(&mut self, now: Duration) -> Vec<(TopicPartition, Pending<T>)> {
        let mut due = Vec::new();
        if self.gate == Gate::Shut {
            return due;
        }
        for (partition, queue) in &mut self.queues {
            if queue.due(self.gathering.linger).is_some_and(|due| due <= now)
                && let Some(mut first) = queue.waiting.pop_front()
            {
                first.closed = true;
                queue.left.push(first.ticket.clone());
                queue.slots -= 1;
                due.push((partition.clone(), first));
            }
        }
        due
    }

    /// Lets batches leave, or none.
    pub(crate) fn set_gate(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// How many more batches of a partition may leave.
    pub(crate) fn set_slots(&mut self, of: &TopicPartition, slots: usize) {
        if let Some(queue) = self.queues.get_mut(of) {
            queue.slots = slots;
        }
    }

    /// A batch that had left has met its fate.
    pub(crate) fn settled(&mut self, of: &TopicPartition, ticket: &T) {
        if let Some(queue) = self.queues.get_mut(of) {
            queue.left.retain(|left| left != ticket);
            if queue.waiting.is_empty() && queue.left.is_empty() {
                self.queues.remove(of);
            }
        }
    }

    /// A batch comes back that could not be sent. It leaves before all others, but not before
    /// `retry_at`.
    pub(crate) fn put_back(
        &mut self,
        of: &TopicPartition,
        pending: Pending<T>,
        retry_at: Duration,
    ) {
        // It was there when the batch left, and what has left keeps it there.
        let queue = self.queues.entry(of.clone()).or_insert_with(|| Queue::new(0));
        queue.left.retain(|left| *left != pending.ticket);
        queue.slots += 1;
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
        self.queues.retain(|_, queue| !queue.waiting.is_empty() || !queue.left.is_empty());
        expired
    }

    /// When there is something to do if nothing else happens.
    pub(crate) fn next_wakeup(&self) -> Option<Duration> {
        let timeout = self.gathering.delivery_timeout;
        let wakeup = |queue: &Queue<T>| {
            let expiry = queue.waiting.front().map(|first| first.opened.saturating_add(timeout));
            let due = queue.due(self.gathering.linger).filter(|_| self.gate == Gate::Open);
            due.into_iter().chain(expiry).min()
        };
        self.queues.values().filter_map(wakeup).min()
    }

    /// Closes every batch, so that nothing lingers. Returns the tickets of all that is not settled.
    pub(crate) fn close_batches(&mut self) -> Vec<T> {
        let mut unsettled = Vec::new();
        for queue in self.queues.values_mut() {
            unsettled.extend(queue.left.iter().cloned());
            for pending in &mut queue.waiting {
                pending.closed = true;
                unsettled.push(pending.ticket.clone());
            }
        }
        unsettled
    }

    /// Whether records wait that have not left.
    pub(crate) fn has_waiting(&self) -> bool {
        self.queues.values().any(|queue| !queue.waiting.is_empty())
    }

    /// Takes everything that has not left.
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
