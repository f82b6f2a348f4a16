use std::time::Duration;

use tonic::{Request, Response, Status};
use types::{Offset, TopicPartition};
use wire::InvalidMessage;
use wire::convert::{error_to_proto, required, topic_partition};
use wire::v1::broker::delete_records_partition::Before as ProtoBefore;
use wire::v1::broker::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeletedRecords,
};

use super::Data;
use super::arrival::Arrival;
use super::fetch::{ENVELOPE, owing, within};
use super::forward::Peer;
use crate::deletion::{Before, DeletionError};

/// What the leader may take: it syncs the log and removes files, which a busy disk draws out.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn delete_records(
    data: &Data,
    request: Request<DeleteRecordsRequest>,
) -> Result<Response<DeleteRecordsResponse>, Status> {
    within(request.get_ref().partitions.len(), data.fetch_limits)?;
    let asked = request.get_ref().partitions.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let purse = data.purses.of(request.extensions());
    let held = purse.take(asked.len().saturating_mul(ENVELOPE)).await;
    let arrival = Arrival::of(&request);
    let names = asked.iter().map(|(partition, _)| partition.clone()).collect::<Vec<_>>();
    if let Some(leader) = data.forwarder.target(&request, &names) {
        let call = |mut peer: Peer, request| async move { peer.delete_records(request).await };
        let message = request.into_inner();
        let answer = data.forwarder.ask(&leader, (message, &arrival), PATIENCE, call).await?;
        return Ok(owing(answer, &purse, held));
    }
    let mut partitions = Vec::with_capacity(asked.len());
    for (partition, before) in asked {
        let deleted = data.deletion.delete(&partition, before).await;
        partitions.push(encode(&partition, deleted, &arrival));
    }
    Ok(owing(Response::new(DeleteRecordsResponse { partitions }), &purse, held))
}

fn decode(asked: &DeleteRecordsPartition) -> Result<(TopicPartition, Before), InvalidMessage> {
    let partition = topic_partition(&asked.topic, asked.partition)?;
    let before = match required(asked.before, "before")? {
        ProtoBefore::Offset(offset) => Before::Offset(Offset::new(offset)),
        ProtoBefore::HighWatermark(true) => Before::HighWatermark,
        // Said by a client that means something else, whatever that is.
        ProtoBefore::HighWatermark(false) => {
            return Err(InvalidMessage::Value {
                field: "before.high_watermark",
                found: "false".to_owned(),
                expected: "true, or an offset instead",
            });
        }
    };
    Ok((partition, before))
}

fn encode(
    partition: &TopicPartition,
    deleted: Result<Offset, DeletionError>,
    arrival: &Arrival,
) -> DeletedRecords {
    let named = DeletedRecords {
        topic: partition.topic.to_string(),
        partition: partition.partition.get(),
        ..DeletedRecords::default()
    };
    match deleted {
        Ok(low_watermark) => DeletedRecords { low_watermark: low_watermark.get(), ..named },
        Err(failure) => {
            let leader = match &failure {
                DeletionError::Routing(routing) => arrival.leader_hint(routing),
                DeletionError::OutOfRange { .. }
                | DeletionError::Internal { .. }
                | DeletionError::Log { .. } => None,
            };
            DeletedRecords { error: Some(error_to_proto(&failure, leader)), ..named }
        }
    }
}
