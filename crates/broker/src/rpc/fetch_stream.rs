use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::sync::mpsc::Permit;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Status, Streaming};
use wire::convert::topic_partition;
use wire::v1::broker::{FetchStreamRequest, FetchStreamResponse};
use wire::{InvalidMessage, to_status};

use super::fetch::{Limits, asked_of, encode, within};
use crate::fetching::{Advance, Assignments, Credit, FetchError, Fetched, Fetching, Parked};

/// The most that is read for a stream at once, in bytes. More partitions get their turn sooner,
/// and a slow client holds no more memory than this and what waits for the network.
const CHUNK: usize = 1024 * 1024;

/// Answers that may wait for the network. Each holds up to [`CHUNK`] bytes or one large batch.
const ANSWERS: usize = 2;

type Answered = Result<FetchStreamResponse, Status>;

/// Serves continuous reads.
#[derive(Clone, Debug)]
pub(crate) struct FetchStreams {
    pub(crate) fetching: Fetching,
    pub(crate) limits: Limits,
    pub(crate) draining: CancellationToken,
}

impl FetchStreams {
    /// Begins to serve one stream.
    pub(super) fn open(
        &self,
        requests: Streaming<FetchStreamRequest>,
        tasks: &TaskTracker,
    ) -> impl Stream<Item = Answered> + Send + use<> {
        let (answers, answered) = mpsc::channel(ANSWERS);
        let reader = Reader {
            fetching: self.fetching.clone(),
            limits: self.limits,
            credit: Credit::default(),
            assignments: Assignments::default(),
        };
        tasks.spawn(serve(reader, requests, answers, self.draining.clone()));
        ReceiverStream::new(answered)
    }
}

/// What one stream reads and may still send.
struct Reader {
    fetching: Fetching,
    limits: Limits,
    credit: Credit,
    assignments: Assignments,
}

async fn serve(
    mut reader: Reader,
    mut requests: Streaming<FetchStreamRequest>,
    answers: mpsc::Sender<Answered>,
    draining: CancellationToken,
) {
    let mut parked = FuturesUnordered::new();
    let end = loop {
        tokio::select! {
            message = requests.message() => match message {
                Ok(Some(message)) => {
                    if let Err(error) = reader.obey(&message) {
                        break Some(to_status(&error));
                    }
                }
                // A client that says no more has had enough.
                Ok(None) => break None,
                Err(status) => break Some(status),
            },
            Some(ready) = parked.next() => reader.assignments.wake(ready),
            permit = answers.reserve(), if reader.can_send() => {
                // The client has gone.
                let Ok(permit) = permit else { return };
                if let Some((waiting, advance)) = reader.send(permit).await {
                    parked.push(waiting.until(advance.come()));
                }
            }
            () = draining.cancelled() => break Some(to_status(&FetchError::ShuttingDown)),
        }
    };
    if let Some(status) = end {
        // Nobody listens any more if this fails.
        answers.send(Err(status)).await.ok();
    }
}

impl Reader {
    fn obey(&mut self, message: &FetchStreamRequest) -> Result<(), InvalidMessage> {
        for partition in &message.unassign {
            let partition = topic_partition(&partition.topic, partition.partition)?;
            self.assignments.unassign(&partition);
        }
        within(self.assignments.len().saturating_add(message.assign.len()), self.limits)?;
        for asked in &message.assign {
            self.assignments.assign(asked_of(asked, CHUNK)?);
        }
        self.credit.grant(message.credit_bytes);
        Ok(())
    }

    fn can_send(&self) -> bool {
        self.assignments.has_turn() && self.credit.allowance(CHUNK).is_some()
    }

    /// Reads the partition whose turn it is and sends what it gave. If it gave nothing, returns
    /// what to wait for.
    async fn send(&mut self, permit: Permit<'_, Answered>) -> Option<(Parked, Advance)> {
        let asked = self.assignments.take_turn()?;
        let allowance = self.credit.allowance(CHUNK)?;
        let partition = asked.partition.clone();
        let outcome = match self.fetching.read(&asked, allowance.min(asked.max_bytes)).await {
            Ok((nothing, advance)) if nothing.is_empty() => {
                return self.assignments.park(&partition).map(|parked| (parked, advance));
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
        let fetched = encode(Fetched { partition, outcome });
        permit.send(Ok(FetchStreamResponse { partition: Some(fetched) }));
        None
    }
}
