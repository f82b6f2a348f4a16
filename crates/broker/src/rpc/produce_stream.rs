use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Status, Streaming};
use types::TopicPartition;
use wire::convert::{error_to_proto, topic_partition};
use wire::v1::broker::{ProduceStreamRequest, ProduceStreamResponse};
use wire::{InvalidMessage, to_status};

use super::produce::{acks_of, encode, timeout_of};
use crate::listing::Listing;
use crate::partition::Answer;
use crate::producing::{Append, AppendFailure, Payload, Producing, WhenFull};

/// Answers that may wait for the client to read them.
const ANSWERS: usize = 64;

type Answered = Result<ProduceStreamResponse, Status>;

/// Serves pipelined produces.
#[derive(Clone, Debug)]
pub(crate) struct ProduceStreams {
    pub(crate) producing: Producing,
    pub(crate) listing: Listing,
    /// Bytes of one stream that may be read and not yet answered.
    pub(crate) max_in_flight: usize,
    pub(crate) draining: CancellationToken,
}

/// What a stream has read and not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    bytes: usize,
    max: usize,
}

impl InFlight {
    /// Whether another request may be read: one that is larger than the bound passes alone.
    const fn has_room(self) -> bool {
        self.bytes < self.max
    }

    const fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    const fn remove(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// What is still to come from the client.
#[derive(Debug)]
enum Input {
    Open,
    /// The client has sent all it wanted.
    Complete,
    /// Nothing more is read; the client is told why once it has its answers.
    Broken(Status),
}

impl Input {
    const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

impl ProduceStreams {
    /// Begins to serve one stream.
    pub(super) fn open(
        &self,
        requests: Streaming<ProduceStreamRequest>,
        tasks: &TaskTracker,
    ) -> impl Stream<Item = Answered> + Send + use<> {
        let (answers, answered) = mpsc::channel(ANSWERS);
        tasks.spawn(self.clone().serve(requests, answers));
        ReceiverStream::new(answered)
    }

    async fn serve(
        self,
        mut requests: Streaming<ProduceStreamRequest>,
        answers: mpsc::Sender<Answered>,
    ) {
        let mut in_flight = InFlight { bytes: 0, max: self.max_in_flight };
        let mut pending = FuturesUnordered::new();
        let mut input = Input::Open;
        while input.is_open() || !pending.is_empty() {
            tokio::select! {
                Some((answer, bytes)) = pending.next() => {
                    in_flight.remove(bytes);
                    if answers.send(Ok(answer)).await.is_err() {
                        // The client has gone; what it sent is in the logs' hands.
                        return;
                    }
                }
                message = requests.message(), if input.is_open() && in_flight.has_room() => {
                    match message {
                        Ok(Some(request)) => {
                            let bytes = request.batches.len();
                            in_flight.add(bytes);
                            let answer = self.queue(request).await;
                            pending.push(async move { (answer.wait().await, bytes) });
                        }
                        Ok(None) => input = Input::Complete,
                        Err(status) => input = Input::Broken(status),
                    }
                }
                () = self.draining.cancelled(), if input.is_open() => {
                    input = Input::Broken(to_status(&AppendFailure::ShuttingDown));
                }
            }
        }
        if let Input::Broken(status) = input {
            // Nobody listens any more if this fails.
            answers.send(Err(status)).await.ok();
        }
    }

    /// Takes up one request. Returns once it is in the partition's queue, so that the next one
    /// for the same partition comes behind it.
    async fn queue(&self, request: ProduceStreamRequest) -> Pending {
        let correlation_id = request.correlation_id;
        let queued = match decode(request) {
            Ok(append) => {
                let partition = append.partition.clone();
                let log_start_offset = self.listing.log_start(&partition);
                let answer = self.producing.append(append, WhenFull::Wait).await;
                Queued::Asked { answer, log_start_offset }
            }
            Err(error) => Queued::Malformed(error),
        };
        Pending { correlation_id, queued }
    }
}

/// A request whose answer is to come.
struct Pending {
    correlation_id: u64,
    queued: Queued,
}

enum Queued {
    Asked { answer: Result<Answer, AppendFailure>, log_start_offset: u64 },
    Malformed(InvalidMessage),
}

impl Pending {
    async fn wait(self) -> ProduceStreamResponse {
        let correlation_id = self.correlation_id;
        match self.queued {
            Queued::Asked { answer, log_start_offset } => {
                let outcome = match answer {
                    Ok(answer) => answer.wait().await.map_err(AppendFailure::from),
                    Err(failure) => Err(failure),
                };
                let (base_offset, error) = encode(outcome);
                ProduceStreamResponse { correlation_id, base_offset, error, log_start_offset }
            }
            Queued::Malformed(error) => ProduceStreamResponse {
                correlation_id,
                error: Some(error_to_proto(&error, None)),
                ..ProduceStreamResponse::default()
            },
        }
    }
}

fn decode(request: ProduceStreamRequest) -> Result<Append, InvalidMessage> {
    let partition: TopicPartition = topic_partition(&request.topic, request.partition)?;
    Ok(Append {
        partition,
        acks: acks_of(request.acks)?,
        timeout: timeout_of(request.timeout_ms),
        payload: Payload::Batches(request.batches),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_on_while_there_is_room_and_a_huge_request_passes_alone() {
        let mut in_flight = InFlight { bytes: 0, max: 10 };
        in_flight.add(9);
        assert!(in_flight.has_room());
        in_flight.add(500);
        assert!(!in_flight.has_room());
        in_flight.remove(500);
        assert!(in_flight.has_room());
    }
}
