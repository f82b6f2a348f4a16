//! How a record hears of its batch's fate.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;
use types::{Offset, TopicPartition};

use crate::ClientError;

/// Where a delivered record lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// Its partition.
    pub topic_partition: TopicPartition,
    /// Its offset; `None` with [`Acks::None`](crate::Acks::None), for nobody asked.
    pub offset: Option<Offset>,
}

/// Base offset of the batch, if the broker told.
pub(crate) type Outcome = Result<Option<Offset>, ClientError>;

/// One batch's fate, as its records wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket(Arc<Batch>);

#[derive(Debug)]
struct Batch {
    fate: Mutex<Fate>,
    /// Whether a delivery has told of the batch's failure.
    told: AtomicBool,
}

#[derive(Debug)]
enum Fate {
    /// Whoever is to be woken.
    Open(Slab<Waker>),
    Met(Outcome),
}

impl PartialEq for Ticket {
    /// Whether both are of the same batch.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Ticket {
    pub(crate) fn new() -> Self {
        let (fate, told) = (Mutex::new(Fate::Open(Slab::new())), AtomicBool::new(false));
        Self(Arc::new(Batch { fate, told }))
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        // Nothing panics under this lock.
        self.0.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everyone who waits. Only the first call counts.
    pub(crate) fn settle(&self, outcome: Outcome) {
        let waiting = match &mut *self.fate() {
            Fate::Met(_) => return,
            fate @ Fate::Open(_) => mem::replace(fate, Fate::Met(outcome)),
        };
        if let Fate::Open(wakers) = waiting {
            wakers.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    pub(crate) async fn settled(&self) -> Outcome {
        let mut waits = Waits::new(self.clone());
        poll_fn(|context| waits.poll(context)).await
    }

    fn was_told(&self) -> bool {
        self.0.told.load(Ordering::Relaxed)
    }
}

/// Somebody who waits for a batch's fate.
#[derive(Debug)]
struct Waits {
    ticket: Ticket,
    /// Of its waker, once it has been polled.
    key: Option<usize>,
}

impl Waits {
    const fn new(ticket: Ticket) -> Self {
        Self { ticket, key: None }
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Outcome> {
        let waker = context.waker().clone();
        // Dropped behind the lock: what a waker drops is not ours.
        let _earlier = match &mut *self.ticket.fate() {
            Fate::Met(outcome) => return Poll::Ready(outcome.clone()),
            Fate::Open(wakers) => {
                if let Some(earlier) = self.key.and_then(|key| wakers.get_mut(key)) {
                    Some(mem::replace(earlier, waker))
                } else {
                    self.key = Some(wakers.insert(waker));
                    None
                }
            }
        };
        Poll::Pending
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let _waker = match &mut *self.ticket.fate() {
            Fate::Open(wakers) => wakers.try_remove(key),
            Fate::Met(_) => None,
        };
    }
}

/// Most failures that are kept for a flush to tell; the first count.
const MAX_UNTOLD: usize = 64;

/// Failures of which no delivery has told: whoever sent those records let go of them.
#[derive(Debug, Default)]
pub(crate) struct Untold(Vec<(Ticket, ClientError)>);

impl Untold {
    pub(crate) fn add(&mut self, ticket: Ticket, error: ClientError) {
        self.0.retain(|(ticket, _)| !ticket.was_told());
        if self.0.len() < MAX_UNTOLD {
            self.0.push((ticket, error));
        }
    }

    /// The first failure that still nobody was told of. All are forgotten.
    pub(crate) fn take_first(&mut self) -> Option<ClientError> {
        let untold = |(ticket, _): &(Ticket, _)| !ticket.was_told();
        self.0.drain(..).find(untold).map(|(_, error)| error)
    }
}

/// A record on its way. Await it to learn where the record lies; of one that is dropped, a failure
/// shows in the next [`Producer::flush`](crate::Producer::flush) or close.
#[derive(Debug)]
#[must_use = "a delivery that nobody awaits fails unseen until the next flush"]
pub struct Delivery {
    topic_partition: TopicPartition,
    index: u32,
    waits: Waits,
}

impl Delivery {
    pub(crate) const fn new(topic_partition: TopicPartition, ticket: Ticket, index: u32) -> Self {
        Self { topic_partition, index, waits: Waits::new(ticket) }
    }

    fn lies(&self, base: Option<Offset>) -> RecordMetadata {
        RecordMetadata {
            topic_partition: self.topic_partition.clone(),
            offset: base.and_then(|base| base.checked_add(u64::from(self.index))),
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.waits.poll(context).map(|outcome| match outcome {
            Ok(base) => Ok(self.lies(base)),
            Err(error) => {
                self.waits.ticket.0.told.store(true, Ordering::Relaxed);
                Err(error)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::join_all;
    use types::{PartitionId, TopicName};

    use super::*;

    fn delivery(ticket: &Ticket, index: u32) -> Delivery {
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0));
        Delivery::new(partition, ticket.clone(), index)
    }

    #[tokio::test]
    async fn all_who_wait_are_told_once_and_the_first_word_counts() {
        let ticket = Ticket::new();
        let waiting = join_all((0..100).map(|index| delivery(&ticket, index)));
        let waiting = tokio::spawn(waiting);
        tokio::task::yield_now().await;
        ticket.settle(Ok(Some(Offset::new(7))));
        ticket.settle(Err(ClientError::Closed));
        for (index, placed) in (7..).zip(waiting.await.unwrap()) {
            assert_eq!(placed.unwrap().offset, Some(Offset::new(index)));
        }
        let late = delivery(&ticket, 3).now_or_never().unwrap().unwrap();
        assert_eq!(late.offset, Some(Offset::new(10)));
    }

    #[test]
    fn a_delivery_that_is_asked_again_and_again_waits_once() {
        let ticket = Ticket::new();
        let mut waits = delivery(&ticket, 0);
        for _ in 0..10 {
            assert!((&mut waits).now_or_never().is_none());
        }
        let waiting = |ticket: &Ticket| match &*ticket.fate() {
            Fate::Open(wakers) => wakers.len(),
            Fate::Met(_) => 0,
        };
        assert_eq!(waiting(&ticket), 1);
        drop(waits);
        ticket.settled().now_or_never().ok_or(()).unwrap_err();
        assert_eq!(waiting(&ticket), 0, "who does not wait any more is forgotten");
    }
}
