use std::time::Duration;

use tonic::{Request, Response, Status};
use types::{Timestamp, TopicPartition};
use wire::InvalidMessage;
use wire::convert::{error_to_proto, required, topic_partition};
use wire::v1::broker::list_offsets_partition::At as ProtoAt;
use wire::v1::broker::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListedOffset,
};

use super::Data;
use super::arrival::Arrival;
use super::fetch::{ENVELOPE, owing, within};
use super::forward::Peer;
use crate::listing::{At, Listed, ListingError};

pub(super) async fn list_offsets(
    data: &Data,
    request: Request<ListOffsetsRequest>,
) -> Result<Response<ListOffsetsResponse>, Status> {
    within(request.get_ref().partitions.len(), data.fetch_limits)?;
    let asked = request.get_ref().partitions.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let purse = data.purses.of(request.extensions());
    let held = purse.take(asked.len().saturating_mul(ENVELOPE)).await;
    let arrival = Arrival::of(&request);
    let names = asked.iter().map(|(partition, _)| partition.clone()).collect::<Vec<_>>();
    if let Some(leader) = data.forwarder.target(&request, &names) {
        let call = |mut peer: Peer, request| async move { peer.list_offsets(request).await };
        let message = request.into_inner();
        let answer = data.forwarder.ask(&leader, (message, &arrival), Duration::ZERO, call).await?;
        return Ok(owing(answer, &purse, held));
    }
    let mut offsets = Vec::with_capacity(asked.len());
    for (partition, at) in asked {
        let listed = data.listing.list(&partition, at).await;
        offsets.push(encode(&partition, listed, &arrival));
    }
    Ok(owing(Response::new(ListOffsetsResponse { offsets }), &purse, held))
}

fn decode(asked: &ListOffsetsPartition) -> Result<(TopicPartition, At), InvalidMessage> {
    let partition = topic_partition(&asked.topic, asked.partition)?;
    let at = match required(asked.at, "at")? {
        ProtoAt::Earliest(_) => At::Earliest,
        ProtoAt::Latest(_) => At::Latest,
        ProtoAt::TimestampMs(millis) => At::Time(Timestamp::from_millis(millis)),
    };
    Ok((partition, at))
}

fn encode(
    partition: &TopicPartition,
    listed: Result<Listed, ListingError>,
    arrival: &Arrival,
) -> ListedOffset {
    let named = ListedOffset {
        topic: partition.topic.to_string(),
        partition: partition.partition.get(),
        ..ListedOffset::default()
    };
    match listed {
        Ok(Listed { found, epoch }) => ListedOffset {
            offset: found.map(|(offset, _)| offset.get()),
            timestamp_ms: found.and_then(|(_, timestamp)| timestamp.map(Timestamp::as_millis)),
            leader_epoch: epoch.get(),
            ..named
        },
        Err(failure) => {
            let leader = match &failure {
                ListingError::Routing(routing) => arrival.leader_hint(routing),
                ListingError::Read { .. } | ListingError::ShuttingDown => None,
            };
            ListedOffset { error: Some(error_to_proto(&failure, leader)), ..named }
        }
    }
}
