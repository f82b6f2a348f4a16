use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::stream::{self, FuturesUnordered};
use futures::{Stream, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use types::TopicPartition;
use wire::convert::{error_to_proto, topic_partition};
use wire::v1::broker::{ProduceStreamRequest, ProduceStreamResponse};
use wire::{InvalidMessage, to_status};

use super::arrival::Arrival;
use super::produce::{acks_of, encode, timeout_of};
use crate::listing::Listing;
use crate::partition::Answer;
use crate::producing::{Append, AppendFailure, Payload, Producing, Queued};

type Requested = Result<ProduceStreamRequest, Status>;
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
    /// Serves one stream. Runs while its answers are polled, so that a client which does not take
    /// them is not read on either.
    pub(super) fn open(
        &self,
        requests: impl Stream<Item = Requested> + Send + 'static,
        arrival: Arrival,
    ) -> impl Stream<Item = Answered> + Send + 'static {
        let serving = Serving {
            streams: self.clone(),
            arrival,
            requests: Box::pin(requests),
            input: Input::Open,
            in_flight: InFlight { bytes: 0, max: self.max_in_flight },
            pending: FuturesUnordered::new(),
            draining: Box::pin(self.draining.clone().cancelled_owned()),
        };
        stream::unfold(serving, |mut serving| async {
            serving.next().await.map(|answer| (answer, serving))
        })
    }

    /// Takes up one request. Returns once it is in the log's queue, so that the next one for the
    /// same partition comes behind it.
    async fn queue(&self, request: ProduceStreamRequest, arrival: Arrival) -> Pending {
        let bytes = request.batches.len();
        let correlation_id = request.correlation_id;
        let mut answer = ProduceStreamResponse { correlation_id, ..Default::default() };
        let append = match decode(request) {
            Ok(append) => append,
            Err(error) => {
                answer.error = Some(error_to_proto(&error, None));
                return Pending { bytes, answer, outcome: None, arrival };
            }
        };
        let partition = append.partition.clone();
        let outcome = match self.producing.submit(append).await {
            Ok(Queued { log_start, answer: outcome }) => {
                answer.log_start_offset = log_start.get();
                Some(outcome)
            }
            Err(failure) => {
                answer.log_start_offset = self.listing.log_start(&partition);
                (answer.base_offset, answer.error) = encode(Err(failure), &arrival);
                None
            }
        };
        Pending { bytes, answer, outcome, arrival }
    }
}

/// One stream that is served.
struct Serving<R> {
    streams: ProduceStreams,
    arrival: Arrival,
    requests: Pin<Box<R>>,
    input: Input,
    in_flight: InFlight,
    pending: FuturesUnordered<Pending>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<R: Stream<Item = Requested>> Serving<R> {
    /// The next answer; `None` once everything is answered that was read.
    async fn next(&mut self) -> Option<Answered> {
        while self.input.is_open() || !self.pending.is_empty() {
            let may_read = self.input.is_open() && self.in_flight.has_room();
            tokio::select! {
                biased;
                Some((answer, bytes)) = self.pending.next() => {
                    self.in_flight.remove(bytes);
                    return Some(Ok(answer));
                }
                request = self.requests.next(), if may_read => match request {
                    Some(Ok(request)) => {
                        self.in_flight.add(request.batches.len());
                        let arrival = self.arrival.clone();
                        self.pending.push(self.streams.queue(request, arrival).await);
                    }
                    Some(Err(status)) => self.input = Input::Broken(status),
                    None => self.input = Input::Complete,
                },
                () = &mut self.draining, if self.input.is_open() => {
                    self.input = Input::Broken(to_status(&AppendFailure::ShuttingDown));
                }
            }
        }
        match mem::replace(&mut self.input, Input::Complete) {
            Input::Broken(status) => Some(Err(status)),
            Input::Open | Input::Complete => None,
        }
    }
}

/// A request whose answer is to come.
struct Pending {
    /// Of the request.
    bytes: usize,
    /// All of it but the outcome.
    answer: ProduceStreamResponse,
    /// `None` if it is known already.
    outcome: Option<Answer>,
    arrival: Arrival,
}

impl Future for Pending {
    type Output = (ProduceStreamResponse, usize);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = &mut self.outcome {
            let outcome = ready!(Pin::new(outcome).poll(context)).map_err(AppendFailure::from);
            (self.answer.base_offset, self.answer.error) = encode(outcome, &self.arrival);
        }
        Poll::Ready((mem::take(&mut self.answer), self.bytes))
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
