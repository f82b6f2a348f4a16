//! How a record hears of its batch's fate.

use std::pin::Pin;
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
    sender: Arc<Mutex<Option<oneshot::Sender<Outcome>>>>,
    fate: Shared<oneshot::Receiver<Outcome>>,
}

impl Ticket {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = oneshot::channel();
        Self { sender: Arc::new(Mutex::new(Some(sender))), fate: receiver.shared() }
    }

    /// Tells everyone who waits. Only the first call counts.
    pub(crate) fn settle(&self, outcome: Outcome) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody may be waiting.
            sender.send(outcome).ok();
        }
    }

    pub(crate) async fn settled(self) -> Outcome {
        self.fate.await.unwrap_or(Err(ClientError::Closed))
    }
}

/// A record on its way. Await it to learn where the record lies, or drop it not to.
#[derive(Debug)]
#[must_use = "a delivery that nobody awaits may fail unseen"]
pub struct Delivery {
    topic_partition: TopicPartition,
    index: u32,
    fate: Shared<oneshot::Receiver<Outcome>>,
}

impl Delivery {
    pub(crate) fn new(topic_partition: TopicPartition, ticket: &Ticket, index: u32) -> Self {
        Self { topic_partition, index, fate: ticket.fate.clone() }
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
        self.fate.poll_unpin(context).map(|fate| match fate {
            Ok(Ok(base)) => Ok(self.place(base)),
            Ok(Err(error)) => Err(error),
            Err(_gone) => Err(ClientError::Closed),
        })
    }
}
