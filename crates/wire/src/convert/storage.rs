//! What the coordinator stores: commands of its log, and snapshots in chunks.

use bytes::Bytes;
use cluster::config::TopicConfigs;
use cluster::{ClusterId, Command, Endpoint, Incarnation, Registration};
use prost::Message;
use types::{BrokerEpoch, BrokerId, DirectoryId, TopicId, TopicName};

use super::listeners::{listeners_from_storage, listeners_to_storage};
use super::metadata::{brokers, cluster_id_from_proto, numbers, port_from_proto};
use super::{required, sixteen_bytes};
use crate::InvalidMessage;
use crate::v1::storage as v1;

mod snapshot;
#[cfg(test)]
mod tests;
mod tree;

pub use snapshot::{snapshot_from_chunks, snapshot_to_chunks};
pub use tree::tree_command_to_bytes;

/// The format that the cluster's commands are written in.
const VERSION: u32 = 1;
/// The format of what concerns the tree, and the last one that is read: a reader refuses a later
/// one rather than misread it.
const TREE_VERSION: u32 = 2;

/// A command of the coordinator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogCommand {
    /// Of the cluster's metadata.
    Cluster(Command),
    /// Of the tree.
    Tree(::tree::Command),
}

/// A command, as the log holds it.
pub fn command_to_bytes(command: &Command) -> Bytes {
    use v1::command::Command as Kind;
    let kind = match command {
        Command::InitCluster { cluster_id } => {
            Kind::InitCluster(v1::InitCluster { cluster_id: cluster_id.to_string() })
        }
        Command::RegisterBroker(registration) => Kind::RegisterBroker(v1::RegisterBroker {
            broker_id: registration.broker.get(),
            host: registration.endpoint.host.clone(),
            port: u32::from(registration.endpoint.port),
            incarnation_id: Bytes::copy_from_slice(&registration.incarnation.to_bytes()),
            directory_id: Bytes::copy_from_slice(&registration.directory.to_bytes()),
            rack: registration.rack.clone(),
            listeners: listeners_to_storage(&registration.listeners),
        }),
        Command::FenceBroker { broker, epoch } => Kind::FenceBroker(v1::FenceBroker {
            broker_id: broker.get(),
            broker_epoch: epoch.get(),
        }),
        Command::UnfenceBroker { broker, epoch } => Kind::UnfenceBroker(v1::UnfenceBroker {
            broker_id: broker.get(),
            broker_epoch: epoch.get(),
        }),
        Command::CreateTopic { name, id, assignments, configs } => {
            Kind::CreateTopic(v1::CreateTopic {
                name: name.to_string(),
                topic_id: topic_id(*id),
                partitions: assignments_to_proto(assignments),
                configs: entries_to_proto(configs.entries()),
            })
        }
        Command::DeleteTopic { topic } => {
            Kind::DeleteTopic(v1::DeleteTopic { topic_id: topic_id(*topic) })
        }
        Command::CreatePartitions { topic, expected, assignments } => {
            Kind::CreatePartitions(v1::CreatePartitions {
                topic_id: topic_id(*topic),
                partitions: assignments_to_proto(assignments),
                expected: *expected,
            })
        }
        Command::AlterConfigs { topic, set, unset } => Kind::AlterConfigs(v1::AlterConfigs {
            topic_id: topic_id(*topic),
            set: entries_to_proto(set.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            unset: unset.clone(),
        }),
        Command::AllocateProducerIds => Kind::AllocateProducerIds(v1::AllocateProducerIds {}),
    };
    v1::Command { version: VERSION, command: Some(kind) }.encode_to_vec().into()
}

/// A command, from the log.
///
/// # Errors
///
/// [`InvalidMessage`]: the bytes are no command, or a later version wrote them.
pub fn command_from_bytes(bytes: Bytes) -> Result<LogCommand, InvalidMessage> {
    use v1::command::Command as Kind;
    let command = v1::Command::decode(bytes).map_err(|error| undecodable("command", &error))?;
    check_version(command.version)?;
    Ok(LogCommand::Cluster(match required(command.command, "command")? {
        Kind::CreateTreeSession(session) => return Ok(LogCommand::Tree(session.into())),
        Kind::CloseTreeSession(session) => return Ok(LogCommand::Tree(session.into())),
        Kind::TransactTree(transaction) => {
            return Ok(LogCommand::Tree(tree::transaction_from_proto(transaction)?));
        }
        Kind::InitCluster(init) => {
            let cluster_id: Option<ClusterId> = cluster_id_from_proto(&init.cluster_id)?;
            Command::InitCluster { cluster_id: required(cluster_id, "cluster_id")? }
        }
        Kind::RegisterBroker(broker) => Command::RegisterBroker(Registration {
            broker: BrokerId::new(broker.broker_id),
            endpoint: Endpoint { host: broker.host, port: port_from_proto(broker.port)? },
            listeners: listeners_from_storage(broker.listeners)?,
            rack: broker.rack,
            incarnation: incarnation(&broker.incarnation_id)?,
            directory: directory(&broker.directory_id)?,
        }),
        Kind::FenceBroker(fence) => Command::FenceBroker {
            broker: BrokerId::new(fence.broker_id),
            epoch: BrokerEpoch::new(fence.broker_epoch),
        },
        Kind::UnfenceBroker(unfence) => Command::UnfenceBroker {
            broker: BrokerId::new(unfence.broker_id),
            epoch: BrokerEpoch::new(unfence.broker_epoch),
        },
        Kind::CreateTopic(topic) => Command::CreateTopic {
            name: TopicName::new(&topic.name)?,
            id: topic_id_from(&topic.topic_id)?,
            assignments: assignments_from_proto(topic.partitions),
            configs: TopicConfigs::from_entries(entries_from_proto(topic.configs)),
        },
        Kind::DeleteTopic(topic) => Command::DeleteTopic { topic: topic_id_from(&topic.topic_id)? },
        Kind::CreatePartitions(added) => Command::CreatePartitions {
            topic: topic_id_from(&added.topic_id)?,
            expected: added.expected,
            assignments: assignments_from_proto(added.partitions),
        },
        Kind::AlterConfigs(configs) => Command::AlterConfigs {
            topic: topic_id_from(&configs.topic_id)?,
            set: entries_from_proto(configs.set),
            unset: configs.unset,
        },
        Kind::AllocateProducerIds(v1::AllocateProducerIds {}) => Command::AllocateProducerIds,
    }))
}

fn check_version(version: u32) -> Result<(), InvalidMessage> {
    if (VERSION..=TREE_VERSION).contains(&version) {
        return Ok(());
    }
    let (found, expected) = (version.to_string(), "1 or 2; a later Dohle wrote this");
    Err(InvalidMessage::Value { field: "version", found, expected })
}

fn undecodable(field: &'static str, error: &prost::DecodeError) -> InvalidMessage {
    InvalidMessage::Value { field, found: error.to_string(), expected: "protobuf" }
}

fn topic_id(topic: TopicId) -> Bytes {
    Bytes::copy_from_slice(&topic.to_bytes())
}

fn topic_id_from(bytes: &[u8]) -> Result<TopicId, InvalidMessage> {
    sixteen_bytes(bytes, "topic_id").map(TopicId::from_bytes)
}

fn incarnation(bytes: &[u8]) -> Result<Incarnation, InvalidMessage> {
    sixteen_bytes(bytes, "incarnation_id").map(Incarnation::from_bytes)
}

fn directory(bytes: &[u8]) -> Result<DirectoryId, InvalidMessage> {
    sixteen_bytes(bytes, "directory_id").map(DirectoryId::from_bytes)
}

fn assignments_to_proto(assignments: &[Vec<BrokerId>]) -> Vec<v1::Assignment> {
    let assignment = |replicas: &Vec<BrokerId>| v1::Assignment { replicas: numbers(replicas) };
    assignments.iter().map(assignment).collect()
}

fn assignments_from_proto(assignments: Vec<v1::Assignment>) -> Vec<Vec<BrokerId>> {
    assignments.into_iter().map(|assignment| brokers(assignment.replicas)).collect()
}

fn entries_to_proto<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<v1::ConfigEntry> {
    entries
        .map(|(name, value)| v1::ConfigEntry { name: name.to_owned(), value: value.to_owned() })
        .collect()
}

fn entries_from_proto(entries: Vec<v1::ConfigEntry>) -> Vec<(String, String)> {
    entries.into_iter().map(|entry| (entry.name, entry.value)).collect()
}
