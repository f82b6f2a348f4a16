use std::time::Duration;

use tonic::{Request, Response, Status};
use types::{LeaderEpoch, Offset, TopicPartition};
use wire::InvalidMessage;
use wire::bounds::{Held, Purse};
use wire::convert::{error_to_proto, topic_partition};
use wire::v1::broker::{FetchPartition, FetchRequest, FetchResponse, FetchedPartition};

use super::Data;
use super::arrival::Arrival;
use super::forward::Peer;
use crate::fetching::{Asked, FetchError, Fetched, Query};

/// What a fetch may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of one answer.
    pub(crate) bytes: usize,
    /// Partitions of one request, or of one stream.
    pub(crate) partitions: usize,
}

/// What the answer for one partition takes beside its batches, or an error without any.
pub(super) const ENVELOPE: usize = 256;

pub(super) async fn fetch(
    data: &Data,
    request: Request<FetchRequest>,
) -> Result<Response<FetchResponse>, Status> {
    let query = decode(request.get_ref(), data.fetch_limits)?;
    let purse = data.purses.of(request.extensions());
    let envelopes = query.partitions.len().saturating_mul(ENVELOPE);
    let arrival = Arrival::of(&request);
    let names = query.partitions.iter().map(|asked| asked.partition.clone()).collect::<Vec<_>>();
    if let Some(leader) = data.forwarder.target(&request, &names) {
        let call = |mut peer: Peer, request| async move { peer.fetch(request).await };
        let message = request.into_inner();
        // It passes through here: what the leader may return has to be held as well.
        let held = purse.take(envelopes.saturating_add(query.max_bytes)).await;
        let answer = data.forwarder.ask(&leader, (message, &arrival), query.max_wait, call).await?;
        return Ok(owing(answer, &purse, held));
    }
    let mut held = purse.take(envelopes).await;
    let mut partitions = Vec::with_capacity(query.partitions.len());
    for fetched in data.fetching.fetch(query, &purse).await {
        let (partition, batches) = encode(fetched, &arrival);
        partitions.push(partition);
        held.absorb(batches);
    }
    Ok(owing(Response::new(FetchResponse { partitions }), &purse, held))
}

/// An answer that holds memory until the socket has it.
pub(super) fn owing<T>(mut answer: Response<T>, purse: &Purse, held: Held) -> Response<T> {
    let owed = purse.account();
    owed.add(held);
    answer.extensions_mut().insert(owed);
    answer
}

fn decode(request: &FetchRequest, limits: Limits) -> Result<Query, InvalidMessage> {
    within(request.partitions.len(), limits)?;
    let max_bytes = or_default(request.max_bytes, limits.bytes).min(limits.bytes);
    let partitions = request.partitions.iter().map(|asked| asked_of(asked, max_bytes));
    Ok(Query {
        partitions: partitions.collect::<Result<_, _>>()?,
        max_wait: Duration::from_millis(u64::from(request.max_wait_ms)),
        // More than an answer may hold would only ever be waited for in vain.
        min_bytes: or_default(request.min_bytes, 1).min(max_bytes),
        max_bytes,
    })
}

/// Refuses more partitions than one request or stream may name.
pub(super) fn within(partitions: usize, limits: Limits) -> Result<(), InvalidMessage> {
    if partitions <= limits.partitions {
        return Ok(());
    }
    Err(InvalidMessage::Value {
        field: "partitions",
        found: format!("{partitions} of them"),
        expected: "at most limits.fetch_partitions of the broker; use several requests",
    })
}

pub(super) fn asked_of(
    asked: &FetchPartition,
    default_max_bytes: usize,
) -> Result<Asked, InvalidMessage> {
    Ok(Asked {
        partition: topic_partition(&asked.topic, asked.partition)?,
        offset: Offset::new(asked.fetch_offset),
        max_bytes: or_default(asked.max_bytes, default_max_bytes),
        current_epoch: asked.current_leader_epoch.map(LeaderEpoch::new),
    })
}

fn or_default(given: u32, default: usize) -> usize {
    match usize::try_from(given) {
        Ok(0) => default,
        Ok(given) => given,
        Err(_beyond) => usize::MAX,
    }
}

/// The message, and what the batches in it hold.
pub(super) fn encode(fetched: Fetched, arrival: &Arrival) -> (FetchedPartition, Held) {
    let Fetched { partition, outcome } = fetched;
    let TopicPartition { topic, partition } = partition;
    let named = FetchedPartition {
        topic: topic.to_string(),
        partition: partition.get(),
        ..FetchedPartition::default()
    };
    match outcome {
        Ok(gathered) => {
            let (high_watermark, log_start) = (gathered.high_watermark, gathered.log_start);
            let epoch = gathered.epoch;
            let (batches, held) = gathered.into_batches();
            let message = FetchedPartition {
                high_watermark: high_watermark.get(),
                log_start_offset: log_start.get(),
                leader_epoch: epoch.get(),
                batches,
                ..named
            };
            (message, held)
        }
        Err(failure) => (failed(&failure, named, arrival), Held::default()),
    }
}

fn failed(failure: &FetchError, named: FetchedPartition, arrival: &Arrival) -> FetchedPartition {
    let error = |leader| Some(error_to_proto(failure, leader));
    match failure {
        FetchError::Routing(routing) => {
            FetchedPartition { error: error(arrival.leader_hint(routing)), ..named }
        }
        FetchError::OutOfRange { start, end, .. } => FetchedPartition {
            error: error(None),
            high_watermark: end.get(),
            log_start_offset: start.get(),
            ..named
        },
        FetchError::Lost { offsets, .. } => {
            FetchedPartition { error: error(None), resume_offset: Some(offsets.end.get()), ..named }
        }
        FetchError::FencedEpoch { .. }
        | FetchError::UnknownEpoch { .. }
        | FetchError::Read { .. }
        | FetchError::Damaged { .. }
        | FetchError::Busy
        | FetchError::ShuttingDown => FetchedPartition { error: error(None), ..named },
    }
}
