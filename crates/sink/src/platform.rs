//! The platform itself as the source: topics and schemas through the client.

use std::collections::BTreeMap;

use client::registry::{RegistryClient, RegistryError};
use client::{Client, ClientError, ConsumerConfig, OffsetAt, RangeReader};
use lake::plan::{Bounds, SourceTopic};
use record::Record;
use types::{Code, Coded, Offset, Reason, SchemaId, TopicName, TopicPartition};

use crate::source::{RecordReader, RecordSource, SchemaError, SchemaSource, SourceError};

/// Topics of a cluster.
#[derive(Clone, Debug)]
pub struct TopicSource {
    client: Client,
}

/// One range of a partition of a cluster's topic.
#[derive(Debug)]
pub struct TopicReader {
    reader: RangeReader,
    partition: TopicPartition,
    to: Offset,
}

impl TopicSource {
    /// The topics that `client` reaches.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl RecordSource for TopicSource {
    type Reader = TopicReader;

    async fn describe(&self, topic: &TopicName) -> Result<SourceTopic, SourceError> {
        let failed = |source| failed(format!("the description of {topic}"), source);
        let admin = self.client.admin();
        // Asked for by name and not made: a topic that is landed must be there.
        let described = admin.describe_topics(std::slice::from_ref(topic)).await.map_err(failed)?;
        let described = match described.into_iter().next() {
            Some((_, Ok(described))) => described,
            Some((_, Err(error))) if error.code() != Code::NotFound => return Err(failed(error)),
            Some((_, Err(_))) | None => {
                return Err(SourceError::UnknownTopic { topic: topic.clone() });
            }
        };
        let named = |(id, _)| TopicPartition::new(topic.clone(), id);
        let partitions: Vec<TopicPartition> = described.numbered_partitions().map(named).collect();
        // Earliest first: an end that was asked for later is never before it.
        let earliest = self.offsets(&partitions, OffsetAt::Earliest).await?;
        let latest = self.offsets(&partitions, OffsetAt::Latest).await?;
        let bounds = earliest.into_iter().zip(latest);
        let bounds = bounds.map(|(earliest, latest)| Bounds { earliest, latest });
        let ids = partitions.into_iter().map(|partition| partition.partition);
        Ok(SourceTopic { id: described.id, partitions: ids.zip(bounds).collect() })
    }

    async fn read(
        &self,
        partition: &TopicPartition,
        from: Offset,
        to: Offset,
    ) -> Result<TopicReader, SourceError> {
        let config = ConsumerConfig::default();
        let opened = self.client.read_range(partition.clone(), from..to, config).await;
        let reader = opened.map_err(|error| unreadable(partition, error))?;
        Ok(TopicReader { reader, partition: partition.clone(), to })
    }
}

impl TopicSource {
    /// One offset for each partition, in their order.
    async fn offsets(
        &self,
        partitions: &[TopicPartition],
        at: OffsetAt,
    ) -> Result<Vec<Offset>, SourceError> {
        let asked: Vec<_> = partitions.iter().map(|partition| (partition.clone(), at)).collect();
        let ends = || "the ends of the topic".to_owned();
        let listed = self.client.admin().list_offsets(&asked).await;
        let mut offsets = BTreeMap::new();
        for (partition, listed) in listed.map_err(|error| failed(ends(), error))? {
            let listed = listed.map_err(|error| unreadable(&partition, error))?;
            offsets.insert(partition, listed.offset);
        }
        let found = |partition| offsets.get(partition).copied().flatten();
        let found = partitions.iter().map(|partition| {
            found(partition).ok_or_else(|| SourceError::Failed {
                what: format!("the ends of {partition}"),
                reason: Reason::UnknownServerError,
                source: "the broker did not name them".into(),
            })
        });
        found.collect()
    }
}

impl RecordReader for TopicReader {
    async fn next(&mut self) -> Result<Option<Vec<Record>>, SourceError> {
        match self.reader.next_batch().await {
            Ok(Some(batch)) => Ok(Some(batch.records)),
            Ok(None) if self.reader.position().is_some_and(|position| self.to <= position) => {
                Ok(None)
            }
            // Records that are missing at the end must not pass for holes.
            Ok(None) => Err(SourceError::Failed {
                what: self.partition.to_string(),
                reason: Reason::UnknownServerError,
                source: "the reader stopped before the end of its range".into(),
            }),
            Err(error) => Err(unreadable(&self.partition, error)),
        }
    }
}

fn unreadable(partition: &TopicPartition, error: ClientError) -> SourceError {
    if let ClientError::OffsetOutOfRange { topic_partition, asked, .. } = error {
        return SourceError::OutOfRange { partition: topic_partition, offset: asked };
    }
    failed(partition.to_string(), error)
}

fn failed(what: String, error: ClientError) -> SourceError {
    SourceError::Failed { what, reason: error.reason(), source: Box::new(error) }
}

/// The schemas of a registry.
#[derive(Clone, Debug)]
pub struct RegistrySchemas {
    registry: RegistryClient,
}

impl RegistrySchemas {
    /// Asks `registry`.
    pub const fn new(registry: RegistryClient) -> Self {
        Self { registry }
    }
}

impl SchemaSource for RegistrySchemas {
    async fn schema(&self, id: SchemaId) -> Result<String, SchemaError> {
        self.registry.schema(id).await.map_err(|error| {
            // Only what the registry itself says of the id is the payload's fault: any other
            // failure would send good records to quarantine.
            if error.is_not_found() {
                SchemaError::UnknownId { id }
            } else if let RegistryError::NotAvro { found } = error {
                SchemaError::NotAvro { id, kind: found }
            } else {
                SchemaError::Unavailable { id, source: Box::new(error) }
            }
        })
    }
}
