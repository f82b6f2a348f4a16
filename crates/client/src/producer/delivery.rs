//! How a record hears of its batch's fate.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::Shared;
use tokio::sync::oneshot;
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
pub(crate) struct Ticket {
    batch: Arc<Batch>,
    fate: Shared<oneshot::Receiver<Outcome>>,
}

#[derive(Debug)]
struct Batch {
    sender: Mutex<Option<oneshot::Sender<Outcome>>>,
    /// Whether a delivery has told of the batch's failure.
    told: AtomicBool,
}

impl PartialEq for Ticket {
    /// Whether both are of the same batch.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.batch, &other.batch)
    }
}

impl Ticket {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let batch = Batch { sender, told: AtomicBool::new(false) };
        Self { batch: Arc::new(batch), fate: receiver.shared() }
    }

    /// Tells everyone who waits. Only the first call counts.
    pub(crate) fn settle(&self, outcome: Outcome) {
        let sender = self.batch.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody may be waiting.
            sender.send(outcome).ok();
        }
    }

    pub(crate) async fn settled(&self) -> Outcome {
        self.fate.clone().await.unwrap_or(Err(ClientError::Closed))
    }
}

/// Most failures that are kept for a flush to tell; the first count.
const MAX_UNTOLD: usize = 64;

/// Failures of which no delivery has told: whoever sent those records let go of them.
#[derive(Debug, Default)]
pub(crate) struct Untold(Vec<(Ticket, ClientError)>);

impl Untold {
    pub(crate) fn add(&mut self, ticket: Ticket, error: ClientError) {
        self.0.retain(|(ticket, _)| !ticket.batch.told.load(Ordering::Relaxed));
        if self.0.len() < MAX_UNTOLD {
            self.0.push((ticket, error));
        }
    }

    /// The first failure that still nobody was told of. All are forgotten.
    pub(crate) fn take_first(&mut self) -> Option<ClientError> {
        let untold = |(ticket, _): &(Ticket, _)| !ticket.batch.told.load(Ordering::Relaxed);
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
    ticket: Ticket,
}

impl Delivery {
    pub(crate) const fn new(topic_partition: TopicPartition, ticket: Ticket, index: u32) -> Self {
        Self { topic_partition, index, ticket }
    }

    fn place(&self, base: Option<Offset>) -> RecordMetadata {
        RecordMetadata {
            topic_partition: self.topic_partition.clone(),
            offset: base.and_then(|base| base.checked_add(u64::from(self.index))),
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.ticket.fate.poll_unpin(context).map(|fate| match fate {
            Ok(Ok(base)) => Ok(self.place(base)),
            Ok(Err(error)) => {
                self.ticket.batch.told.store(true, Ordering::Relaxed);
                Err(error)
            }
            Err(_gone) => Err(ClientError::Closed),
        })
    }
}
