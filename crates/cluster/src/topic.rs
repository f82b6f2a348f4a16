use std::sync::Arc;

use types::{PartitionId, TopicId, TopicName};

use crate::Partition;
use crate::config::TopicConfigs;

/// A topic as everyone may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// This life of the topic.
    pub id: TopicId,
    /// What it is called.
    pub name: TopicName,
    /// Its partitions, by number.
    pub partitions: Vec<Arc<Partition>>,
    /// What was set for it.
    pub configs: TopicConfigs,
}

impl Topic {
    /// One of its partitions.
    pub fn partition(&self, partition: PartitionId) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(partition.get()).ok()?)
    }

    /// Its partitions with their numbers.
    pub fn numbered_partitions(&self) -> impl Iterator<Item = (PartitionId, &Arc<Partition>)> {
        (0..).map(PartitionId::new).zip(&self.partitions)
    }
}
