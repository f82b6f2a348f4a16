//! What to propose: requests become commands, judged by the state as it is.
//!
//! The command carries the result, so that these rules may change between versions without two
//! coordinators ever applying it differently.

use std::collections::BTreeSet;

use types::{BrokerEpoch, BrokerId, TopicId, TopicName};

use crate::config::{self, ConfigError, TopicConfigs};
use crate::{Broker, ClusterError, Command, MetadataImage};

mod placement;

use placement::place;

/// The most partitions that one topic may have.
pub const MAX_PARTITIONS: u32 = 10_000;

/// The most replicas that a partition may have. Brokers do not copy partitions to one another yet:
/// a second replica would be in sync and empty, and be elected.
pub const MAX_REPLICATION_FACTOR: u32 = 1;

/// A topic that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// What it is to be called.
    pub name: TopicName,
    /// How many partitions.
    pub partitions: u32,
    /// How many brokers hold each.
    pub replication_factor: u32,
    /// What is to be set for it.
    pub configs: Vec<(String, String)>,
}

/// Makes a topic with `id`, which the caller draws.
///
/// # Errors
///
/// The name is taken, or what is wanted is not possible.
pub fn create_topic(
    image: &MetadataImage,
    wanted: NewTopic,
    id: TopicId,
) -> Result<Command, ClusterError> {
    if image.topic(&wanted.name).is_some() {
        return Err(ClusterError::TopicExists { name: wanted.name });
    }
    check_count(wanted.partitions)?;
    check_replication_factor(wanted.replication_factor)?;
    check_configs(&wanted.configs, &[])?;
    let assignments = place(image, wanted.partitions, wanted.replication_factor)?;
    let configs = TopicConfigs::from_entries(wanted.configs);
    Ok(Command::CreateTopic { name: wanted.name, id, assignments, configs })
}

/// Deletes a topic.
///
/// # Errors
///
/// There is none of that name.
pub fn delete_topic(image: &MetadataImage, name: &TopicName) -> Result<Command, ClusterError> {
    Ok(Command::DeleteTopic { topic: image.named_topic(name)?.id })
}

/// Grows a topic to `total` partitions, with as many replicas each as its first one has.
///
/// # Errors
///
/// There is no such topic, it has as many already, or they cannot be placed.
pub fn create_partitions(
    image: &MetadataImage,
    name: &TopicName,
    total: u32,
) -> Result<Command, ClusterError> {
    let topic = image.named_topic(name)?;
    check_count(total)?;
    let current = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
    let added = match total.checked_sub(current) {
        Some(added) if 0 < added => added,
        Some(_) | None => {
            return Err(ClusterError::FewerPartitions {
                name: name.clone(),
                current,
                given: total,
            });
        }
    };
    let replicas = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    let replication_factor = u32::try_from(replicas).unwrap_or(u32::MAX);
    let assignments = place(image, added, replication_factor)?;
    Ok(Command::CreatePartitions { topic: topic.id, expected: current, assignments })
}

/// Sets and unsets configuration entries of a topic.
///
/// # Errors
///
/// There is no such topic, or an entry is not possible.
pub fn alter_configs(
    image: &MetadataImage,
    name: &TopicName,
    set: Vec<(String, String)>,
    unset: Vec<String>,
) -> Result<Command, ClusterError> {
    let topic = image.named_topic(name)?.id;
    check_configs(&set, &unset)?;
    Ok(Command::AlterConfigs { topic, set, unset })
}

/// Fences a broker, unless it is fenced already or has registered again.
pub fn fence(image: &MetadataImage, broker: BrokerId, epoch: BrokerEpoch) -> Option<Command> {
    let held = image.broker(broker)?;
    (held.epoch == epoch && held.is_alive()).then_some(Command::FenceBroker { broker, epoch })
}

/// Unfences a broker, unless it is unfenced already.
///
/// # Errors
///
/// It never registered, or has registered again.
pub fn unfence(
    image: &MetadataImage,
    broker: BrokerId,
    epoch: BrokerEpoch,
) -> Result<Option<Command>, ClusterError> {
    let held: &Broker = image.broker_of_epoch(broker, epoch)?;
    Ok((!held.is_alive()).then_some(Command::UnfenceBroker { broker, epoch }))
}

fn check_count(partitions: u32) -> Result<(), ClusterError> {
    if (1..=MAX_PARTITIONS).contains(&partitions) {
        return Ok(());
    }
    Err(ClusterError::PartitionCount { given: partitions, max: MAX_PARTITIONS })
}

fn check_replication_factor(given: u32) -> Result<(), ClusterError> {
    if given <= MAX_REPLICATION_FACTOR {
        return Ok(());
    }
    Err(ClusterError::NotReplicated { given, max: MAX_REPLICATION_FACTOR })
}

fn check_configs(set: &[(String, String)], unset: &[String]) -> Result<(), ConfigError> {
    let mut named = BTreeSet::new();
    for (name, value) in set {
        config::validate(name, value)?;
        if !named.insert(name) {
            return Err(ConfigError::NamedTwice { name: name.clone() });
        }
    }
    for name in unset {
        config::definition(name)?;
        if !named.insert(name) {
            return Err(ConfigError::NamedTwice { name: name.clone() });
        }
    }
    Ok(())
}
