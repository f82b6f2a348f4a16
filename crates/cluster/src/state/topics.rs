//! Topics are made, grown, configured and deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use types::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId, TopicName};

use super::{Change, State};
use crate::config::{MIN_INSYNC_REPLICAS, TopicConfigs};
use crate::election::elect;
use crate::{ClusterError, Delta, Partition, Topic};

impl State {
    pub(super) fn create_topic(
        &self,
        name: &TopicName,
        id: TopicId,
        assignments: &[Vec<BrokerId>],
        configs: &TopicConfigs,
    ) -> Result<Change, ClusterError> {
        if self.image.topic(name).is_some() {
            return Err(ClusterError::TopicExists { name: name.clone() });
        }
        if self.image.topic_by_id(id).is_some() {
            return Err(ClusterError::TopicIdExists { topic: id });
        }
        let partitions = self.new_partitions(assignments)?;
        Ok(changed(Topic { id, name: name.clone(), partitions, configs: configs.clone() }))
    }

    pub(super) fn delete_topic(&self, topic: TopicId) -> Result<Change, ClusterError> {
        self.image.existing_topic(topic)?;
        let delta = Delta { removed_topics: vec![topic], ..Delta::default() };
        Ok(Change { delta, ..Change::default() })
    }

    pub(super) fn create_partitions(
        &self,
        topic: TopicId,
        expected: u32,
        assignments: &[Vec<BrokerId>],
    ) -> Result<Change, ClusterError> {
        let mut next = Topic::clone(self.image.existing_topic(topic)?);
        let current = u32::try_from(next.partitions.len()).unwrap_or(u32::MAX);
        if current != expected {
            return Err(ClusterError::PartitionsChanged { topic, current, expected });
        }
        next.partitions.extend(self.new_partitions(assignments)?);
        Ok(changed(next))
    }

    pub(super) fn alter_configs(
        &self,
        topic: TopicId,
        set: &[(String, String)],
        unset: &[String],
    ) -> Result<Change, ClusterError> {
        let held = self.image.existing_topic(topic)?;
        let configs = held.configs.altered(set, unset);
        let min = |configs: &TopicConfigs| configs.effective(&MIN_INSYNC_REPLICAS).to_owned();
        // Part of each partition's state (rule R2): whoever changes a partition must have seen it.
        let partitions = if min(&configs) == min(&held.configs) {
            held.partitions.clone()
        } else {
            let bumped = held.partitions.iter().map(|partition| bump(topic, partition));
            bumped.collect::<Result<_, _>>()?
        };
        let next = Topic { partitions, configs, id: topic, name: held.name.clone() };
        Ok(if next == **held { Change::default() } else { changed(next) })
    }

    fn new_partitions(
        &self,
        assignments: &[Vec<BrokerId>],
    ) -> Result<Vec<Arc<Partition>>, ClusterError> {
        let new = assignments.iter().enumerate().map(|(partition, replicas)| {
            self.new_partition(replicas).ok_or(ClusterError::Assignment { partition })
        });
        new.collect()
    }

    /// An empty partition. Nothing was committed in it, so that any of its replicas are in sync:
    /// those that are alive, if there are any.
    fn new_partition(&self, replicas: &[BrokerId]) -> Option<Arc<Partition>> {
        let distinct: BTreeSet<_> = replicas.iter().collect();
        let known = replicas.iter().all(|id| self.image.broker(*id).is_some());
        if replicas.is_empty() || distinct.len() != replicas.len() || !known {
            return None;
        }
        let is_alive = |id| self.image.is_alive(id);
        let alive: Vec<_> = replicas.iter().copied().filter(|id| is_alive(*id)).collect();
        let isr = if alive.is_empty() { replicas.to_vec() } else { alive };
        Some(Arc::new(Partition {
            leader: elect(replicas, &isr, is_alive),
            replicas: replicas.to_vec(),
            isr,
            leader_epoch: LeaderEpoch::ZERO,
            partition_epoch: PartitionEpoch::ZERO,
        }))
    }
}

fn bump(topic: TopicId, partition: &Partition) -> Result<Arc<Partition>, ClusterError> {
    let partition_epoch =
        partition.partition_epoch.next().ok_or(ClusterError::EpochsUsedUp { topic })?;
    Ok(Arc::new(Partition { partition_epoch, ..partition.clone() }))
}

fn changed(topic: Topic) -> Change {
    let topics = BTreeMap::from([(topic.id, Arc::new(topic))]);
    Change { delta: Delta { topics, ..Delta::default() }, ..Change::default() }
}
