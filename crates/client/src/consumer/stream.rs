//! One `FetchStream` from one broker, on a connection of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use types::TopicPartition;
use wire::framed::{self, Incoming};
use wire::v1::broker as v1;

use super::partitions::StreamId;
use crate::ClientError;
use crate::connection::{connect_for_bulk, within};

/// What a stream brings.
#[derive(Debug)]
pub(crate) enum Event {
    /// Batches of one partition, or its error.
    Fetched { stream: StreamId, partition: v1::FetchedPartition },
    /// The stream ended; nothing more comes.
    Ended { stream: StreamId, error: ClientError },
}

/// A stream, as its consumer holds it.
#[derive(Debug)]
pub(crate) struct StreamHandle {
    pub(crate) id: StreamId,
    pub(crate) address: Arc<str>,
    pub(crate) requests: mpsc::Sender<v1::FetchStreamRequest>,
    /// Partitions of which something may still arrive. One that is asked for again could not tell
    /// old from new, and needs another stream.
    pub(crate) carries: BTreeSet<TopicPartition>,
    pub(crate) credit: Credit,
    pub(crate) task: AbortHandle,
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Bytes that the reader is done with and the broker was not told of yet.
#[derive(Debug)]
pub(crate) struct Credit {
    owed: u64,
    threshold: u64,
}

impl Credit {
    /// For a stream that was granted `prefetch_bytes` when it began.
    pub(crate) const fn new(prefetch_bytes: u64) -> Self {
        Self { owed: 0, threshold: prefetch_bytes / 4 }
    }

    /// Notes bytes that are free again.
    pub(crate) const fn give_back(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_add(bytes);
    }

    /// What to grant now. A quarter of the whole is worth a message, less is not.
    pub(crate) const fn grant(&self) -> Option<u64> {
        if self.owed != 0 && self.threshold <= self.owed { Some(self.owed) } else { None }
    }

    /// The broker was told.
    pub(crate) const fn granted(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_sub(bytes);
    }
}

/// Opens a stream and passes on what it brings until it ends.
pub(crate) async fn run(
    id: StreamId,
    address: Arc<str>,
    open_timeout: Duration,
    requests: mpsc::Receiver<v1::FetchStreamRequest>,
    events: mpsc::Sender<Event>,
) {
    let error = match pump(id, &address, open_timeout, requests, &events).await {
        Ok(()) => ClientError::Broker(wire::from_status(&tonic::Status::unavailable(
            "the broker ended the stream",
        ))),
        Err(error) => error,
    };
    // A consumer that went away does not care.
    events.send(Event::Ended { stream: id, error }).await.ok();
}

async fn pump(
    id: StreamId,
    address: &str,
    open_timeout: Duration,
    requests: mpsc::Receiver<v1::FetchStreamRequest>,
    events: &mpsc::Sender<Event>,
) -> Result<(), ClientError> {
    let requests = ReceiverStream::new(requests);
    let connection = connect_for_bulk(address).await?;
    let opening = connection.call(framed::path::FETCH_STREAM, requests);
    let mut inbound: Incoming<v1::FetchStreamResponse> =
        within(open_timeout, "FetchStream", opening).await?;
    loop {
        let message = inbound.message().await;
        match message.map_err(|status| ClientError::Broker(wire::from_status(&status)))? {
            Some(v1::FetchStreamResponse { partition: Some(partition) }) => {
                if events.send(Event::Fetched { stream: id, partition }).await.is_err() {
                    return Ok(());
                }
            }
            Some(v1::FetchStreamResponse { partition: None }) => {
                let missing = wire::InvalidMessage::Missing { field: "partition" };
                return Err(ClientError::InvalidAnswer(missing));
            }
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_granted_in_quarters_and_never_twice() {
        let mut credit = Credit::new(100);
        credit.give_back(24);
        assert_eq!(credit.grant(), None);
        credit.give_back(1);
        assert_eq!(credit.grant(), Some(25));
        credit.granted(25);
        assert_eq!(credit.grant(), None);
    }
}
