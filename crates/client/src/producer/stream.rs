//! One `ProduceStream` to one broker, on a connection of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use record::Batch;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use types::{Coded, Offset, Reason, TopicPartition};
use wire::convert::error_to_remote;
use wire::framed::{self, Incoming};
use wire::v1::broker as v1;

use super::verdict::Failure;
use crate::ClientError;
use crate::connection::{connect, within};

/// Most batches under way to one broker.
pub(crate) const MAX_UNDER_WAY: usize = 256;
/// What the broker is given beyond its own deadline to say that it missed it.
const GRACE: Duration = Duration::from_secs(5);

/// A batch to be sent.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) partition: TopicPartition,
    /// Which of the partition's attempts.
    pub(crate) number: u64,
    pub(crate) batch: Batch,
}

/// The one answer to each attempt.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) partition: TopicPartition,
    pub(crate) number: u64,
    pub(crate) outcome: Result<Option<Offset>, Failure>,
}

/// Where a stream leads and what it asks for.
#[derive(Clone, Debug)]
pub(crate) struct StreamSettings {
    pub(crate) address: String,
    pub(crate) acks: v1::Acks,
    pub(crate) request_timeout: Duration,
}

struct UnderWay {
    partition: TopicPartition,
    number: u64,
    /// Set when the transport took it: from then on it may arrive.
    left: Arc<AtomicBool>,
    deadline: Instant,
}

type Outbound = mpsc::Sender<(Arc<AtomicBool>, v1::ProduceStreamRequest)>;

/// Sends attempts and answers each of them once, until the attempts end or the connection does.
pub(crate) async fn run(
    settings: StreamSettings,
    mut attempts: mpsc::Receiver<Attempt>,
    answers: mpsc::Sender<Answer>,
) {
    let mut under_way = BTreeMap::new();
    let ended = match open(&settings).await {
        Ok((outbound, inbound)) => {
            let mut stream =
                Stream { settings: &settings, outbound: Some(outbound), next_correlation: 0 };
            stream.pump(inbound, &mut attempts, &answers, &mut under_way).await
        }
        Err(error) => Some(error),
    };
    let Some(error) = ended else { return };
    // A broker that shuts down answers what it has taken up before it says so; what it leaves
    // unanswered it has not looked at.
    let lost =
        if error.reason() == Reason::ShuttingDown { Failure::Refused } else { Failure::Lost };
    for UnderWay { partition, number, left, .. } in under_way.into_values() {
        let failure = if left.load(Ordering::Acquire) { lost } else { Failure::NotSent };
        let outcome = Err(failure(error.clone()));
        // Whoever started this task outlives it, or is going away with everybody who waits.
        answers.send(Answer { partition, number, outcome }).await.ok();
    }
    attempts.close();
    while let Some(Attempt { partition, number, .. }) = attempts.recv().await {
        let outcome = Err(Failure::NotSent(error.clone()));
        answers.send(Answer { partition, number, outcome }).await.ok();
    }
}

/// Opens the stream before anything is sent, so that a broker that is not there costs nothing.
async fn open(
    settings: &StreamSettings,
) -> Result<(Outbound, Incoming<v1::ProduceStreamResponse>), ClientError> {
    let channel = connect(&settings.address).await?;
    let (outbound, requests) = mpsc::channel(MAX_UNDER_WAY);
    let requests = ReceiverStream::new(requests).map(
        |(left, request): (Arc<AtomicBool>, v1::ProduceStreamRequest)| {
            left.store(true, Ordering::Release);
            request
        },
    );
    let opening = framed::call(channel, framed::path::PRODUCE_STREAM, requests);
    let inbound = within(settings.request_timeout, "ProduceStream", opening).await?;
    Ok((outbound, inbound))
}

struct Stream<'a> {
    settings: &'a StreamSettings,
    /// `None` once there is no more to send.
    outbound: Option<Outbound>,
    next_correlation: u64,
}

impl Stream<'_> {
    /// Returns why the stream broke, or `None` once everything was sent and answered.
    async fn pump(
        &mut self,
        mut inbound: Incoming<v1::ProduceStreamResponse>,
        attempts: &mut mpsc::Receiver<Attempt>,
        answers: &mpsc::Sender<Answer>,
        under_way: &mut BTreeMap<u64, UnderWay>,
    ) -> Option<ClientError> {
        loop {
            if self.outbound.is_none() && under_way.is_empty() {
                return None;
            }
            // Correlation ids rise, and so do deadlines.
            let deadline = under_way.values().next().map(|oldest| oldest.deadline);
            tokio::select! {
                attempt = attempts.recv(), if self.outbound.is_some() && under_way.len() < MAX_UNDER_WAY => match attempt {
                    Some(attempt) => self.send(attempt, under_way),
                    None => self.outbound = None,
                },
                answer = inbound.message() => match answer {
                    Ok(Some(answer)) => {
                        let answer = match read(answer, under_way) {
                            Ok(answer) => answer,
                            Err(error) => return Some(error),
                        };
                        answers.send(answer).await.ok();
                    }
                    Ok(None) => return Some(ClientError::Broker(wire::from_status(
                        &tonic::Status::unavailable("the broker ended the stream"),
                    ))),
                    Err(status) => return Some(ClientError::Broker(wire::from_status(&status))),
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    let waited = self.settings.request_timeout + GRACE;
                    return Some(ClientError::Timeout { request: "a produce", waited });
                }
            }
        }
    }

    fn send(&mut self, attempt: Attempt, under_way: &mut BTreeMap<u64, UnderWay>) {
        let Attempt { partition, number, batch } = attempt;
        let correlation_id = self.next_correlation;
        self.next_correlation += 1;
        let timeout = self.settings.request_timeout;
        let request = v1::ProduceStreamRequest {
            correlation_id,
            topic: partition.topic.to_string(),
            partition: partition.partition.get(),
            acks: self.settings.acks.into(),
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            batches: batch.bytes().clone(),
        };
        let left = Arc::new(AtomicBool::new(false));
        let deadline = Instant::now() + timeout + GRACE;
        let noted = UnderWay { partition, number, left: Arc::clone(&left), deadline };
        under_way.insert(correlation_id, noted);
        if let Some(outbound) = &self.outbound {
            // There is room: no more is under way than the channel holds. If the transport is gone,
            // the inbound half says so next, and what never left is known by its mark.
            outbound.try_send((left, request)).ok();
        }
    }
}

/// Matches an answer with its request.
fn read(
    answer: v1::ProduceStreamResponse,
    under_way: &mut BTreeMap<u64, UnderWay>,
) -> Result<Answer, ClientError> {
    let Some(UnderWay { partition, number, .. }) = under_way.remove(&answer.correlation_id) else {
        return Err(ClientError::InvalidAnswer(wire::InvalidMessage::Value {
            field: "correlation_id",
            found: answer.correlation_id.to_string(),
            expected: "that of a request under way",
        }));
    };
    let outcome = match answer.error {
        Some(error) => Err(Failure::Refused(ClientError::Broker(error_to_remote(error)))),
        None => Ok(answer.base_offset.map(Offset::new)),
    };
    Ok(Answer { partition, number, outcome })
}
