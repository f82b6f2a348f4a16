//! Partitions by number. A batch is looked up in what is known of its partition a dozen times on its
//! way, and names are found once.

use std::collections::BTreeMap;

use types::{PartitionId, TopicName, TopicPartition};

/// A partition that a producer has had a record for, counted from 0 in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionIndex(usize);

impl PartitionIndex {
    pub(super) const fn new(place: usize) -> Self {
        Self(place)
    }

    /// Its place in a list of all of them.
    pub(super) const fn place(self) -> usize {
        self.0
    }
}

/// Finds the numbers of partitions.
#[derive(Debug)]
pub(super) struct Numbering {
    /// Of each topic by partition, as far as any has a number.
    topics: BTreeMap<TopicName, Vec<Option<PartitionIndex>>>,
    next: usize,
}

impl Numbering {
    pub(super) const fn new() -> Self {
        Self { topics: BTreeMap::new(), next: 0 }
    }

    /// The number of a partition that has one.
    pub(super) fn find(&self, topic: &TopicName, partition: PartitionId) -> Option<PartitionIndex> {
        *self.topics.get(topic)?.get(partition.get() as usize)?
    }

    /// Gives the next number to a partition that has none. It must be one that its topic has: there
    /// is memory for those before it.
    pub(super) fn add(&mut self, of: &TopicPartition) -> PartitionIndex {
        let index = PartitionIndex(self.next);
        self.next += 1;
        let partitions = self.topics.entry(of.topic.clone()).or_default();
        let place = of.partition.get() as usize;
        if partitions.len() <= place {
            partitions.resize(place + 1, None);
        }
        if let Some(number) = partitions.get_mut(place) {
            *number = Some(index);
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_numbered_as_they_come_and_found_by_name() {
        let [a, b] = ["a", "b"].map(|name| TopicName::new(name).unwrap());
        let of = |topic: &TopicName, partition| {
            TopicPartition::new(topic.clone(), PartitionId::new(partition))
        };
        let mut numbering = Numbering::new();
        let came = [of(&b, 2), of(&a, 0), of(&b, 0)];
        for (number, partition) in came.iter().enumerate() {
            assert_eq!(numbering.find(&partition.topic, partition.partition), None);
            assert_eq!(numbering.add(partition), PartitionIndex::new(number));
        }
        for (number, TopicPartition { topic, partition }) in came.iter().enumerate() {
            assert_eq!(numbering.find(topic, *partition), Some(PartitionIndex::new(number)));
        }
        assert_eq!(numbering.find(&b, PartitionId::new(1)), None);
        assert_eq!(numbering.find(&a, PartitionId::new(1)), None);
    }
}
