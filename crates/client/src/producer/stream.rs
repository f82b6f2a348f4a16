//! One `ProduceStream` to one broker, on a connection that it may share with other producers' streams.

mod outbox;
#[cfg(test)]
mod simulation;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use record::ProducedBatch;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use types::{Coded, Offset, Reason, TopicPartition};
use wire::convert::error_to_remote;
use wire::framed::{self, Incoming, ProduceBatches};
use wire::v1::broker as v1;

use self::outbox::{Late, Outbox, Request, Serial};
use super::lane::Dispatch;
use super::numbering::PartitionIndex;
use super::verdict::{Failure, is_final};
use crate::ClientError;
use crate::connection::{ProduceConnection, within};

/// Most batches that a stream has and that are not answered: what they hold is within the
/// producer's memory, and this is what they cost besides.
pub(crate) const MAX_UNDER_WAY: usize = 4096;
/// Most answers that are taken before anything else is looked at: each look costs as much as they do.
const ANSWERED_TOGETHER: usize = 32;
/// What the broker is given beyond its own deadline to say that it missed it.
const GRACE: Duration = Duration::from_secs(5);

/// A batch to be sent.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) of: PartitionIndex,
    /// Its name.
    pub(super) partition: TopicPartition,
    pub(super) dispatch: Dispatch,
}

impl Attempt {
    fn failed(self, failure: Failure) -> Answer {
        Answer { of: self.of, number: self.dispatch.number, outcome: Err(failure) }
    }
}

/// The one answer to each attempt.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) of: PartitionIndex,
    pub(super) number: u64,
    pub(super) outcome: Result<Option<Offset>, Failure>,
}

/// What a stream asks for.
#[derive(Clone, Debug)]
pub(crate) struct StreamSettings {
    pub(crate) acks: v1::Acks,
    pub(crate) request_timeout: Duration,
}

/// A batch of a request.
struct Part {
    number: u64,
    records: u64,
}

/// A request that is not answered.
struct UnderWay {
    of: PartitionIndex,
    serial: Serial,
    /// The most that any of the batches was sent with.
    failures: u64,
    /// In the order in which they lie in it.
    parts: Vec<Part>,
    claim: Claim,
    deadline: Instant,
}

type Outbound = mpsc::Sender<Claim>;

/// A request that whoever is first has alone. Once the transport has it, it may arrive; once its
/// stream has taken it back, it cannot, and takes no memory, though the transport outlives the stream.
#[derive(Clone, Debug)]
struct Claim(Arc<Mutex<Option<ProduceBatches>>>);

impl Claim {
    fn new(request: ProduceBatches) -> Self {
        Self(Arc::new(Mutex::new(Some(request))))
    }

    /// The request; none if the other was first.
    fn take(&self) -> Option<ProduceBatches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Sends attempts and answers each of them once, until the attempts end or the connection does.
pub(crate) async fn run(
    settings: StreamSettings,
    connection: ProduceConnection,
    mut attempts: mpsc::Receiver<Attempt>,
    answers: mpsc::Sender<Answer>,
) {
    let mut stream = Stream::new(&settings, &answers);
    let ended = match open(&settings, &connection).await {
        Ok((outbound, inbound)) => stream.pump(outbound, inbound, &mut attempts).await,
        Err(error) => Some(error),
    };
    if let Some(error) = ended {
        connection.forget();
        stream.end(error, &mut attempts).await;
    }
}

/// Whoever started the stream outlives it, or is going away with everybody who waits.
async fn tell(answers: &mpsc::Sender<Answer>, answer: Answer) {
    answers.send(answer).await.ok();
}

/// Opens the stream before anything is sent, so that a broker that is not there costs nothing.
async fn open(
    settings: &StreamSettings,
    connection: &ProduceConnection,
) -> Result<(Outbound, Incoming<v1::ProduceStreamResponse>), ClientError> {
    let connection = connection.opened().await?;
    let (outbound, requests) = mpsc::channel(MAX_UNDER_WAY);
    let requests = ReceiverStream::new(requests).filter_map(|claim: Claim| claim.take());
    let opening = connection.call(framed::path::PRODUCE_STREAM, requests);
    let inbound = within(settings.request_timeout, "ProduceStream", opening).await?;
    Ok((outbound, inbound))
}

struct Stream<'a> {
    settings: &'a StreamSettings,
    answers: &'a mpsc::Sender<Answer>,
    outbox: Outbox,
    /// By correlation id, which rise, and so do deadlines.
    under_way: BTreeMap<u64, UnderWay>,
    /// That the outbox and those under way hold.
    batches: usize,
    next_correlation: u64,
}

/// Whether there is more to come from whoever sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempts {
    Open,
    Ended,
}

impl<'a> Stream<'a> {
    fn new(settings: &'a StreamSettings, answers: &'a mpsc::Sender<Answer>) -> Self {
        Self {
            settings,
            answers,
            outbox: Outbox::default(),
            under_way: BTreeMap::new(),
            batches: 0,
            next_correlation: 0,
        }
    }

    /// Returns why the stream broke, or `None` once everything was sent and answered.
    async fn pump(
        &mut self,
        outbound: Outbound,
        mut inbound: Incoming<v1::ProduceStreamResponse>,
        attempts: &mut mpsc::Receiver<Attempt>,
    ) -> Option<ClientError> {
        let mut input = Attempts::Open;
        let mut taken = Vec::new();
        // Set to an earlier deadline than the next one, at times: they only rise, and to set it
        // for each request costs more than to look once more.
        let mut alarm = pin!(sleep_until(Instant::now()));
        loop {
            if input == Attempts::Ended && self.batches == 0 {
                return None;
            }
            let room = MAX_UNDER_WAY - self.batches;
            let deadline = self.under_way.values().next().map(|oldest| oldest.deadline);
            tokio::select! {
                count = attempts.recv_many(&mut taken, room), if input == Attempts::Open && room != 0 => {
                    if count == 0 {
                        input = Attempts::Ended;
                    }
                    for attempt in taken.drain(..) {
                        self.take_up(attempt).await;
                    }
                }
                answer = inbound.message() => {
                    if let Err(error) = self.take_answers(answer, &mut inbound).await {
                        return Some(error);
                    }
                }
                () = &mut alarm, if deadline.is_some() => match deadline {
                    Some(deadline) if Instant::now() < deadline => alarm.as_mut().reset(deadline),
                    Some(_) | None => {
                        let waited = self.settings.request_timeout + GRACE;
                        return Some(ClientError::Timeout { request: "a produce", waited });
                    }
                }
            }
            self.send_all(&outbound);
        }
    }

    async fn take_up(&mut self, attempt: Attempt) {
        self.batches += 1;
        if let Some(Late { attempt, cause }) = self.outbox.push(attempt) {
            self.batches -= 1;
            tell(self.answers, attempt.failed(Failure::Beside(cause))).await;
        }
    }

    /// Sends whatever may leave now.
    fn send_all(&mut self, outbound: &Outbound) {
        while let Some(request) = self.outbox.next_request() {
            self.send(request, outbound);
        }
    }

    /// Tells everyone who waits that there is no more to come.
    async fn end(self, error: ClientError, attempts: &mut mpsc::Receiver<Attempt>) {
        let Self { answers, outbox, under_way, .. } = self;
        // A broker that shuts down answers what it has taken up before it says so; what it leaves
        // unanswered it has not looked at.
        let lost =
            if error.reason() == Reason::ShuttingDown { Failure::Refused } else { Failure::Lost };
        for UnderWay { of, parts, claim, .. } in under_way.into_values() {
            let failure = if claim.take().is_some() { Failure::NotSent } else { lost };
            for Part { number, .. } in parts {
                let outcome = Err(failure(error.clone()));
                tell(answers, Answer { of, number, outcome }).await;
            }
        }
        attempts.close();
        for attempt in outbox.into_waiting() {
            tell(answers, attempt.failed(Failure::NotSent(error.clone()))).await;
        }
        while let Some(attempt) = attempts.recv().await {
            tell(answers, attempt.failed(Failure::NotSent(error.clone()))).await;
        }
    }

    fn send(&mut self, request: Request, outbound: &Outbound) {
        let Request { serial, attempts } = request;
        let Some(Attempt { of, partition, .. }) = attempts.first() else { return };
        let correlation_id = self.next_correlation;
        self.next_correlation += 1;
        let timeout = self.settings.request_timeout;
        let head = v1::ProduceStreamRequest {
            correlation_id,
            topic: partition.topic.as_str().to_owned(),
            partition: partition.partition.get(),
            acks: self.settings.acks.into(),
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            ..v1::ProduceStreamRequest::default()
        };
        let in_order = || attempts.iter().map(|attempt| &attempt.dispatch.batch);
        let mut batches = Vec::with_capacity(in_order().map(ProducedBatch::piece_count).sum());
        in_order().for_each(|batch| batches.extend(batch.pieces()));
        let failures = attempts.iter().map(|attempt| attempt.dispatch.failures).max();
        let parts = attempts.iter().map(|Attempt { dispatch, .. }| Part {
            number: dispatch.number,
            records: u64::from(dispatch.batch.record_count()),
        });
        let claim = Claim::new(ProduceBatches { head, batches });
        let deadline = Instant::now() + timeout + GRACE;
        let (parts, noted) = (parts.collect(), claim.clone());
        let failures = failures.unwrap_or_default();
        let noted = UnderWay { of: *of, serial, failures, parts, claim: noted, deadline };
        self.under_way.insert(correlation_id, noted);
        // There is room: no more is under way than the channel holds. If the transport is gone, the
        // inbound half says so next, and what never left is still to be claimed.
        outbound.try_send(claim).ok();
    }

    /// Takes this answer, and others that are there by now.
    async fn take_answers(
        &mut self,
        first: Result<Option<v1::ProduceStreamResponse>, Status>,
        inbound: &mut Incoming<v1::ProduceStreamResponse>,
    ) -> Result<(), ClientError> {
        let (mut next, mut taken) = (Some(first), 0);
        while let Some(answer) = next {
            let broken = |status: Status| ClientError::Broker(wire::from_status(&status));
            let ended = || broken(Status::unavailable("the broker ended the stream"));
            self.answered(answer.map_err(broken)?.ok_or_else(ended)?).await?;
            taken += 1;
            let may_go_on = taken < ANSWERED_TOGETHER;
            next = if may_go_on { inbound.message().now_or_never() } else { None };
        }
        Ok(())
    }

    /// Tells the fate of each batch of a request.
    async fn answered(&mut self, answer: v1::ProduceStreamResponse) -> Result<(), ClientError> {
        let Some(request) = self.under_way.remove(&answer.correlation_id) else {
            return Err(ClientError::InvalidAnswer(wire::InvalidMessage::Value {
                field: "correlation_id",
                found: answer.correlation_id.to_string(),
                expected: "that of a request under way",
            }));
        };
        let UnderWay { of, serial, failures, parts, .. } = request;
        self.batches -= parts.len();
        self.outbox.answered(of, serial);
        match answer.error {
            None => {
                let mut base = answer.base_offset;
                for Part { number, records } in parts {
                    let outcome = Ok(base.map(Offset::new));
                    base = base.and_then(|base| base.checked_add(records));
                    tell(self.answers, Answer { of, number, outcome }).await;
                }
            }
            Some(error) => {
                let error = ClientError::Broker(error_to_remote(error));
                let failure = match parts.len() {
                    0 | 1 => Failure::Refused,
                    _ if is_final(&error) => Failure::Beside,
                    _ => Failure::Refused,
                };
                for Part { number, .. } in parts {
                    let outcome = Err(failure(error.clone()));
                    tell(self.answers, Answer { of, number, outcome }).await;
                }
                let held = self.outbox.hold_back(of, failures, &error);
                self.batches -= held.len();
                for attempt in held {
                    tell(self.answers, attempt.failed(Failure::Beside(error.clone()))).await;
                }
            }
        }
        Ok(())
    }
}
