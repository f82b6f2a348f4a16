//! Which partition a record without one goes to.

use std::collections::HashMap;

use types::{PartitionId, TopicName};

/// Bytes after which records without a key move on, so that one slow partition does not keep them.
const STICK_BYTES: usize = 64 * 1024;

/// Keeps records without a key in one partition until their batch is closed, then moves on to the
/// next: full batches, and all partitions in turn.
#[derive(Debug, Default)]
pub(crate) struct StickyPartitioner {
    topics: HashMap<TopicName, Choice>,
}

#[derive(Debug)]
struct Choice {
    partition: PartitionId,
    bytes: usize,
}

impl StickyPartitioner {
    /// The partition for a record of `size` bytes.
    ///
    /// `is_open` tells whether a partition can take records and has a batch that does; `available`
    /// lists those that can, in rising order, and is asked only when a choice is due; `random`
    /// decides where a topic begins. `None` if none is available.
    pub(crate) fn choose(
        &mut self,
        topic: &TopicName,
        size: usize,
        is_open: impl Fn(PartitionId) -> bool,
        available: impl FnOnce() -> Vec<PartitionId>,
        random: u32,
    ) -> Option<PartitionId> {
        let Some(choice) = self.topics.get_mut(topic) else {
            let available = available();
            let start = random as usize % available.len().max(1);
            let partition = *available.get(start)?;
            self.topics.insert(topic.clone(), Choice { partition, bytes: size });
            return Some(partition);
        };
        if choice.bytes < STICK_BYTES && is_open(choice.partition) {
            choice.bytes += size;
        } else {
            let available = available();
            let after = available.iter().find(|partition| choice.partition < **partition);
            choice.partition = *after.or(available.first())?;
            choice.bytes = size;
        }
        Some(choice.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(numbers: &[u32]) -> Vec<PartitionId> {
        numbers.iter().copied().map(PartitionId::new).collect()
    }

    struct Harness {
        partitioner: StickyPartitioner,
        available: Vec<PartitionId>,
        open: bool,
    }

    impl Harness {
        fn new(available: &[u32]) -> Self {
            let partitioner = StickyPartitioner::default();
            Self { partitioner, available: partitions(available), open: false }
        }

        fn choose(&mut self, size: usize) -> Option<u32> {
            let topic = TopicName::new("t").unwrap();
            let Self { partitioner, available, open } = self;
            let is_open = |partition| *open && available.contains(&partition);
            let chosen = partitioner.choose(&topic, size, is_open, || available.clone(), 1);
            chosen.map(PartitionId::get)
        }
    }

    #[test]
    fn records_share_a_batch_while_it_is_open() {
        let mut harness = Harness { open: true, ..Harness::new(&[0, 1, 2]) };
        assert_eq!([harness.choose(9), harness.choose(9)], [Some(1), Some(1)]);
    }

    #[test]
    fn closed_batches_take_all_partitions_in_turn() {
        let mut harness = Harness::new(&[0, 1, 2]);
        let chosen: Vec<_> = (0..4).map(|_| harness.choose(9).unwrap()).collect();
        assert_eq!(chosen, [1, 2, 0, 1]);
    }

    #[test]
    fn a_batch_that_stays_open_is_left_in_the_end() {
        let mut harness = Harness { open: true, ..Harness::new(&[0, 1]) };
        assert_eq!(harness.choose(STICK_BYTES), Some(1));
        assert_eq!(harness.choose(1), Some(0));
    }

    #[test]
    fn a_partition_that_lost_its_leader_is_left() {
        let mut harness = Harness { open: true, ..Harness::new(&[0, 1]) };
        assert_eq!(harness.choose(1), Some(1));
        harness.available = partitions(&[0]);
        assert_eq!(harness.choose(1), Some(0));
        harness.available = Vec::new();
        assert_eq!(harness.choose(1), None);
    }
}
