//! Who is in a group, and who of them was in the one before.

use std::mem::swap;

use commit_log::{Append, LogKey};
use types::ProducerId;

/// Somebody who asks, as far as they can be told apart: those who are not idempotent and append to
/// one log look alike, and so do the batches that one has under way to one log.
type Face = (LogKey, Option<ProducerId>);

/// The faces of the last group: no more than were in it, and it has an end.
#[derive(Debug, Default)]
pub(super) struct Faces {
    /// Each once, in order: that is compared sooner than hashed.
    last: Vec<Face>,
    /// Memory for the next ones.
    met: Vec<Face>,
}

/// A group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    /// How many are in it.
    pub(super) size: usize,
    /// How many of these were in the last one. Of those who look alike one at most: the others may
    /// as well be others. If they are the same, they are taken for up to twice as many, of whom the
    /// half is all of them.
    pub(super) again: usize,
}

impl Faces {
    /// Looks at those of the next group.
    pub(super) fn meet<'a>(&mut self, group: impl Iterator<Item = &'a Append>) -> Met {
        let Self { last, met } = self;
        met.clear();
        met.extend(group.map(|append| {
            let producer = append.batches.first().and_then(|batch| batch.header().producer);
            (append.log, producer.map(|producer| producer.id))
        }));
        let size = met.len();
        met.sort_unstable();
        met.dedup();
        let again = met.iter().filter(|face| last.binary_search(face).is_ok()).count();
        // One that nobody is in comes between nobody.
        if size != 0 {
            swap(last, met);
        }
        Met { size, again }
    }
}

#[cfg(test)]
mod tests {
    use commit_log::AppendAt;
    use record::{BatchBuilder, BatchProducer, Compression};
    use types::{LeaderEpoch, PartitionId, ProducerEpoch, Timestamp, TopicId};

    use super::*;

    fn append((partition, producer): (u32, Option<u64>)) -> Append {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(Timestamp::from_millis(1), None, Some(b"who?"), &[]).unwrap();
        let batch = builder.produce().unwrap();
        let batch = producer.map_or(batch.clone(), |id| {
            let (id, epoch) = (ProducerId::new(id), ProducerEpoch::ZERO);
            batch.produced_by(BatchProducer { id, epoch, base_sequence: None })
        });
        let (topic_id, partition) = (TopicId::from_bytes([7; 16]), PartitionId::new(partition));
        let batches = vec![batch.into_batch().unwrap()];
        let log = LogKey { topic_id, partition };
        Append { log, epoch: LeaderEpoch::ZERO, batches, at: AppendAt::End }
    }

    /// How many of the second group were in the first.
    fn again<const N: usize, const M: usize>(
        first: [(u32, Option<u64>); N],
        second: [(u32, Option<u64>); M],
    ) -> usize {
        let (first, second) = (first.map(append), second.map(append));
        let mut faces = Faces::default();
        assert_eq!(faces.meet(first.iter()), Met { size: N, again: 0 });
        let met = faces.meet(second.iter());
        assert_eq!(met.size, M);
        met.again
    }

    #[test]
    fn who_was_in_the_last_group_is_known_by_log_and_producer() {
        let (one, two) = (Some(1), Some(2));
        assert_eq!(again([(0, one), (1, one)], [(1, one), (2, one)]), 1);
        assert_eq!(again([(0, one), (0, two)], [(0, two), (0, Some(3))]), 1);
        assert_eq!(again([(0, one)], [(1, one)]), 0);
    }

    #[test]
    fn of_those_who_look_alike_one_is_known() {
        assert_eq!(again([(0, None); 3], [(0, None); 2]), 1);
        assert_eq!(again([(0, Some(1)); 2], [(0, Some(1)); 3]), 1);
        assert_eq!(again([(0, None)], [(0, Some(1))]), 0);
    }

    #[test]
    fn a_group_is_compared_with_the_last_one_only() {
        let (one, two) = ([append((0, Some(1)))], [append((0, Some(2)))]);
        let mut faces = Faces::default();
        for group in [&one, &two, &one] {
            assert_eq!(faces.meet(group.iter()), Met { size: 1, again: 0 });
        }
        assert_eq!(faces.meet([].iter()), Met::default());
        assert_eq!(faces.meet(one.iter()), Met { size: 1, again: 1 });
    }
}
