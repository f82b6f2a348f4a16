//! The cluster's metadata, as brokers follow it and clients are told of it.

use std::sync::Arc;

use bytes::Bytes;
use cluster::config::TopicConfigs;
use cluster::decision::NewTopic;
use cluster::{
    Availability, Broker, ClusterId, Delta, Endpoint, Incarnation, MetadataImage, Partition,
    Registration, Topic,
};
use types::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, PartitionEpoch, Revision, TopicId, TopicName,
};

use super::listeners::{listeners_from_proto, listeners_to_proto};
use super::{config_entries, required, sixteen_bytes};
use crate::InvalidMessage;
use crate::v1::{coordinator, types as v1};

/// The longest host name and the longest rack, in bytes.
const MAX_NAME_LEN: usize = 255;

/// Where a broker answers, for a message.
pub fn endpoint_to_proto(broker: BrokerId, endpoint: &Endpoint) -> v1::BrokerEndpoint {
    v1::BrokerEndpoint {
        broker_id: broker.get(),
        host: endpoint.host.clone(),
        port: u32::from(endpoint.port),
    }
}

/// Which broker answers where.
///
/// # Errors
///
/// [`InvalidMessage::Value`] if there is no host, or the port is none.
pub fn endpoint_from_proto(
    endpoint: v1::BrokerEndpoint,
) -> Result<(BrokerId, Endpoint), InvalidMessage> {
    let port = port_from_proto(endpoint.port)?;
    let host = host_from_proto(endpoint.host)?;
    Ok((BrokerId::new(endpoint.broker_id), Endpoint { host, port }))
}

pub(super) fn host_from_proto(host: String) -> Result<String, InvalidMessage> {
    if host.is_empty() {
        return Err(InvalidMessage::Missing { field: "endpoint.host" });
    }
    bounded_name(host, "endpoint.host")
}

pub(super) fn port_from_proto(port: u32) -> Result<u16, InvalidMessage> {
    u16::try_from(port).ok().filter(|port| *port != 0).ok_or_else(|| InvalidMessage::Value {
        field: "endpoint.port",
        found: port.to_string(),
        expected: "1 to 65535",
    })
}

fn bounded_name(name: String, field: &'static str) -> Result<String, InvalidMessage> {
    if name.len() <= MAX_NAME_LEN {
        return Ok(name);
    }
    let found = format!("{} bytes long", name.len());
    Err(InvalidMessage::Value { field, found, expected: "at most 255 bytes" })
}

/// A broker, for a message.
pub fn broker_to_proto(broker: &Broker) -> v1::Broker {
    v1::Broker {
        endpoint: Some(endpoint_to_proto(broker.id, &broker.endpoint)),
        broker_epoch: broker.epoch.get(),
        fenced: !broker.is_alive(),
        rack: broker.rack.clone(),
        listeners: listeners_to_proto(&broker.listeners),
    }
}

/// A broker, from a message.
///
/// # Errors
///
/// [`InvalidMessage`] names the field that is not possible.
pub fn broker_from_proto(broker: v1::Broker) -> Result<Broker, InvalidMessage> {
    let (id, endpoint) = endpoint_from_proto(required(broker.endpoint, "broker.endpoint")?)?;
    Ok(Broker {
        id,
        endpoint,
        listeners: listeners_from_proto(broker.listeners)?,
        rack: broker.rack,
        epoch: BrokerEpoch::new(broker.broker_epoch),
        availability: if broker.fenced { Availability::Fenced } else { Availability::Unfenced },
    })
}

/// A topic, for a message.
pub fn topic_to_proto(topic: &Topic) -> v1::Topic {
    let partitions = topic.numbered_partitions().map(|(number, partition)| v1::Partition {
        partition: number.get(),
        leader: partition.leader.map(BrokerId::get),
        leader_epoch: partition.leader_epoch.get(),
        partition_epoch: partition.partition_epoch.get(),
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
    });
    let entry = |(name, value): (&str, &str)| v1::ConfigEntry {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    v1::Topic {
        name: topic.name.to_string(),
        topic_id: Bytes::copy_from_slice(&topic.id.to_bytes()),
        partitions: partitions.collect(),
        configs: topic.configs.entries().map(entry).collect(),
    }
}

/// A topic, from a message.
///
/// # Errors
///
/// [`InvalidMessage`] names the field that is not possible, such as partitions that are not
/// numbered from 0 without a gap.
pub fn topic_from_proto(topic: v1::Topic) -> Result<Topic, InvalidMessage> {
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for (expected, partition) in (0..).zip(topic.partitions) {
        if partition.partition != expected {
            return Err(InvalidMessage::Value {
                field: "partition",
                found: partition.partition.to_string(),
                expected: "the next number",
            });
        }
        partitions.push(Arc::new(Partition {
            replicas: brokers(partition.replicas),
            isr: brokers(partition.isr),
            leader: partition.leader.map(BrokerId::new),
            leader_epoch: LeaderEpoch::new(partition.leader_epoch),
            partition_epoch: PartitionEpoch::new(partition.partition_epoch),
        }));
    }
    Ok(Topic {
        id: TopicId::from_bytes(sixteen_bytes(&topic.topic_id, "topic_id")?),
        name: TopicName::new(&topic.name)?,
        partitions,
        configs: TopicConfigs::from_entries(config_entries(topic.configs)),
    })
}

pub(super) fn numbers(brokers: &[BrokerId]) -> Vec<u32> {
    brokers.iter().map(|broker| broker.get()).collect()
}

pub(super) fn brokers(numbers: Vec<u32>) -> Vec<BrokerId> {
    numbers.into_iter().map(BrokerId::new).collect()
}

/// All metadata, for a watcher.
pub fn image_to_proto(image: &MetadataImage) -> coordinator::MetadataSnapshot {
    coordinator::MetadataSnapshot {
        cluster_id: image.cluster_id().map(ToString::to_string).unwrap_or_default(),
        brokers: image.brokers().map(|broker| broker_to_proto(broker)).collect(),
        topics: image.topics().map(|topic| topic_to_proto(topic)).collect(),
    }
}

/// All metadata as of `revision`.
///
/// # Errors
///
/// [`InvalidMessage`] names the field that is not possible.
pub fn image_from_proto(
    revision: Revision,
    snapshot: coordinator::MetadataSnapshot,
) -> Result<MetadataImage, InvalidMessage> {
    let brokers: Vec<_> = snapshot
        .brokers
        .into_iter()
        .map(|broker| broker_from_proto(broker).map(Arc::new))
        .collect::<Result<_, _>>()?;
    let topics: Vec<_> = snapshot
        .topics
        .into_iter()
        .map(|topic| topic_from_proto(topic).map(Arc::new))
        .collect::<Result<_, _>>()?;
    let cluster_id = cluster_id_from_proto(&snapshot.cluster_id)?;
    MetadataImage::from_parts(revision, cluster_id, brokers, topics)
        .map_err(|error| names_clash(&error))
}

pub(super) fn names_clash(error: &cluster::ImageError) -> InvalidMessage {
    InvalidMessage::Value {
        field: "topics",
        found: error.to_string(),
        expected: "topics with names of their own",
    }
}

pub(super) fn cluster_id_from_proto(text: &str) -> Result<Option<ClusterId>, InvalidMessage> {
    if text.is_empty() {
        return Ok(None);
    }
    ClusterId::new(text).map(Some).ok_or_else(|| InvalidMessage::Value {
        field: "cluster_id",
        found: format!("{text:?}"),
        expected: "1 to 64 printable characters",
    })
}

/// One change, for a watcher.
pub fn delta_to_proto(delta: &Delta) -> coordinator::MetadataDelta {
    let id = |topic: &TopicId| Bytes::copy_from_slice(&topic.to_bytes());
    coordinator::MetadataDelta {
        brokers: delta.brokers.values().map(|broker| broker_to_proto(broker)).collect(),
        removed_brokers: numbers(&delta.removed_brokers),
        topics: delta.topics.values().map(|topic| topic_to_proto(topic)).collect(),
        removed_topics: delta.removed_topics.iter().map(id).collect(),
    }
}

/// One change, from the coordinator.
///
/// # Errors
///
/// [`InvalidMessage`] names the field that is not possible.
pub fn delta_from_proto(delta: coordinator::MetadataDelta) -> Result<Delta, InvalidMessage> {
    let mut domain = Delta { removed_brokers: brokers(delta.removed_brokers), ..Delta::default() };
    for broker in delta.brokers {
        let broker = broker_from_proto(broker)?;
        domain.brokers.insert(broker.id, Arc::new(broker));
    }
    for topic in delta.topics {
        let topic = topic_from_proto(topic)?;
        domain.topics.insert(topic.id, Arc::new(topic));
    }
    for id in delta.removed_topics {
        domain.removed_topics.push(TopicId::from_bytes(sixteen_bytes(&id, "removed_topics")?));
    }
    Ok(domain)
}

/// What a broker says of itself when it registers.
pub fn registration_to_proto(registration: &Registration) -> coordinator::RegisterBrokerRequest {
    let Registration { broker, endpoint, listeners, rack, incarnation, directory } = registration;
    coordinator::RegisterBrokerRequest {
        endpoint: Some(endpoint_to_proto(*broker, endpoint)),
        incarnation_id: Bytes::copy_from_slice(&incarnation.to_bytes()),
        directory_id: Bytes::copy_from_slice(&directory.to_bytes()),
        rack: rack.clone(),
        listeners: listeners_to_proto(listeners),
    }
}

/// What a broker said of itself when it registered.
///
/// # Errors
///
/// [`InvalidMessage`] names the field that is not possible.
pub fn registration_from_proto(
    request: coordinator::RegisterBrokerRequest,
) -> Result<Registration, InvalidMessage> {
    let (broker, endpoint) = endpoint_from_proto(required(request.endpoint, "endpoint")?)?;
    Ok(Registration {
        broker,
        endpoint,
        listeners: listeners_from_proto(request.listeners)?,
        rack: bounded_name(request.rack, "rack")?,
        incarnation: Incarnation::from_bytes(sixteen_bytes(
            &request.incarnation_id,
            "incarnation_id",
        )?),
        directory: DirectoryId::from_bytes(sixteen_bytes(&request.directory_id, "directory_id")?),
    })
}

/// A topic that is wanted.
///
/// # Errors
///
/// [`InvalidMessage::Topic`] if the name is not one.
pub fn new_topic_from_proto(topic: coordinator::NewTopic) -> Result<NewTopic, InvalidMessage> {
    Ok(NewTopic {
        name: TopicName::new(&topic.name)?,
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: config_entries(topic.configs),
    })
}
