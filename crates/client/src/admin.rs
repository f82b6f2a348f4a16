mod deleting;
mod logs;

use std::sync::Arc;

use cluster::{Broker, Topic};
use types::{LeaderEpoch, Offset, Revision, Timestamp, TopicName, TopicPartition};
use wire::convert::{broker_from_proto, error_to_remote, topic_partition};
use wire::v1::broker as v1;
use wire::v1::broker::list_offsets_partition::At;
use wire::v1::types::ConfigEntry;

use self::deleting::delete_records;
pub use self::logs::{LogDamage, LogDescription, LogScope, ScrubNews, ScrubStream, ScrubbedDamage};
use crate::ClientError;
use crate::connection::{admin_service, broker_service, within};
use crate::leaders::ask_leaders;
use crate::metadata::{Metadata, Repeat};

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions; `None`: the broker's default.
    pub partitions: Option<u32>,
    /// How many copies of each; `None`: the broker's default.
    pub replication_factor: Option<u32>,
    /// Settings that differ from the defaults.
    pub configs: Vec<(String, String)>,
}

/// Whether a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// It is checked and made.
    Change,
    /// It is checked only.
    CheckOnly,
}

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// Kafka's name where Kafka has it.
    pub name: String,
    /// The value that counts.
    pub value: String,
    /// Whether the topic leaves it at the default.
    pub is_default: bool,
    /// One line of help.
    pub documentation: String,
}

/// The cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its identity.
    pub cluster_id: String,
    /// Every broker registered.
    pub brokers: Vec<Broker>,
    /// The leading coordinator, as `host:port`.
    pub coordinator: String,
    /// Version of the metadata that the answering broker has.
    pub revision: Revision,
    /// The listener by which this client came; `None` is the one that every broker has. The
    /// brokers' endpoints are there.
    pub listener: Option<String>,
}

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first still held.
    Earliest,
    /// The end of what consumers may read.
    Latest,
    /// Of the first record at or after a time.
    Timestamp(Timestamp),
}

/// An offset found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` if no record is that young.
    pub offset: Option<Offset>,
    /// The record's time, if it was asked for by time.
    pub timestamp: Option<Timestamp>,
    /// The epoch of the leader that answered.
    pub leader_epoch: LeaderEpoch,
}

/// Before which offset records are to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteBefore {
    /// This one, which stays. At most the high watermark.
    Offset(Offset),
    /// All that consumers can read now (Kafka's -1).
    HighWatermark,
}

/// What happened to each of the things named in one request.
pub type Outcomes<K, T> = Vec<(K, Result<T, ClientError>)>;

/// The administrator's requests.
///
/// A request that changes something is sent to one broker only: after a broken connection its
/// outcome is unknown, and asking for the state tells.
#[derive(Clone, Debug)]
pub struct Admin {
    metadata: Arc<Metadata>,
}

impl Admin {
    pub(crate) const fn new(metadata: Arc<Metadata>) -> Self {
        Self { metadata }
    }

    /// Makes topics. Every topic has its own outcome.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        apply: Apply,
    ) -> Result<Outcomes<TopicName, ()>, ClientError> {
        let topic = |topic: NewTopic| v1::NewTopic {
            name: topic.name.to_string(),
            partitions: topic.partitions.unwrap_or(0),
            replication_factor: topic.replication_factor.unwrap_or(0),
            configs: config_entries(topic.configs),
        };
        let request = v1::CreateTopicsRequest {
            topics: topics.into_iter().map(topic).collect(),
            validate_only: apply == Apply::CheckOnly,
        };
        let limit = self.metadata.request_timeout();
        let ask = |channel| {
            let request = request.clone();
            async move {
                within(limit, "CreateTopics", admin_service(channel).create_topics(request)).await
            }
        };
        outcomes(self.metadata.any_broker(Repeat::Unsafe, ask).await?.topics)
    }

    /// Deletes topics and all that is in them. Every topic has its own outcome.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub async fn delete_topics(
        &self,
        topics: &[TopicName],
    ) -> Result<Outcomes<TopicName, ()>, ClientError> {
        let request = v1::DeleteTopicsRequest { topics: names(topics) };
        let limit = self.metadata.request_timeout();
        let ask = |channel| {
            let request = request.clone();
            async move {
                within(limit, "DeleteTopics", admin_service(channel).delete_topics(request)).await
            }
        };
        outcomes(self.metadata.any_broker(Repeat::Unsafe, ask).await?.topics)
    }

    /// Adds partitions to a topic until it has `total`.
    ///
    /// # Errors
    ///
    /// If no broker answers, or the cluster refuses.
    pub async fn create_partitions(
        &self,
        topic: &TopicName,
        total: u32,
    ) -> Result<(), ClientError> {
        let request = v1::CreatePartitionsRequest { topic: topic.to_string(), total };
        let limit = self.metadata.request_timeout();
        let ask = |channel| {
            let request = request.clone();
            async move {
                let mut admin = admin_service(channel);
                within(limit, "CreatePartitions", admin.create_partitions(request)).await
            }
        };
        self.metadata.any_broker(Repeat::Unsafe, ask).await?;
        Ok(())
    }

    /// Describes the topics named; a missing one is an outcome, and is not made.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub async fn describe_topics(
        &self,
        topics: &[TopicName],
    ) -> Result<Outcomes<TopicName, Arc<Topic>>, ClientError> {
        if topics.is_empty() {
            // On the wire, no name stands for all of them.
            return Ok(Vec::new());
        }
        let request = v1::DescribeTopicsRequest { topics: names(topics), create_missing: false };
        self.metadata.describe(request).await
    }

    /// Describes every topic.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub async fn list_topics(&self) -> Result<Vec<Arc<Topic>>, ClientError> {
        let request = v1::DescribeTopicsRequest { topics: Vec::new(), create_missing: false };
        let topics = self.metadata.describe(request).await?;
        topics.into_iter().map(|(_, topic)| topic).collect()
    }

    /// Every setting of a topic, those at their defaults included.
    ///
    /// # Errors
    ///
    /// If no broker answers, or there is no such topic.
    pub async fn describe_configs(
        &self,
        topic: &TopicName,
    ) -> Result<Vec<TopicConfig>, ClientError> {
        let request = v1::DescribeConfigsRequest { topic: topic.to_string() };
        let limit = self.metadata.request_timeout();
        let ask = |channel| {
            let request = request.clone();
            async move {
                let mut admin = admin_service(channel);
                within(limit, "DescribeConfigs", admin.describe_configs(request)).await
            }
        };
        let answer = self.metadata.any_broker(Repeat::Safe, ask).await?;
        let config = |config: v1::DescribedConfig| TopicConfig {
            name: config.name,
            value: config.value,
            is_default: config.is_default,
            documentation: config.documentation,
        };
        Ok(answer.configs.into_iter().map(config).collect())
    }

    /// Sets and unsets single settings of a topic; the others stay.
    ///
    /// # Errors
    ///
    /// If no broker answers, or the cluster refuses; then nothing was changed.
    pub async fn alter_configs(
        &self,
        topic: &TopicName,
        set: Vec<(String, String)>,
        unset: Vec<String>,
        apply: Apply,
    ) -> Result<(), ClientError> {
        let request = v1::AlterConfigsRequest {
            topic: topic.to_string(),
            set: config_entries(set),
            unset,
            validate_only: apply == Apply::CheckOnly,
        };
        let limit = self.metadata.request_timeout();
        let ask = |channel| {
            let request = request.clone();
            async move {
                within(limit, "AlterConfigs", admin_service(channel).alter_configs(request)).await
            }
        };
        // The same settings twice are the same settings.
        self.metadata.any_broker(Repeat::Safe, ask).await?;
        Ok(())
    }

    /// Finds offsets by time or at the ends. Every partition has its own outcome.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub async fn list_offsets(
        &self,
        partitions: &[(TopicPartition, OffsetAt)],
    ) -> Result<Outcomes<TopicPartition, ListedOffset>, ClientError> {
        list_offsets(&self.metadata, partitions).await
    }

    /// Deletes the records of partitions before an offset each, for good. Every partition has its
    /// own outcome: the first offset that is left, later than asked if there was none so early.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub async fn delete_records(
        &self,
        partitions: &[(TopicPartition, DeleteBefore)],
    ) -> Result<Outcomes<TopicPartition, Offset>, ClientError> {
        delete_records(&self.metadata, partitions).await
    }

    /// The brokers, the coordinator, the identity.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let limit = self.metadata.request_timeout();
        let ask = |channel| async move {
            let mut broker = broker_service(channel);
            let request = v1::DescribeClusterRequest {};
            within(limit, "DescribeCluster", broker.describe_cluster(request)).await
        };
        let answer = self.metadata.any_broker(Repeat::Safe, ask).await?;
        let brokers: Result<_, _> = answer.brokers.into_iter().map(broker_from_proto).collect();
        Ok(ClusterDescription {
            cluster_id: answer.cluster_id,
            brokers: brokers?,
            coordinator: answer.coordinator,
            revision: Revision::new(answer.metadata_revision),
            listener: Some(answer.listener).filter(|name| !name.is_empty()),
        })
    }
}

pub(crate) async fn list_offsets(
    metadata: &Metadata,
    partitions: &[(TopicPartition, OffsetAt)],
) -> Result<Outcomes<TopicPartition, ListedOffset>, ClientError> {
    let partition = |(partition, at): (TopicPartition, OffsetAt)| v1::ListOffsetsPartition {
        topic: partition.topic.to_string(),
        partition: partition.partition.get(),
        at: Some(match at {
            OffsetAt::Earliest => At::Earliest(true),
            OffsetAt::Latest => At::Latest(true),
            OffsetAt::Timestamp(timestamp) => At::TimestampMs(timestamp.as_millis()),
        }),
    };
    let listed = |listed: v1::ListedOffset| {
        let found = match listed.error {
            Some(error) => Err(ClientError::Broker(error_to_remote(error))),
            None => Ok(ListedOffset {
                offset: listed.offset.map(Offset::new),
                timestamp: listed.timestamp_ms.map(Timestamp::from_millis),
                leader_epoch: LeaderEpoch::new(listed.leader_epoch),
            }),
        };
        Ok((topic_partition(&listed.topic, listed.partition)?, found))
    };
    let limit = metadata.request_timeout();
    ask_leaders(metadata, partitions, |channel, asked| {
        let partitions = asked.into_iter().map(partition).collect();
        let request = v1::ListOffsetsRequest { partitions };
        async move {
            let mut broker = broker_service(channel);
            let answer = within(limit, "ListOffsets", broker.list_offsets(request)).await?;
            answer.offsets.into_iter().map(listed).collect()
        }
    })
    .await
}

fn outcomes(results: Vec<v1::TopicResult>) -> Result<Outcomes<TopicName, ()>, ClientError> {
    let outcome = |result: v1::TopicResult| {
        let name = TopicName::new(&result.name).map_err(wire::InvalidMessage::from)?;
        let error = result.error.map(|error| ClientError::Broker(error_to_remote(error)));
        Ok((name, error.map_or(Ok(()), Err)))
    };
    results.into_iter().map(outcome).collect()
}

fn names(topics: &[TopicName]) -> Vec<String> {
    topics.iter().map(ToString::to_string).collect()
}

fn config_entries(configs: Vec<(String, String)>) -> Vec<ConfigEntry> {
    configs.into_iter().map(|(name, value)| ConfigEntry { name, value }).collect()
}
