use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cluster::config::TopicConfigs;
use cluster::{Availability, Broker, Endpoint, Identity, MetadataImage, Partition, State, Topic};
use prost::Message;
use tree::Tree;
use types::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch, Revision, TopicId, TopicName};

use super::tree::{TreeParts, tree_to_parts};
use super::{
    TREE_VERSION, VERSION, check_version, directory, entries_from_proto, entries_to_proto,
    incarnation, topic_id, topic_id_from, undecodable,
};
use crate::InvalidMessage;
use crate::convert::listeners::{listeners_from_storage, listeners_to_storage};
use crate::convert::metadata::{
    brokers, cluster_id_from_proto, names_clash, numbers, port_from_proto,
};
use crate::convert::required;
use crate::v1::storage as v1;
use crate::v1::storage::snapshot_part::Part;

/// Partitions of one topic that go into one part.
const PARTITIONS_PER_PART: usize = 64;

/// The whole state, in chunks of at most `max_chunk_bytes`; each is a row of parts, each part
/// behind its length. One part that is larger is a chunk by itself.
pub fn snapshot_to_chunks(state: &State, tree: &Tree, max_chunk_bytes: usize) -> Vec<Bytes> {
    let mut chunks = Chunks { max_chunk_bytes, full: Vec::new(), filling: Vec::new() };
    let image = state.image();
    // Whoever never used the tree can go back to a version that has none.
    let has_tree = *tree != Tree::new();
    chunks.push(Part::Head(v1::SnapshotHead {
        version: if has_tree { TREE_VERSION } else { VERSION },
        cluster_id: image.cluster_id().map(ToString::to_string).unwrap_or_default(),
        applied_index: image.revision().get(),
    }));
    for broker in image.brokers() {
        chunks.push(Part::Broker(broker_to_proto(broker, state.identity(broker.id))));
    }
    for topic in image.topics() {
        let mut parts = topic.partitions.chunks(PARTITIONS_PER_PART);
        chunks.push(Part::Topic(v1::Topic {
            name: topic.name.to_string(),
            topic_id: topic_id(topic.id),
            partitions: partitions_to_proto(parts.next().unwrap_or_default()),
            configs: entries_to_proto(topic.configs.entries()),
        }));
        for more in parts {
            chunks.push(Part::MorePartitions(v1::TopicPartitions {
                topic_id: topic_id(topic.id),
                partitions: partitions_to_proto(more),
            }));
        }
    }
    if has_tree {
        tree_to_parts(tree).for_each(|part| chunks.push(part));
    }
    chunks.finish()
}

struct Chunks {
    max_chunk_bytes: usize,
    full: Vec<Bytes>,
    filling: Vec<u8>,
}

impl Chunks {
    fn push(&mut self, part: Part) {
        let part = v1::SnapshotPart { part: Some(part) }.encode_length_delimited_to_vec();
        if !self.filling.is_empty() && self.max_chunk_bytes < self.filling.len() + part.len() {
            self.full.push(std::mem::take(&mut self.filling).into());
        }
        self.filling.extend(part);
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.full.push(self.filling.into());
        self.full
    }
}

/// The state and the tree that [`snapshot_to_chunks`] wrote.
///
/// # Errors
///
/// [`InvalidMessage`]: the chunks are no snapshot, or a later version wrote them.
pub fn snapshot_from_chunks(
    chunks: impl IntoIterator<Item = Bytes>,
) -> Result<(State, Tree), InvalidMessage> {
    let mut snapshot = Snapshot::default();
    for mut chunk in chunks {
        while !chunk.is_empty() {
            let part = v1::SnapshotPart::decode_length_delimited(&mut chunk)
                .map_err(|error| undecodable("part", &error))?;
            snapshot.take(required(part.part, "part")?)?;
        }
    }
    snapshot.finish()
}

#[derive(Default)]
struct Snapshot {
    head: Option<v1::SnapshotHead>,
    brokers: Vec<Arc<Broker>>,
    identities: BTreeMap<BrokerId, Identity>,
    topics: Vec<Topic>,
    tree: TreeParts,
}

impl Snapshot {
    fn take(&mut self, part: Part) -> Result<(), InvalidMessage> {
        match part {
            Part::Head(head) => {
                check_version(head.version)?;
                self.head = Some(head);
            }
            Part::Broker(broker) => {
                let identity = Identity {
                    incarnation: incarnation(&broker.incarnation_id)?,
                    directory: directory(&broker.directory_id)?,
                };
                let broker = broker_from_proto(broker)?;
                self.identities.insert(broker.id, identity);
                self.brokers.push(Arc::new(broker));
            }
            Part::Topic(topic) => self.topics.push(Topic {
                id: topic_id_from(&topic.topic_id)?,
                name: TopicName::new(&topic.name)?,
                partitions: partitions_from_proto(topic.partitions),
                configs: TopicConfigs::from_entries(entries_from_proto(topic.configs)),
            }),
            Part::MorePartitions(more) => {
                let id: TopicId = topic_id_from(&more.topic_id)?;
                let topic = self.topics.last_mut().filter(|topic| topic.id == id);
                let topic = required(topic, "topic before more_partitions")?;
                topic.partitions.extend(partitions_from_proto(more.partitions));
            }
            Part::TreeSession(session) => self.tree.take_session(session),
            Part::TreeNode(node) => self.tree.take_node(&node)?,
            Part::MoreData(data) => self.tree.take_data(&data)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(State, Tree), InvalidMessage> {
        let head = required(self.head, "head")?;
        let image = MetadataImage::from_parts(
            Revision::new(head.applied_index),
            cluster_id_from_proto(&head.cluster_id)?,
            self.brokers,
            self.topics.into_iter().map(Arc::new),
        );
        let image = image.map_err(|error| names_clash(&error))?;
        Ok((State::from_parts(image, self.identities), self.tree.finish()?))
    }
}

fn broker_to_proto(broker: &Broker, identity: Option<&Identity>) -> v1::Broker {
    let bytes = |bytes: Option<[u8; 16]>| bytes.map(|bytes| Bytes::copy_from_slice(&bytes));
    let incarnation = bytes(identity.map(|identity| identity.incarnation.to_bytes()));
    let directory = bytes(identity.map(|identity| identity.directory.to_bytes()));
    v1::Broker {
        broker_id: broker.id.get(),
        host: broker.endpoint.host.clone(),
        port: u32::from(broker.endpoint.port),
        incarnation_id: incarnation.unwrap_or_default(),
        directory_id: directory.unwrap_or_default(),
        rack: broker.rack.clone(),
        broker_epoch: broker.epoch.get(),
        fenced: !broker.is_alive(),
        listeners: listeners_to_storage(&broker.listeners),
    }
}

fn broker_from_proto(broker: v1::Broker) -> Result<Broker, InvalidMessage> {
    Ok(Broker {
        id: BrokerId::new(broker.broker_id),
        endpoint: Endpoint { host: broker.host, port: port_from_proto(broker.port)? },
        listeners: listeners_from_storage(broker.listeners)?,
        rack: broker.rack,
        epoch: BrokerEpoch::new(broker.broker_epoch),
        availability: if broker.fenced { Availability::Fenced } else { Availability::Unfenced },
    })
}

fn partitions_to_proto(partitions: &[Arc<Partition>]) -> Vec<v1::Partition> {
    let partition = |partition: &Arc<Partition>| v1::Partition {
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
        leader: partition.leader.map(BrokerId::get),
        leader_epoch: partition.leader_epoch.get(),
        partition_epoch: partition.partition_epoch.get(),
    };
    partitions.iter().map(partition).collect()
}

fn partitions_from_proto(partitions: Vec<v1::Partition>) -> Vec<Arc<Partition>> {
    let partition = |partition: v1::Partition| {
        Arc::new(Partition {
            replicas: brokers(partition.replicas),
            isr: brokers(partition.isr),
            leader: partition.leader.map(BrokerId::new),
            leader_epoch: LeaderEpoch::new(partition.leader_epoch),
            partition_epoch: PartitionEpoch::new(partition.partition_epoch),
        })
    };
    partitions.into_iter().map(partition).collect()
}
