use std::collections::BTreeMap;

use cluster::config::TopicConfigs;
use cluster::{MetadataImage, Partition};
use commit_log::{LogConfig, LogKey, LogOwner};
use replication::Membership;
use types::{BrokerId, LeaderEpoch, TopicName, TopicPartition};

use crate::partition::TopicLimits;
use crate::retention::Retention;

/// What the metadata asks of this broker for one partition that it holds a replica of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Duty {
    /// As its users call it.
    pub(super) name: TopicPartition,
    /// How its log is to be kept.
    pub(super) config: LogConfig,
    /// If this broker leads it.
    pub(super) lead: Option<Lead>,
}

/// How this broker is to lead a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    /// In which epoch.
    pub(super) epoch: LeaderEpoch,
    /// With whom.
    pub(super) membership: Membership,
    /// What the topic allows.
    pub(super) limits: TopicLimits,
}

/// Everything that `image` asks of the broker `own_id`, which was told `defaults` for topics.
pub(super) fn duties(
    image: &MetadataImage,
    own_id: BrokerId,
    defaults: &TopicConfigs,
) -> BTreeMap<LogKey, Duty> {
    let mut duties = BTreeMap::new();
    for topic in image.topics() {
        let configs = topic.configs.over(defaults);
        for (number, partition) in topic.numbered_partitions() {
            if partition.replicas.contains(&own_id) {
                let key = LogKey { topic_id: topic.id, partition: number };
                let duty = Duty {
                    name: TopicPartition::new(topic.name.clone(), number),
                    config: log_config(&topic.name, &configs),
                    lead: lead(&configs, partition, own_id),
                };
                duties.insert(key, duty);
            }
        }
    }
    duties
}

fn lead(configs: &TopicConfigs, partition: &Partition, own_id: BrokerId) -> Option<Lead> {
    if partition.leader != Some(own_id) {
        return None;
    }
    let durability = configs.durability();
    // More replicas than there are can never be in sync: the topic would take nothing at all.
    let min_in_sync = configs.min_insync_replicas().min(partition.replicas.len());
    Some(Lead {
        epoch: partition.leader_epoch,
        membership: Membership::new(partition.isr.iter().copied(), min_in_sync, durability),
        limits: TopicLimits {
            max_message_bytes: configs.max_message_bytes(),
            timestamp_type: configs.timestamp_type(),
            retention: Retention {
                millis: configs.retention_ms(),
                bytes: configs.retention_bytes(),
            },
        },
    })
}

fn log_config(topic: &TopicName, configs: &TopicConfigs) -> LogConfig {
    LogConfig {
        owner: if topic.is_internal() { LogOwner::Platform } else { LogOwner::Clients },
        segment_bytes: configs.segment_bytes(),
        segment_ms: configs.segment_ms(),
        durability: configs.durability(),
        ..LogConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cluster::Topic;
    use types::{Durability, PartitionEpoch, PartitionId, Revision, TimestampType, TopicId};

    use super::*;

    const OWN: BrokerId = BrokerId::new(1);
    const OTHER: BrokerId = BrokerId::new(2);
    const TOPIC: TopicId = TopicId::from_bytes([7; 16]);

    fn partition(replicas: &[BrokerId], leader: Option<BrokerId>) -> Arc<Partition> {
        Arc::new(Partition {
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
            leader,
            leader_epoch: LeaderEpoch::new(5),
            partition_epoch: PartitionEpoch::new(9),
        })
    }

    fn image(partitions: Vec<Arc<Partition>>, configs: &[(&str, &str)]) -> MetadataImage {
        let entries = configs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let topic = Topic {
            id: TOPIC,
            name: TopicName::new("t").unwrap(),
            partitions,
            configs: TopicConfigs::from_entries(entries),
        };
        MetadataImage::from_parts(Revision::new(3), None, [], [Arc::new(topic)]).unwrap()
    }

    fn duty(image: &MetadataImage, number: u32) -> Option<Duty> {
        let key = LogKey { topic_id: TOPIC, partition: PartitionId::new(number) };
        duties(image, OWN, &TopicConfigs::default()).remove(&key)
    }

    #[test]
    fn a_broker_holds_its_replicas_and_leads_some_of_them() {
        let led = partition(&[OWN], Some(OWN));
        let followed = partition(&[OWN, OTHER], Some(OTHER));
        let others = partition(&[OTHER], Some(OTHER));
        let leaderless = partition(&[OWN], None);
        let image = image(vec![led, followed, others, leaderless], &[]);

        let leads = |number| duty(&image, number).map(|duty| duty.lead.is_some());
        assert_eq!(leads(0), Some(true));
        assert_eq!(leads(1), Some(false));
        assert_eq!(leads(2), None);
        assert_eq!(leads(3), Some(false));
    }

    #[test]
    fn the_topics_configs_reach_the_log_and_the_leader() {
        let configs = [
            ("durability", "page-cache"),
            ("segment.bytes", "4096"),
            ("max.message.bytes", "1000"),
            ("message.timestamp.type", "LogAppendTime"),
            ("retention.ms", "-1"),
            ("retention.bytes", "5000"),
        ];
        let duty = duty(&image(vec![partition(&[OWN], Some(OWN))], &configs), 0).unwrap();
        assert_eq!(duty.config.durability, Durability::PageCache);
        assert_eq!(duty.config.segment_bytes, 4096);
        let lead = duty.lead.unwrap();
        let retention = Retention { millis: None, bytes: Some(5000) };
        let timestamp_type = TimestampType::LogAppend;
        assert_eq!(lead.limits, TopicLimits { max_message_bytes: 1000, timestamp_type, retention });
        let membership = Membership::new([OWN], 1, Durability::PageCache);
        assert_eq!(lead.membership, membership);
    }

    #[test]
    fn the_platforms_own_topics_have_logs_of_its_own() {
        let owner =
            |topic| log_config(&TopicName::new(topic).unwrap(), &TopicConfigs::default()).owner;
        assert_eq!(owner("__consumer_offsets"), LogOwner::Platform);
        assert_eq!(owner("t"), LogOwner::Clients);
    }

    #[test]
    fn min_insync_replicas_never_asks_for_more_replicas_than_there_are() {
        let configs = [("min.insync.replicas", "2")];
        let duty = duty(&image(vec![partition(&[OWN], Some(OWN))], &configs), 0).unwrap();
        let alone = Membership::new([OWN], 1, Durability::Fsync);
        assert_eq!(duty.lead.unwrap().membership, alone);
    }
}
