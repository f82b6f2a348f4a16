//! Records on their way into batches, and batches on their way out: which partition may send what,
//! and when. Pure: time is told, and sending is someone else's.
//!
//! Batches leave in the order they came, as many at a time as their partition has slots. While
//! some are under way the next one gathers: it leaves when it is full, when the last of them is
//! answered, or after [`COMPANY`].

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use record::{BatchBuilder, Compression, HEADER_LEN, Header, RecordError, record_size_bound};
use types::{PartitionId, Timestamp, TopicName, TopicPartition};

use super::batch::Pending;
use super::numbering::{Numbering, PartitionIndex};

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
    pub(crate) value: Option<&'a Bytes>,
    pub(crate) headers: &'a [Header],
}

impl NewRecord<'_> {
    /// Most bytes it takes in a batch.
    pub(crate) fn size(&self) -> usize {
        record_size_bound(self.key, self.value.map(Bytes::as_ref), self.headers)
    }

    /// Most bytes of it that are copied into a batch.
    fn copied_size(&self, compression: Compression) -> usize {
        let value = self.value.map_or(0, Bytes::len);
        let kept = if BatchBuilder::shares(compression, value) { value } else { 0 };
        self.size() - kept
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

/// Whether a partition is among those from which batches may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Yes,
    No,
}

#[derive(Debug)]
struct Queue<T> {
    partition: TopicPartition,
    /// Oldest first; only the last may be open.
    waiting: VecDeque<Pending<T>>,
    /// Of batches that have left and have not met their fate.
    left: Vec<T>,
    /// How many more may leave.
    slots: usize,
    /// End of the pause after a failure.
    not_before: Duration,
    listed: Listed,
}

impl<T> Queue<T> {
    const fn new(partition: TopicPartition, slots: usize) -> Self {
        Self {
            partition,
            waiting: VecDeque::new(),
            left: Vec::new(),
            slots,
            not_before: Duration::ZERO,
            listed: Listed::No,
        }
    }

    /// Whether its first batch may leave, now or after a while.
    fn can_leave(&self) -> bool {
        self.slots != 0 && !self.waiting.is_empty()
    }

    /// Whether it belongs into the list of those that can let a batch leave, in which it is.
    fn stays_listed(&mut self) -> bool {
        let stays = self.can_leave();
        if !stays {
            self.listed = Listed::No;
        }
        stays
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

/// All partitions that records were ever for.
#[derive(Debug)]
pub(crate) struct Accumulator<T> {
    gathering: Gathering,
    gate: Gate,
    numbering: Numbering,
    /// By number.
    queues: Vec<Queue<T>>,
    /// Those of the queues from which a batch may leave, now or after a while, in the order in which
    /// that came to be so: of very many partitions few have both a batch and a slot at any moment.
    /// One may be here from which none can leave any more, until it is looked at next.
    leaving: Vec<PartitionIndex>,
    /// Batches of all queues that have not left.
    waiting: usize,
    /// Nothing expires before this.
    earliest_expiry: Option<Duration>,
}

impl<T: Clone + PartialEq> Accumulator<T> {
    pub(crate) const fn new(gathering: Gathering) -> Self {
        Self {
            gathering,
            gate: Gate::Open,
            numbering: Numbering::new(),
            queues: Vec::new(),
            leaving: Vec::new(),
            waiting: 0,
            earliest_expiry: None,
        }
    }

    /// Adds a record to its partition's last batch, or to a new one.
    pub(crate) fn append(
        &mut self,
        to: &TopicPartition,
        record: NewRecord<'_>,
        new_batch: impl FnOnce() -> NewBatch<T>,
    ) -> Result<Appended<T>, RecordError> {
        let (size, compression) = (record.size(), self.gathering.compression);
        let (of, queue) = self.queue(to);
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
        let least = HEADER_LEN + record.copied_size(compression);
        let bytes = queue.waiting.back().map_or(0, Pending::written_size).max(least);
        let builder = BatchBuilder::with_capacity(compression, bytes);
        let mut batch = Pending::new(new_batch(), builder);
        let index = batch.push(record)?;
        let ticket = batch.ticket.clone();
        let opened = batch.opened;
        queue.waiting.push_back(batch);
        // Without a slot it is an answer that will wake the sender.
        let wake = if queue.slots == 0 { Wake::Nobody } else { Wake::Sender };
        self.waiting += 1;
        self.expires(opened);
        self.note(of);
        Ok(Appended { ticket, index, wake })
    }

    /// The queue of a partition by its name, and its number.
    fn queue(&mut self, of: &TopicPartition) -> (PartitionIndex, &mut Queue<T>) {
        let index = self.numbering.find(&of.topic, of.partition).unwrap_or_else(|| {
            self.queues.push(Queue::new(of.clone(), self.gathering.slots));
            self.numbering.add(of)
        });
        (index, self.queue_at(index))
    }

    #[expect(clippy::indexing_slicing, reason = "whoever was given a number was given a queue")]
    fn queue_at(&mut self, of: PartitionIndex) -> &mut Queue<T> {
        &mut self.queues[of.place()]
    }

    /// Those that records were ever for, by number, behind so many of them.
    pub(super) fn partitions_behind(&self, known: usize) -> impl Iterator<Item = &TopicPartition> {
        self.queues.iter().skip(known).map(|queue| &queue.partition)
    }

    /// The name of a partition.
    #[expect(clippy::indexing_slicing, reason = "whoever was given a number was given a queue")]
    pub(super) fn name(&self, of: PartitionIndex) -> &TopicPartition {
        &self.queues[of.place()].partition
    }

    /// Whether a partition has a batch that takes more records.
    pub(crate) fn is_open(&self, topic: &TopicName, partition: PartitionId) -> bool {
        let queue = self.numbering.find(topic, partition);
        let queue = queue.and_then(|of| self.queues.get(of.place()));
        let last = queue.and_then(|queue| queue.waiting.back());
        last.is_some_and(|last| !last.closed)
    }

    /// Takes the first batch of every partition that may let one go now.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<(PartitionIndex, Pending<T>)> {
        let mut due = Vec::new();
        if self.gate == Gate::Shut {
            return due;
        }
        self.leaving.retain(|of| {
            let Some(queue) = self.queues.get_mut(of.place()) else { return false };
            if queue.due(self.gathering.linger).is_some_and(|due| due <= now)
                && let Some(mut first) = queue.waiting.pop_front()
            {
                first.closed = true;
                queue.left.push(first.ticket.clone());
                queue.slots -= 1;
                due.push((*of, first));
            }
            queue.stays_listed()
        });
        self.waiting -= due.len();
        due
    }

    /// Notes whether batches may leave a queue, after it has changed.
    fn note(&mut self, of: PartitionIndex) {
        if let Some(queue) = self.queues.get_mut(of.place())
            && queue.listed == Listed::No
            && queue.can_leave()
        {
            queue.listed = Listed::Yes;
            self.leaving.push(of);
        }
    }

    /// There is a batch of that time.
    fn expires(&mut self, opened: Duration) {
        let expiry = opened.saturating_add(self.gathering.delivery_timeout);
        self.earliest_expiry = Some(self.earliest_expiry.map_or(expiry, |it| it.min(expiry)));
    }

    /// Lets batches leave, or none.
    pub(crate) fn set_gate(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// How many more batches of a partition may leave.
    pub(super) fn set_slots(&mut self, of: PartitionIndex, slots: usize) {
        if let Some(queue) = self.queues.get_mut(of.place()) {
            queue.slots = slots;
            self.note(of);
        }
    }

    /// A batch has met its fate. If it had left, another may.
    pub(super) fn settled(&mut self, of: PartitionIndex, ticket: &T) {
        let Some(queue) = self.queues.get_mut(of.place()) else { return };
        let Some(place) = queue.left.iter().position(|left| left == ticket) else { return };
        queue.left.remove(place);
        queue.slots += 1;
        self.note(of);
    }

    /// A batch comes back that could not be sent. It leaves before all others, but not before
    /// `retry_at`.
    pub(super) fn put_back(&mut self, of: PartitionIndex, pending: Pending<T>, retry_at: Duration) {
        let queue = self.queue_at(of);
        queue.left.retain(|left| *left != pending.ticket);
        queue.slots += 1;
        queue.not_before = retry_at;
        let opened = pending.opened;
        queue.waiting.push_front(pending);
        self.waiting += 1;
        self.expires(opened);
        self.note(of);
    }

    /// Takes every batch that has waited for too long.
    pub(super) fn take_expired(&mut self, now: Duration) -> Vec<(PartitionIndex, Pending<T>)> {
        let timeout = self.gathering.delivery_timeout;
        let mut expired = Vec::new();
        if self.earliest_expiry.is_none_or(|earliest| now < earliest) {
            return expired;
        }
        for (place, queue) in self.queues.iter_mut().enumerate() {
            while let Some(first) =
                queue.waiting.pop_front_if(|first| first.opened.saturating_add(timeout) <= now)
            {
                expired.push((PartitionIndex::new(place), first));
            }
        }
        self.waiting -= expired.len();
        let oldest = self.queues.iter().filter_map(|queue| Some(queue.waiting.front()?.opened));
        self.earliest_expiry = oldest.min().map(|opened| opened.saturating_add(timeout));
        expired
    }

    /// When there is something to do if nothing else happens, or may be.
    pub(crate) fn next_wakeup(&self) -> Option<Duration> {
        let open = (self.gate == Gate::Open).then_some(&self.leaving);
        let leaving = open.into_iter().flatten().filter_map(|of| self.queues.get(of.place()));
        let due = leaving.filter_map(|queue| queue.due(self.gathering.linger));
        due.chain(self.earliest_expiry.filter(|_| self.waiting != 0)).min()
    }

    /// Closes every batch, so that nothing lingers. Returns the tickets of all that is not settled.
    pub(crate) fn close_batches(&mut self) -> Vec<T> {
        let mut unsettled = Vec::new();
        for queue in &mut self.queues {
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
        self.waiting != 0
    }

    /// Takes the tickets of everything that has left and not met its fate.
    pub(crate) fn take_left(&mut self) -> Vec<T> {
        self.queues.iter_mut().flat_map(|queue| queue.left.drain(..)).collect()
    }

    /// Takes everything that has not left.
    pub(super) fn take_all(&mut self) -> Vec<(PartitionIndex, Pending<T>)> {
        let mut all = Vec::new();
        for (place, queue) in self.queues.iter_mut().enumerate() {
            let of = PartitionIndex::new(place);
            all.extend(queue.waiting.drain(..).map(|pending| (of, pending)));
        }
        self.waiting = 0;
        all
    }
}

#[cfg(test)]
mod tests;
