use std::collections::BTreeMap;

use types::{Offset, TopicPartition};
use wire::convert::{error_to_remote, topic_partition};
use wire::v1::broker as v1;
use wire::v1::broker::delete_records_partition::Before;

use super::{DeleteBefore, OffsetAt, Outcomes, list_offsets};
use crate::ClientError;
use crate::connection::{broker_service, within};
use crate::leaders::ask_leaders;
use crate::metadata::Metadata;

/// Deletes records. "All there is" becomes an offset first: a request whose answer is lost is sent
/// again, and must not take what has come meanwhile.
pub(super) async fn delete_records(
    metadata: &Metadata,
    partitions: &[(TopicPartition, DeleteBefore)],
) -> Result<Outcomes<TopicPartition, Offset>, ClientError> {
    let ends = ends(metadata, partitions).await?;
    let mut outcomes: Vec<Option<Result<Offset, ClientError>>> = Vec::new();
    let mut asked = Vec::new();
    for (of, before) in partitions {
        let before = match before {
            DeleteBefore::Offset(offset) => Ok(*offset),
            // Each of them was asked for.
            DeleteBefore::HighWatermark => ends.get(of).cloned().unwrap_or(Ok(Offset::ZERO)),
        };
        outcomes.push(match before {
            Ok(offset) => {
                asked.push((of.clone(), offset));
                None
            }
            Err(error) => Some(Err(error)),
        });
    }
    let mut deleted = delete_before(metadata, &asked).await?.into_iter().map(|(_, left)| left);
    let names = partitions.iter().map(|(of, _)| of.clone());
    let outcomes = outcomes.into_iter().map(|outcome| outcome.or_else(|| deleted.next()));
    Ok(names.zip(outcomes).filter_map(|(of, outcome)| Some((of, outcome?))).collect())
}

/// The high watermark of each partition that is to be emptied.
async fn ends(
    metadata: &Metadata,
    partitions: &[(TopicPartition, DeleteBefore)],
) -> Result<BTreeMap<TopicPartition, Result<Offset, ClientError>>, ClientError> {
    let emptied = partitions.iter().filter(|(_, before)| *before == DeleteBefore::HighWatermark);
    let asked: Vec<_> = emptied.map(|(of, _)| (of.clone(), OffsetAt::Latest)).collect();
    let mut ends = BTreeMap::new();
    for (of, listed) in list_offsets(metadata, &asked).await? {
        let unnamed = ClientError::InvalidAnswer(wire::InvalidMessage::Missing { field: "offset" });
        ends.insert(of, listed.and_then(|listed| listed.offset.ok_or(unnamed)));
    }
    Ok(ends)
}

async fn delete_before(
    metadata: &Metadata,
    partitions: &[(TopicPartition, Offset)],
) -> Result<Outcomes<TopicPartition, Offset>, ClientError> {
    let partition = |(partition, before): (TopicPartition, Offset)| v1::DeleteRecordsPartition {
        topic: partition.topic.to_string(),
        partition: partition.partition.get(),
        before: Some(Before::Offset(before.get())),
    };
    let deleted = |deleted: v1::DeletedRecords| {
        let left = match deleted.error {
            Some(error) => Err(ClientError::Broker(error_to_remote(error))),
            None => Ok(Offset::new(deleted.low_watermark)),
        };
        Ok((topic_partition(&deleted.topic, deleted.partition)?, left))
    };
    let limit = metadata.request_timeout();
    ask_leaders(metadata, partitions, |channel, asked| {
        let partitions = asked.into_iter().map(partition).collect();
        let request = v1::DeleteRecordsRequest { partitions };
        async move {
            let mut broker = broker_service(channel);
            let answer = within(limit, "DeleteRecords", broker.delete_records(request)).await?;
            answer.partitions.into_iter().map(deleted).collect()
        }
    })
    .await
}
