//! Which batches travel together, and when. Pure.
//!
//! A log knows a producer's last appends again, so as many requests of a partition may be under way
//! as that is. What comes meanwhile waits, and leaves in as few requests as it fits: the slower the
//! broker, the more of its work one request is.

use std::collections::{BTreeMap, VecDeque};

use types::RETAINED_APPENDS;

use super::{Attempt, PartitionIndex};
use crate::ClientError;

/// Bytes of the batches of one request, unless the first of them has more by itself. A request costs
/// both sides some wakeups, whatever is in it; with half of this, batches of 16 KiB take a tenth
/// more of the processor.
const REQUEST_BYTES: usize = 512 * 1024;

/// One partition's attempts.
#[derive(Debug, Default)]
struct Queue {
    /// Oldest first.
    waiting: VecDeque<Attempt>,
    /// Requests that are not answered, oldest first.
    under_way: VecDeque<Serial>,
    next: Serial,
    failed: Option<Failed>,
}

/// A request of the partition failed.
#[derive(Debug)]
struct Failed {
    /// What was sent by somebody who knew of no more failures did not know of this one.
    failures: u64,
    cause: ClientError,
}

/// Counts the requests of one partition.
pub(super) type Serial = u64;

/// What must not be sent, and why the request before it failed.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) attempt: Attempt,
    pub(super) cause: ClientError,
}

/// What leaves next.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) serial: Serial,
    /// Oldest first, all of one partition.
    pub(super) attempts: Vec<Attempt>,
}

impl Queue {
    /// Counted from the oldest one that is not answered, since whatever was written behind it is
    /// what a log has to look behind.
    fn may_send(&self) -> bool {
        let oldest = self.under_way.front().copied().unwrap_or(self.next);
        !self.waiting.is_empty() && self.next - oldest < RETAINED_APPENDS as Serial
    }

    fn take(&mut self) -> Vec<Attempt> {
        let mut taken = Vec::new();
        let mut room = REQUEST_BYTES;
        while let Some(next) = self.waiting.front() {
            let size = next.dispatch.batch.len();
            if !taken.is_empty() && room < size {
                break;
            }
            taken.extend(self.waiting.pop_front());
            room = room.saturating_sub(size);
        }
        taken
    }
}

/// What a stream has been given and has not sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Of every partition that the stream was ever given something for.
    queues: BTreeMap<PartitionIndex, Queue>,
    /// Partitions that may send, in turn.
    ready: VecDeque<PartitionIndex>,
}

impl Outbox {
    /// Puts an attempt behind the others of its partition.
    ///
    /// One that was sent before its sender knew of a failure comes back.
    #[must_use]
    pub(super) fn push(&mut self, attempt: Attempt) -> Option<Late> {
        let of = attempt.of;
        let queue = self.queues.entry(of).or_default();
        match &queue.failed {
            Some(failed) if attempt.dispatch.failures <= failed.failures => {
                return Some(Late { attempt, cause: failed.cause.clone() });
            }
            Some(_) | None => queue.failed = None,
        }
        let could_send = queue.may_send();
        queue.waiting.push_back(attempt);
        if !could_send && queue.may_send() {
            self.ready.push_back(of);
        }
        None
    }

    /// The next request. It counts as under way from now on.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        let of = self.ready.pop_front()?;
        let queue = self.queues.get_mut(&of)?;
        let request = Request { serial: queue.next, attempts: queue.take() };
        queue.under_way.push_back(queue.next);
        queue.next += 1;
        if queue.may_send() {
            self.ready.push_back(of);
        }
        Some(request)
    }

    /// A request of the partition was answered.
    pub(super) fn answered(&mut self, of: PartitionIndex, serial: Serial) {
        let Some(queue) = self.queues.get_mut(&of) else { return };
        let could_send = queue.may_send();
        queue.under_way.retain(|under_way| *under_way != serial);
        if !could_send && queue.may_send() {
            self.ready.push_back(of);
        }
    }

    /// A request of the partition failed whose batches were sent by somebody who knew of so many
    /// failures: returns what must not be sent behind it. What is still to come from there will
    /// not be taken.
    pub(super) fn hold_back(
        &mut self,
        of: PartitionIndex,
        failures: u64,
        cause: &ClientError,
    ) -> VecDeque<Attempt> {
        let queue = self.queues.entry(of).or_default();
        queue.failed = Some(Failed { failures, cause: cause.clone() });
        let held = std::mem::take(&mut queue.waiting);
        if !held.is_empty() {
            self.ready.retain(|ready| *ready != of);
        }
        held
    }

    /// Everything that was not sent.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = Attempt> {
        self.queues.into_values().flat_map(|queue| queue.waiting)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use record::{BatchBuilder, Compression, ProducedBatch};
    use types::{PartitionId, Timestamp, TopicName, TopicPartition};

    use super::*;
    use crate::producer::lane::Dispatch;

    fn index(number: u32) -> PartitionIndex {
        PartitionIndex::new(number as usize)
    }

    fn batch(bytes: usize) -> ProducedBatch {
        let mut builder = BatchBuilder::new(Compression::None);
        let value = Bytes::from(vec![b'v'; bytes]);
        builder.push(Timestamp::from_millis(1), None, Some(value.as_ref()), &[]).unwrap();
        builder.produce().unwrap()
    }

    fn attempt(of: u32, number: u64, failures: u64, bytes: usize) -> Attempt {
        let dispatch = Dispatch { number, failures, batch: batch(bytes) };
        let name = TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(of));
        Attempt { of: index(of), partition: name, dispatch }
    }

    /// Attempts of a partition, numbered from `first`, each with so many bytes of value.
    fn push(outbox: &mut Outbox, of: u32, first: u64, sizes: &[usize]) {
        for (number, bytes) in (first..).zip(sizes) {
            assert!(outbox.push(attempt(of, number, 0, *bytes)).is_none());
        }
    }

    fn numbers(request: Option<Request>) -> Vec<u64> {
        numbers_of(request.into_iter().flat_map(|request| request.attempts))
    }

    fn numbers_of(attempts: impl IntoIterator<Item = Attempt>) -> Vec<u64> {
        attempts.into_iter().map(|attempt| attempt.dispatch.number).collect()
    }

    #[test]
    fn what_waits_leaves_together_and_in_order() {
        let mut outbox = Outbox::default();
        push(&mut outbox, 0, 0, &[10, 20, 30]);
        push(&mut outbox, 1, 7, &[10]);
        push(&mut outbox, 0, 3, &[40]);
        assert_eq!(numbers(outbox.next_request()), [0, 1, 2, 3]);
        assert_eq!(numbers(outbox.next_request()), [7]);
        assert!(outbox.next_request().is_none());
    }

    #[test]
    fn a_request_has_an_end_unless_its_first_batch_exceeds_it() {
        let mut outbox = Outbox::default();
        push(&mut outbox, 0, 0, &[600_000, 10, 200_000, 200_000, 200_000, 10]);
        for expected in [&[0][..], &[1, 2, 3], &[4, 5]] {
            assert_eq!(numbers(outbox.next_request()), expected);
        }
        push(&mut outbox, 1, 10, &[60_000; 10]);
        assert_eq!(numbers(outbox.next_request()), (10..18).collect::<Vec<_>>());
        assert_eq!(numbers(outbox.next_request()), [18, 19]);
    }

    #[test]
    fn no_more_requests_are_under_way_than_a_log_knows_again() {
        let mut outbox = Outbox::default();
        for number in 0..RETAINED_APPENDS as u64 {
            push(&mut outbox, 0, number, &[1]);
            assert_eq!(numbers(outbox.next_request()), [number]);
        }
        push(&mut outbox, 0, 5, &[1, 1, 1]);
        assert!(outbox.next_request().is_none());
        push(&mut outbox, 1, 100, &[1]);
        assert_eq!(numbers(outbox.next_request()), [100], "others go on");
        outbox.answered(index(0), 1);
        assert!(outbox.next_request().is_none(), "the oldest is not answered");
        outbox.answered(index(0), 0);
        assert_eq!(numbers(outbox.next_request()), [5, 6, 7]);
        push(&mut outbox, 0, 8, &[1]);
        assert_eq!(numbers(outbox.next_request()), [8]);
        push(&mut outbox, 0, 9, &[1]);
        assert!(outbox.next_request().is_none());
    }

    #[test]
    fn nothing_is_sent_behind_a_failure() {
        let mut outbox = Outbox::default();
        push(&mut outbox, 0, 0, &[1]);
        assert_eq!(numbers(outbox.next_request()), [0]);
        push(&mut outbox, 0, 1, &[1, 1]);
        push(&mut outbox, 1, 9, &[1]);
        let held = outbox.hold_back(index(0), 0, &ClientError::Closed);
        assert_eq!(numbers_of(held), [1, 2]);
        outbox.answered(index(0), 0);
        assert_eq!(numbers(outbox.next_request()), [9]);
        assert!(outbox.next_request().is_none());
        // Sent before the failure was known, and as it is known.
        let late = outbox.push(attempt(0, 3, 0, 1)).unwrap();
        assert_eq!((late.attempt.dispatch.number, late.cause), (3, ClientError::Closed));
        assert!(outbox.push(attempt(0, 4, 1, 1)).is_none());
        assert_eq!(numbers(outbox.next_request()), [4]);
    }

    #[test]
    fn what_was_not_sent_is_still_there() {
        let mut outbox = Outbox::default();
        push(&mut outbox, 0, 0, &[1]);
        outbox.next_request();
        push(&mut outbox, 0, 1, &[1]);
        push(&mut outbox, 1, 2, &[1]);
        assert_eq!(numbers_of(outbox.into_waiting()), [1, 2]);
    }
}
