use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;
use types::{Offset, TopicPartition};

use super::Asked;

/// The partitions that one stream reads, each either ready to be read or parked until more is
/// committed; those that are ready take turns.
#[derive(Debug, Default)]
pub(crate) struct Assignments {
    positions: BTreeMap<TopicPartition, Position>,
    /// Who is ready, in the order of the turns. The first one names an assignment that is held;
    /// those behind it may be void.
    turns: VecDeque<(TopicPartition, Generation)>,
    last: Generation,
}

/// Tells one assignment of a partition from another: after a seek, a wake-up that was meant for
/// the old position is void.
type Generation = u64;

#[derive(Debug)]
struct Position {
    asked: Asked,
    generation: Generation,
    /// Dropped with the assignment, which ends the wait.
    parked: Option<oneshot::Sender<()>>,
}

/// A partition that waits for records.
#[derive(Debug)]
pub(crate) struct Parked {
    partition: TopicPartition,
    generation: Generation,
    /// Closed when the assignment ends.
    held: oneshot::Receiver<()>,
}

impl Parked {
    /// Waits for `advance`, or until the partition is assigned anew or not at all: a reader that
    /// seeks again and again leaves no waits behind.
    pub(crate) async fn until(mut self, advance: impl Future<Output = ()>) -> Self {
        tokio::select! {
            () = advance => {}
            _ = &mut self.held => {}
        }
        self
    }
}

/// Turns that may be void before all of them are looked through.
const VOID_TURNS: usize = 64;

impl Assignments {
    /// Reads a partition from now on, or seeks if it is read already.
    pub(crate) fn assign(&mut self, asked: Asked) {
        self.last += 1;
        let generation = self.last;
        self.turns.push_back((asked.partition.clone(), generation));
        let partition = asked.partition.clone();
        self.positions.insert(partition, Position { asked, generation, parked: None });
        self.forget_void_turns();
    }

    /// Stops reading a partition.
    pub(crate) fn unassign(&mut self, partition: &TopicPartition) {
        self.positions.remove(partition);
        self.forget_void_turns();
    }

    /// Lets a turn stand first that counts. The others are looked through once there are many more
    /// than assignments, so that assigning many partitions does not take the square of their number.
    fn forget_void_turns(&mut self) {
        let Self { positions, turns, .. } = self;
        let counts = |(partition, generation): &(TopicPartition, Generation)| {
            positions.get(partition).is_some_and(|held| held.generation == *generation)
        };
        while turns.pop_front_if(|turn| !counts(turn)).is_some() {}
        if positions.len().saturating_mul(2).saturating_add(VOID_TURNS) < turns.len() {
            turns.retain(counts);
        }
    }

    /// How many partitions are read.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether any partition is ready.
    pub(crate) fn has_turn(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Takes the partition whose turn it is. Put it back by [`advance`](Self::advance) or
    /// [`park`](Self::park), or [`unassign`](Self::unassign) it.
    pub(crate) fn take_turn(&mut self) -> Option<Asked> {
        let (partition, _) = self.turns.pop_front()?;
        self.forget_void_turns();
        self.positions.get(&partition).map(|position| position.asked.clone())
    }

    /// The partition was read up to `next`: it is ready again, behind the others.
    pub(crate) fn advance(&mut self, partition: &TopicPartition, next: Offset) {
        if let Some(position) = self.positions.get_mut(partition) {
            position.asked.offset = next;
            self.turns.push_back((partition.clone(), position.generation));
        }
    }

    /// The partition has nothing to read; [`wake`](Self::wake) it when it has.
    pub(crate) fn park(&mut self, partition: &TopicPartition) -> Option<Parked> {
        let position = self.positions.get_mut(partition)?;
        let (parked, held) = oneshot::channel();
        position.parked = Some(parked);
        Some(Parked { partition: partition.clone(), generation: position.generation, held })
    }

    /// There may be more to read, unless it was assigned anew or not at all since.
    pub(crate) fn wake(&mut self, parked: Parked) {
        let Parked { partition, generation, held: _ } = parked;
        if self.positions.get(&partition).is_some_and(|held| held.generation == generation) {
            self.turns.push_back((partition, generation));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt;
    use types::{PartitionId, TopicName};

    use super::*;

    fn partition(number: u32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(number))
    }

    fn at(number: u32, offset: u64) -> Asked {
        Asked {
            partition: partition(number),
            offset: Offset::new(offset),
            max_bytes: 100,
            current_epoch: None,
        }
    }

    fn assigned(asked: impl IntoIterator<Item = Asked>) -> Assignments {
        let mut assignments = Assignments::default();
        for asked in asked {
            assignments.assign(asked);
        }
        assignments
    }

    #[test]
    fn partitions_take_turns() {
        let mut assignments = assigned([at(0, 0), at(1, 0)]);
        assert_eq!(assignments.take_turn(), Some(at(0, 0)));
        assignments.advance(&partition(0), Offset::new(5));
        assert_eq!(assignments.take_turn(), Some(at(1, 0)));
        assignments.advance(&partition(1), Offset::new(7));
        assert_eq!(assignments.take_turn(), Some(at(0, 5)));
    }

    #[test]
    fn a_parked_partition_waits_until_it_is_woken() {
        let mut assignments = assigned([at(0, 3)]);
        assignments.take_turn();
        let parked = assignments.park(&partition(0)).unwrap();
        assert!(!assignments.has_turn());
        assignments.wake(parked);
        assert_eq!(assignments.take_turn(), Some(at(0, 3)));
    }

    #[test]
    fn a_seek_takes_effect_once_and_voids_the_wake_up_of_the_old_position() {
        let mut assignments = assigned([at(0, 3)]);
        assignments.take_turn();
        let parked = assignments.park(&partition(0)).unwrap();
        assignments.assign(at(0, 9));
        assignments.wake(parked);
        assert_eq!(assignments.take_turn(), Some(at(0, 9)));
        assert!(!assignments.has_turn());
    }

    #[test]
    fn a_seek_before_its_turn_replaces_the_turn() {
        let mut assignments = assigned([at(0, 3), at(0, 9)]);
        assert_eq!(assignments.take_turn(), Some(at(0, 9)));
        assert_eq!(assignments.take_turn(), None);
    }

    #[test]
    fn what_is_unassigned_is_read_no_more() {
        let mut assignments = assigned([at(0, 0), at(1, 0)]);
        let parked = assignments.park(&partition(0)).unwrap();
        assignments.unassign(&partition(0));
        assignments.wake(parked);
        assert_eq!(assignments.take_turn(), Some(at(1, 0)));
        assert_eq!(assignments.take_turn(), None);
        assert_eq!(assignments.len(), 1);
    }

    #[test]
    fn a_wait_ends_with_the_assignment_that_it_is_for() {
        let ways: [fn(&mut Assignments); 2] = [
            |assignments| assignments.assign(at(0, 9)),
            |assignments| assignments.unassign(&partition(0)),
        ];
        for end in ways {
            let mut assignments = assigned([at(0, 3)]);
            assignments.take_turn();
            let mut wait = Box::pin(assignments.park(&partition(0)).unwrap().until(pending()));
            assert!((&mut wait).now_or_never().is_none());
            end(&mut assignments);
            assert!(wait.now_or_never().is_some(), "or every seek would leave one behind");
        }
    }

    #[test]
    fn a_reader_that_seeks_without_end_takes_no_more_memory_for_it() {
        let mut assignments = assigned([at(0, 0), at(1, 0)]);
        for offset in 0..1_000 {
            assignments.assign(at(1, offset));
        }
        assert!(assignments.turns.len() <= 2 * 2 + VOID_TURNS);
        assert_eq!(assignments.take_turn(), Some(at(0, 0)));
        assert_eq!(assignments.take_turn(), Some(at(1, 999)));
        assert!(!assignments.has_turn());
    }

    #[test]
    fn many_partitions_are_assigned_in_their_order() {
        // With a look at every turn for each of them, this took minutes.
        const MANY: u32 = 50_000;
        let mut assignments = assigned((0..MANY).map(|number| at(number, 0)));
        for number in 0..MANY {
            assert_eq!(assignments.take_turn(), Some(at(number, 0)));
        }
    }
}
