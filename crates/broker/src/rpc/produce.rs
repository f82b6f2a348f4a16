use std::time::Duration;

use replication::{Acknowledged, Acks};
use tonic::{Request, Response, Status};
use types::{PartitionId, Timestamp, TopicName, TopicPartition};
use wire::InvalidMessage;
use wire::convert::{error_to_proto, required};
use wire::v1::broker::produce_request::Payload as ProtoPayload;
use wire::v1::broker::{self, ProduceRequest, ProduceResponse};
use wire::v1::types::{Error, Record};

use super::Data;
use super::arrival::Arrival;
use super::forward::Peer;
use crate::partitions::RoutingError;
use crate::producing::{Append, AppendFailure, NewRecord, Payload};
use crate::topics::TopicError;

/// How long acks may take if the request does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// One produce as asked: the partition may be left to the broker.
struct Asked {
    topic: TopicName,
    partition: Option<PartitionId>,
    acks: Acks,
    timeout: Duration,
    payload: Payload,
}

pub(super) async fn produce(
    data: &Data,
    request: Request<ProduceRequest>,
) -> Result<Response<ProduceResponse>, Status> {
    let Asked { topic, partition, acks, timeout, payload } = decode(request.get_ref())?;
    let found = match data.topics.find_or_create(&topic).await {
        Ok(found) => found,
        Err(error) => return Ok(Response::new(refused(&error, partition))),
    };
    let arrival = Arrival::of(&request);
    let partition = partition.unwrap_or_else(|| data.producing.choose(&found, &payload));
    let partition = TopicPartition::new(topic, partition);
    if let Some(leader) = data.forwarder.target(&request, std::slice::from_ref(&partition)) {
        let chosen = Some(partition.partition.get());
        let message = ProduceRequest { partition: chosen, ..request.into_inner() };
        let call = |mut peer: Peer, request| async move { peer.produce(request).await };
        return data.forwarder.ask(&leader, (message, &arrival), timeout, call).await;
    }
    let append = Append { partition: partition.clone(), acks, timeout, payload };
    let outcome = data.producing.append(append).await;
    let log_start_offset = data.listing.log_start(&partition);
    let (base_offset, error) = encode(outcome, &arrival);
    let partition = partition.partition.get();
    Ok(Response::new(ProduceResponse { partition, base_offset, error, log_start_offset }))
}

/// There is no such topic, and there will be none.
fn refused(error: &TopicError, partition: Option<PartitionId>) -> ProduceResponse {
    ProduceResponse {
        partition: partition.map_or(0, PartitionId::get),
        error: Some(error_to_proto(error, None)),
        ..ProduceResponse::default()
    }
}

fn decode(request: &ProduceRequest) -> Result<Asked, InvalidMessage> {
    let payload = match required(request.payload.as_ref(), "payload")? {
        ProtoPayload::Batches(_) if request.partition.is_none() => {
            return Err(InvalidMessage::Missing { field: "partition (batches need one)" });
        }
        ProtoPayload::Batches(batches) => Payload::Batches(batches.clone()),
        ProtoPayload::Records(records) => {
            Payload::Records(records.records.iter().map(new_record).collect())
        }
    };
    Ok(Asked {
        topic: TopicName::new(&request.topic)?,
        partition: request.partition.map(PartitionId::new),
        acks: acks_of(request.acks)?,
        timeout: timeout_of(request.timeout_ms),
        payload,
    })
}

fn new_record(record: &Record) -> NewRecord {
    let header = |header: &wire::v1::types::Header| record::Header {
        key: header.key.clone().into(),
        value: header.value.clone(),
    };
    NewRecord {
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().map(header).collect(),
        timestamp: record.timestamp_ms.map(Timestamp::from_millis),
    }
}

pub(super) fn acks_of(raw: i32) -> Result<Acks, InvalidMessage> {
    match broker::Acks::try_from(raw) {
        Ok(broker::Acks::Unspecified | broker::Acks::All) => Ok(Acks::All),
        Ok(broker::Acks::Leader) => Ok(Acks::Leader),
        Ok(broker::Acks::None) => Ok(Acks::None),
        Err(_unknown) => Err(InvalidMessage::Value {
            field: "acks",
            found: raw.to_string(),
            expected: "ACKS_NONE, ACKS_LEADER or ACKS_ALL",
        }),
    }
}

pub(super) fn timeout_of(millis: u32) -> Duration {
    if millis == 0 { DEFAULT_TIMEOUT } else { Duration::from_millis(u64::from(millis)) }
}

/// The base offset and the error of an answer.
pub(super) fn encode(
    outcome: Result<Acknowledged, AppendFailure>,
    arrival: &Arrival,
) -> (Option<u64>, Option<Error>) {
    match outcome {
        Ok(acknowledged) => (acknowledged.base_offset.map(types::Offset::get), None),
        Err(failure) => {
            let leader = routing(&failure).and_then(|error| arrival.leader_hint(error));
            (None, Some(error_to_proto(&failure, leader)))
        }
    }
}

fn routing(failure: &AppendFailure) -> Option<&RoutingError> {
    match failure {
        AppendFailure::Routing(error) => Some(error),
        AppendFailure::Empty
        | AppendFailure::Record { .. }
        | AppendFailure::TooLarge { .. }
        | AppendFailure::Reserved { .. }
        | AppendFailure::Busy
        | AppendFailure::Partition(_)
        | AppendFailure::ShuttingDown => None,
    }
}
