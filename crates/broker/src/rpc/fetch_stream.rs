use std::future::ready;
use std::pin::Pin;

use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt, Stream, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Response, Status};
use wire::bounds::{Held, Owed, Purse};
use wire::convert::topic_partition;
use wire::to_status;
use wire::v1::broker::{FetchStreamRequest, FetchStreamResponse};

use super::arrival::Arrival;
use super::fetch::{Limits, asked_of, encode, within};
use crate::fetching::{
    Advance, Assignments, Credit, FetchError, Fetched, Fetching, LargeBatch, Parked,
};

/// The most that is read for a stream at once, in bytes. More partitions get their turn sooner,
/// and a slow client holds no more memory than two of these: one on the way into the network, one
/// that waits for it. One large batch counts as one.
const CHUNK: usize = 1024 * 1024;

/// What a partition that a stream reads takes in memory, while it waits for records too.
const ASSIGNMENT: usize = 512;

type Requested = Result<FetchStreamRequest, Status>;
type Answered = Result<FetchStreamResponse, Status>;

/// Serves continuous reads.
#[derive(Clone, Debug)]
pub(crate) struct FetchStreams {
    pub(crate) fetching: Fetching,
    pub(crate) limits: Limits,
    pub(crate) draining: CancellationToken,
}

impl FetchStreams {
    /// Serves one stream. Runs while its answers are polled, so that nothing is read ahead for a
    /// client that does not take them.
    pub(super) fn open(
        &self,
        requests: impl Stream<Item = Requested> + Send + 'static,
        purse: Purse,
        arrival: Arrival,
    ) -> Response<impl Stream<Item = Answered> + Send + 'static> {
        let owed = purse.account();
        let serving = Serving {
            reader: Reader {
                fetching: self.fetching.clone(),
                limits: self.limits,
                credit: Credit::default(),
                assignments: Assignments::default(),
                purse,
                held: Held::default(),
                owed: owed.clone(),
                arrival,
            },
            requests: Box::pin(requests),
            parked: FuturesUnordered::new(),
            draining: Box::pin(self.draining.clone().cancelled_owned()),
            state: State::Open,
        };
        let mut answer = Response::new(stream::unfold(serving, |mut serving| async {
            serving.next().await.map(|answer| (answer, serving))
        }));
        answer.extensions_mut().insert(owed);
        answer
    }
}

/// One stream that is served.
struct Serving<R> {
    reader: Reader,
    requests: Pin<Box<R>>,
    /// Partitions that wait for records.
    parked: FuturesUnordered<BoxFuture<'static, Parked>>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The last answer said why.
    Ended,
}

/// What one stream reads and may still send.
struct Reader {
    fetching: Fetching,
    limits: Limits,
    credit: Credit,
    assignments: Assignments,
    purse: Purse,
    /// What the assignments hold.
    held: Held,
    /// What the answers hold that are on their way.
    owed: Owed,
    arrival: Arrival,
}

impl<R: Stream<Item = Requested>> Serving<R> {
    /// The next answer; `None` when the client has had enough.
    async fn next(&mut self) -> Option<Answered> {
        while self.state == State::Open {
            let end = tokio::select! {
                biased;
                request = self.requests.next() => match request {
                    Some(Ok(request)) => match self.reader.obey(&request) {
                        Ok(()) => continue,
                        Err(refused) => refused,
                    },
                    Some(Err(status)) => status,
                    // A client that says no more has had enough.
                    None => return None,
                },
                () = &mut self.draining => to_status(&FetchError::ShuttingDown),
                Some(ready) = self.parked.next() => {
                    self.reader.assignments.wake(ready);
                    continue;
                }
                () = ready(()), if self.reader.can_send() => {
                    match self.reader.read().await {
                        Some(Ok(answer)) => return Some(Ok(answer)),
                        Some(Err((waiting, advance))) => {
                            self.parked.push(waiting.until(advance.come()).boxed());
                        }
                        None => {}
                    }
                    continue;
                }
            };
            self.state = State::Ended;
            return Some(Err(end));
        }
        None
    }
}

impl Reader {
    fn obey(&mut self, message: &FetchStreamRequest) -> Result<(), Status> {
        for partition in &message.unassign {
            let partition = topic_partition(&partition.topic, partition.partition)?;
            self.assignments.unassign(&partition);
        }
        within(self.assignments.len().saturating_add(message.assign.len()), self.limits)?;
        for asked in &message.assign {
            self.assignments.assign(asked_of(asked, CHUNK)?);
        }
        self.credit.grant(message.credit_bytes);
        self.hold_assignments().map_err(|busy| to_status(&busy))
    }

    fn hold_assignments(&mut self) -> Result<(), FetchError> {
        let needed = self.assignments.len().saturating_mul(ASSIGNMENT);
        self.held.shrink_to(needed);
        let missing = needed.saturating_sub(self.held.bytes());
        let more = self.purse.try_take(missing).ok_or(FetchError::Busy)?;
        self.held.absorb(more);
        Ok(())
    }

    fn can_send(&self) -> bool {
        self.assignments.has_turn() && self.credit.allowance(CHUNK).is_some()
    }

    /// Reads the partition whose turn it is. If it gives nothing, returns what to wait for.
    async fn read(&mut self) -> Option<Result<FetchStreamResponse, (Parked, Advance)>> {
        let asked = self.assignments.take_turn()?;
        let allowance = self.credit.allowance(CHUNK)?;
        let partition = asked.partition.clone();
        let most = allowance.min(asked.max_bytes);
        let read = self.fetching.read(&asked, most, LargeBatch::Take, &self.purse).await;
        let outcome = match read {
            Ok((nothing, advance)) if nothing.is_empty() => {
                return self.assignments.park(&partition).map(|parked| Err((parked, advance)));
            }
            Ok((gathered, _)) => {
                self.credit.spend(gathered.len());
                self.assignments.advance(&partition, gathered.next());
                Ok(gathered)
            }
            Err(error) => {
                // The client decides where to go on from, if at all.
                self.assignments.unassign(&partition);
                Err(error)
            }
        };
        let (fetched, held) = encode(Fetched { partition, outcome }, &self.arrival);
        self.owed.add(held);
        Some(Ok(FetchStreamResponse { partition: Some(fetched) }))
    }
}
