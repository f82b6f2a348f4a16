use proptest::prelude::*;

use super::*;

const LINGER: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_secs(1);
const SLOTS: usize = 2;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn partition(number: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(number))
}

/// Tickets are numbers, given out in order.
struct Harness {
    accumulator: Accumulator<u32>,
    batch_bytes: usize,
    tickets: u32,
}

impl Harness {
    fn new(batch_bytes: usize, linger: Duration) -> Self {
        let gathering = Gathering {
            linger,
            delivery_timeout: TIMEOUT,
            compression: Compression::None,
            slots: SLOTS,
        };
        Self { accumulator: Accumulator::new(gathering), batch_bytes, tickets: 0 }
    }

    fn append(&mut self, to: u32, now: Duration) -> Appended<u32> {
        let record = NewRecord {
            timestamp: Timestamp::from_millis(0),
            key: None,
            value: Some(&Bytes::from_static(b"value")),
            headers: &[],
        };
        let Self { tickets, batch_bytes, .. } = self;
        let new_batch = || {
            *tickets += 1;
            NewBatch { ticket: *tickets, limit: *batch_bytes, opened: now }
        };
        self.accumulator.append(&partition(to), record, new_batch).unwrap()
    }

    /// Partition and ticket of what is due.
    fn due(&mut self, now: Duration) -> Vec<(PartitionIndex, Pending<u32>)> {
        self.accumulator.take_due(now)
    }

    /// A batch has met its fate, and so many slots are free then.
    fn settle(&mut self, of: u32, ticket: u32, slots: usize) {
        self.accumulator.settled(self.index(of), &ticket);
        self.accumulator.set_slots(self.index(of), slots);
    }

    /// Whether those queues are listed from which a batch can leave, and none twice.
    fn lists_right(&self) -> bool {
        let Accumulator { queues, leaving, .. } = &self.accumulator;
        (0..).zip(queues).all(|(place, queue)| {
            let listed = leaving.iter().filter(|of| **of == PartitionIndex::new(place)).count();
            listed == usize::from(queue.listed == Listed::Yes)
                && (queue.listed == Listed::Yes || !queue.can_leave())
        })
    }

    /// The number of a partition that had a record.
    fn index(&self, of: u32) -> PartitionIndex {
        let TopicPartition { topic, partition } = partition(of);
        self.accumulator.numbering.find(&topic, partition).unwrap()
    }

    fn knows(&self, of: u32) -> bool {
        let TopicPartition { topic, partition } = partition(of);
        self.accumulator.numbering.find(&topic, partition).is_some()
    }

    fn due_tickets(&mut self, now: Duration) -> Vec<u32> {
        self.due(now).into_iter().map(|(_, pending)| pending.ticket).collect()
    }
}

#[test]
fn records_share_a_batch_while_they_linger() {
    let mut harness = Harness::new(1000, LINGER);
    assert_eq!(harness.append(0, at(0)).wake, Wake::Sender);
    let second = harness.append(0, at(5));
    assert_eq!((second.ticket, second.index, second.wake), (1, 1, Wake::Nobody));
    assert_eq!(harness.accumulator.next_wakeup(), Some(at(10)));
    assert_eq!(harness.due_tickets(at(9)), Vec::<u32>::new());
    assert_eq!(harness.due_tickets(at(10)), [1]);
}

#[test]
fn a_full_batch_does_not_linger() {
    let mut harness = Harness::new(100, LINGER);
    harness.append(0, at(0));
    let next = harness.append(0, at(1));
    assert_eq!((next.ticket, next.wake), (2, Wake::Sender));
    assert_eq!(harness.due_tickets(at(1)), [1]);
}

#[test]
fn a_record_larger_than_a_batch_travels_alone() {
    let mut harness = Harness::new(1, Duration::ZERO);
    assert_eq!(harness.append(0, at(0)).index, 0);
    assert_eq!(harness.append(0, at(0)).index, 0);
    let due = harness.due(at(0));
    assert_eq!(due.len(), 1);
    assert_eq!(due.first().unwrap().1.record_count(), 1);
}

#[test]
fn a_batch_that_met_its_fate_lets_another_leave_whoever_settled_it() {
    let mut harness = Harness::new(1, Duration::ZERO);
    for ticket in 1..=5 {
        harness.append(0, at(0));
        assert_eq!(harness.due_tickets(at(0)), [ticket]);
        // Nobody says how many slots there are: its leader was never found.
        harness.accumulator.settled(harness.index(0), &ticket);
        // Twice is once.
        harness.accumulator.settled(harness.index(0), &ticket);
    }
    for _ in 0..3 {
        harness.append(0, at(0));
    }
    assert_eq!(harness.due_tickets(at(0)), [6]);
    assert_eq!(harness.due_tickets(at(0)), [7]);
    assert_eq!(harness.due_tickets(at(0)), Vec::<u32>::new());
}

#[test]
fn as_many_batches_of_a_partition_leave_as_it_has_slots() {
    let mut harness = Harness::new(1, Duration::ZERO);
    for _ in 0..3 {
        harness.append(0, at(0));
    }
    harness.append(1, at(0));
    assert_eq!(harness.due_tickets(at(0)), [1, 4]);
    assert_eq!(harness.due_tickets(at(0)), [2]);
    assert_eq!(harness.due_tickets(at(9)), Vec::<u32>::new());
    assert_eq!(harness.append(0, at(9)).wake, Wake::Nobody);
    harness.settle(0, 1, 1);
    assert_eq!(harness.due_tickets(at(9)), [3]);
}

#[test]
fn partitions_have_their_turns_as_they_come() {
    let mut harness = Harness::new(1, Duration::ZERO);
    // Whatever their names.
    for (to, ticket) in [(3, 1), (0, 2), (2, 3)] {
        assert_eq!(harness.append(to, at(0)).ticket, ticket);
    }
    assert_eq!(harness.due_tickets(at(0)), [1, 2, 3]);
    harness.append(2, at(0));
    harness.append(3, at(0));
    assert_eq!(harness.due_tickets(at(1)), [4, 5]);
}

#[test]
fn a_batch_gathers_for_a_moment_while_others_are_under_way() {
    let mut harness = Harness::new(1000, Duration::ZERO);
    harness.append(0, at(0));
    assert_eq!(harness.due_tickets(at(0)), [1]);
    assert_eq!(harness.append(0, at(5)).wake, Wake::Sender);
    assert_eq!(harness.due_tickets(at(5)), Vec::<u32>::new());
    assert_eq!(harness.accumulator.next_wakeup(), Some(at(6)));
    assert_eq!(harness.due_tickets(at(6)), [2]);

    harness.settle(0, 1, 1);
    harness.append(0, at(7));
    harness.settle(0, 2, 2);
    assert_eq!(harness.due_tickets(at(7)), [3], "nobody is under way any more");
}

#[test]
fn nothing_leaves_through_a_shut_gate() {
    let mut harness = Harness::new(1000, Duration::ZERO);
    harness.accumulator.set_gate(Gate::Shut);
    harness.append(0, at(0));
    assert!(harness.accumulator.has_waiting());
    assert_eq!(harness.due_tickets(at(9)), Vec::<u32>::new());
    assert_eq!(harness.accumulator.next_wakeup(), Some(TIMEOUT));
    harness.accumulator.set_gate(Gate::Open);
    assert_eq!(harness.due_tickets(at(9)), [1]);
    assert!(!harness.accumulator.has_waiting());
}

#[test]
fn a_batch_that_comes_back_is_first_and_waits_out_its_pause() {
    let mut harness = Harness::new(1000, Duration::ZERO);
    harness.append(0, at(0));
    let (of, back) = harness.due(at(0)).pop().unwrap();
    harness.append(0, at(1));
    harness.accumulator.put_back(of, back, at(50));
    assert_eq!(harness.accumulator.next_wakeup(), Some(at(50)));
    assert_eq!(harness.due_tickets(at(49)), Vec::<u32>::new());
    assert_eq!(harness.due_tickets(at(50)), [1]);
    assert_eq!(harness.due_tickets(at(51)), [2]);
}

#[test]
fn what_waits_too_long_expires_and_what_is_under_way_does_not() {
    let mut harness = Harness::new(1000, Duration::ZERO);
    harness.append(0, at(0));
    assert_eq!(harness.due_tickets(at(0)), [1]);
    harness.append(0, at(1));
    harness.accumulator.set_slots(harness.index(0), 0);
    assert_eq!(harness.accumulator.take_expired(at(1000)).len(), 0);
    assert_eq!(harness.accumulator.next_wakeup(), Some(at(1001)));
    let expired = harness.accumulator.take_expired(at(1001));
    assert_eq!(expired.first().map(|(_, pending)| pending.ticket), Some(2));
    assert_eq!(harness.accumulator.close_batches(), [1]);
}

#[test]
fn a_flush_ends_the_lingering_and_knows_everything_unsettled() {
    let mut harness = Harness::new(1000, LINGER);
    harness.append(0, at(0));
    assert_eq!(harness.due_tickets(at(10)), [1]);
    harness.append(0, at(10));
    harness.append(1, at(10));
    assert_eq!(harness.accumulator.close_batches(), [1, 2, 3]);
    assert_eq!(harness.due_tickets(at(10)), [2, 3]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(u32),
    Send,
    Settle(u32),
    Return(u32),
    Gate(Gate),
    NoSlots(u32),
    /// Of all that wait, were they ever so young.
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_u32).prop_map(Step::Append),
        2 => Just(Step::Send),
        1 => (0..2_u32).prop_map(Step::Settle),
        1 => (0..2_u32).prop_map(Step::Return),
        1 => prop_oneof![Just(Gate::Open), Just(Gate::Shut)].prop_map(Step::Gate),
        1 => (0..2_u32).prop_map(Step::NoSlots),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    /// Whatever cannot be sent and comes back, or expires: batches of a partition leave in the order
    /// in which they were opened, never more at a time than there are slots, and memory adds up.
    #[test]
    fn no_batch_overtakes_another(steps in prop::collection::vec(step(), 1..80)) {
        let mut harness = Harness::new(200, Duration::ZERO);
        let mut under_way: [VecDeque<Pending<u32>>; 2] = Default::default();
        let mut settled: [Vec<u32>; 2] = Default::default();
        let (mut appended, mut delivered, mut expired) = (0, 0, 0);
        // Everything is settled in the end.
        let finish = [Step::Gate(Gate::Open), Step::Send, Step::Settle(0), Step::Settle(1)].repeat(80);
        for (now, step) in (0..).zip(steps.into_iter().chain(finish)) {
            match step {
                Step::Append(to) => {
                    harness.append(to, at(now));
                    appended += 1;
                }
                Step::Send => {
                    for (of, pending) in harness.due(at(now)) {
                        let partition = harness.accumulator.name(of).partition;
                        let sent = &mut under_way[partition.get() as usize];
                        sent.push_back(pending);
                        prop_assert!(sent.len() <= SLOTS);
                    }
                }
                Step::Settle(of) => {
                    let sent = &mut under_way[of as usize];
                    if let Some(pending) = sent.pop_front() {
                        delivered += pending.record_count();
                        settled[of as usize].push(pending.ticket);
                        harness.settle(of, pending.ticket, SLOTS - sent.len());
                    } else if harness.knows(of) {
                        let of = harness.index(of);
                        harness.accumulator.set_slots(of, SLOTS);
                    }
                }
                Step::Gate(gate) => harness.accumulator.set_gate(gate),
                Step::NoSlots(of) => {
                    if harness.knows(of) {
                        let of = harness.index(of);
                        harness.accumulator.set_slots(of, 0);
                    }
                }
                Step::Expire => {
                    for (_of, pending) in harness.accumulator.take_expired(at(now) + TIMEOUT) {
                        expired += pending.record_count();
                    }
                }
                // The one that has just left.
                Step::Return(of) => {
                    if let Some(pending) = under_way[of as usize].pop_back() {
                        let of = harness.index(of);
                        harness.accumulator.put_back(of, pending, at(now));
                    }
                }
            }
            prop_assert!(harness.lists_right(), "{:?}", step);
        }
        prop_assert_eq!(delivered + expired, appended);
        for tickets in settled {
            prop_assert!(tickets.is_sorted_by(|earlier, later| earlier < later));
        }
        prop_assert_eq!(harness.accumulator.next_wakeup(), None);
    }
}
