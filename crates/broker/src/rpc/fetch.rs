use std::time::Duration;

use tonic::{Request, Response, Status};
use types::{LeaderEpoch, Offset, TopicPartition};
use wire::InvalidMessage;
use wire::convert::{error_to_proto, topic_partition};
use wire::v1::broker::{FetchPartition, FetchRequest, FetchResponse, FetchedPartition};

use super::Data;
use super::forward::{Peer, leader_hint};
use crate::fetching::{Asked, FetchError, Fetched, Query};

/// What a fetch may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of one answer.
    pub(crate) bytes: usize,
    /// Partitions of one request, or of one stream.
    pub(crate) partitions: usize,
}

pub(super) async fn fetch(
    data: &Data,
    request: Request<FetchRequest>,
) -> Result<Response<FetchResponse>, Status> {
    let query = decode(request.get_ref(), data.fetch_limits)?;
    let names = query.partitions.iter().map(|asked| asked.partition.clone()).collect::<Vec<_>>();
    if let Some(leader) = data.forwarder.target(&request, &names) {
        let call = |mut peer: Peer, request| async move { peer.fetch(request).await };
        let message = request.into_inner();
        return data.forwarder.ask(&leader, message, query.max_wait, call).await;
    }
    let fetched = data.fetching.fetch(query).await;
    Ok(Response::new(FetchResponse { partitions: fetched.into_iter().map(encode).collect() }))
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

pub(super) fn encode(fetched: Fetched) -> FetchedPartition {
    let Fetched { partition, outcome } = fetched;
    let TopicPartition { topic, partition } = partition;
    let named = FetchedPartition {
        topic: topic.to_string(),
        partition: partition.get(),
        ..FetchedPartition::default()
    };
    match outcome {
        Ok(gathered) => FetchedPartition {
            high_watermark: gathered.high_watermark.get(),
            log_start_offset: gathered.log_start.get(),
            leader_epoch: gathered.epoch.get(),
            batches: gathered.into_batches(),
            ..named
        },
        Err(failure) => failed(&failure, named),
    }
}

fn failed(failure: &FetchError, named: FetchedPartition) -> FetchedPartition {
    let error = |leader| Some(error_to_proto(failure, leader));
    match failure {
        FetchError::Routing(routing) => {
            FetchedPartition { error: error(leader_hint(routing)), ..named }
        }
        FetchError::OutOfRange { start, end, .. } => FetchedPartition {
            error: error(None),
            high_watermark: end.get(),
            log_start_offset: start.get(),
            ..named
        },
        FetchError::FencedEpoch { .. }
        | FetchError::UnknownEpoch { .. }
        | FetchError::Read { .. }
        | FetchError::Damaged { .. }
        | FetchError::ShuttingDown => FetchedPartition { error: error(None), ..named },
    }
}
