use types::{Timestamp, TopicName};

use super::*;
use crate::commit::{BrokenChain, PartitionCommit};
use crate::run_id::RunId;

const NONE: Limits = Limits { max_records_per_partition: None };
const LIFE: TopicId = TopicId::from_bytes([1; 16]);

fn source(bounds: &[(u64, u64)]) -> SourceTopic {
    let partitions = bounds.iter().zip(0..).map(|((earliest, latest), partition)| {
        let bounds = Bounds { earliest: Offset::new(*earliest), latest: Offset::new(*latest) };
        (PartitionId::new(partition), bounds)
    });
    SourceTopic { id: LIFE, partitions: partitions.collect() }
}

/// The commit that lands all of `plan`, every offset a tombstone.
fn landed(plan: &Plan, noise: u8) -> CommitRecord {
    let topic = TopicName::new("t").unwrap();
    let run = RunId::new(Timestamp::from_millis(0), [noise; 4]);
    let moved = plan.partitions().iter().map(|part| PartitionCommit {
        partition: part.partition,
        from: part.from,
        to: part.to,
        gap: part.gap,
        rows: 0,
        quarantined: 0,
        tombstones: part.to.distance_from(part.from),
        holes: 0,
    });
    let moved: Vec<_> = moved.collect();
    CommitRecord::of_run(plan, &topic, &run, Timestamp::default(), &moved, &[]).unwrap()
}

fn ranges(plan: &Plan) -> Vec<(u32, u64, u64)> {
    let range = |part: &PartitionPlan| (part.partition.get(), part.from.get(), part.to.get());
    plan.partitions().iter().map(range).collect()
}

fn next(head: &CommitRecord, bounds: &[(u64, u64)]) -> Result<Plan, PlanError> {
    plan(Some(head), &source(bounds), NONE, GapPolicy::Fail)
}

#[test]
fn the_first_run_reads_what_is_there_and_each_next_one_goes_on_from_there() {
    let first = plan(None, &source(&[(3, 10), (0, 0)]), NONE, GapPolicy::Fail).unwrap();
    assert_eq!((ranges(&first), first.next_seq()), (vec![(0, 3, 10)], 0));
    let head = landed(&first, 1);
    let second = next(&head, &[(3, 12), (0, 5)]).unwrap();
    assert_eq!((ranges(&second), second.next_seq()), (vec![(0, 10, 12), (1, 0, 5)], 1));
    let third = next(&landed(&second, 2), &[(3, 12), (0, 5)]).unwrap();
    assert!(third.is_empty());
}

#[test]
fn what_was_gone_before_the_first_run_is_no_gap_later() {
    // Partition 1 is empty, and retention has been there.
    let first = plan(None, &source(&[(0, 10), (5, 5)]), NONE, GapPolicy::Fail).unwrap();
    let second = next(&landed(&first, 1), &[(0, 10), (5, 8)]).unwrap();
    assert_eq!(ranges(&second), vec![(1, 5, 8)]);
    landed(&second, 2).continues(Some(&landed(&first, 1))).unwrap();
}

#[test]
fn positions_of_partitions_a_run_did_not_move_are_carried_forward() {
    let first = plan(None, &source(&[(0, 10), (0, 7)]), NONE, GapPolicy::Fail).unwrap();
    let second = next(&landed(&first, 1), &[(0, 10), (0, 9)]).unwrap();
    let third = next(&landed(&second, 2), &[(0, 11), (0, 9)]).unwrap();
    assert_eq!(ranges(&third), vec![(0, 10, 11)]);
}

#[test]
fn what_retention_took_stops_the_run_or_is_recorded() {
    let head = landed(&plan(None, &source(&[(0, 10)]), NONE, GapPolicy::Fail).unwrap(), 1);
    let gap = Gap { from: Offset::new(10), to: Offset::new(20) };
    assert_eq!(
        next(&head, &[(20, 30)]),
        Err(PlanError::Gap { partition: PartitionId::new(0), gap })
    );
    let skipped = plan(Some(&head), &source(&[(20, 30)]), NONE, GapPolicy::Skip).unwrap();
    assert_eq!(skipped.partitions().first().unwrap().gap, Some(gap));
    assert_eq!(ranges(&skipped), vec![(0, 20, 30)]);
    // Even with nothing left to read, the gap itself is news.
    let emptied = plan(Some(&head), &source(&[(20, 20)]), NONE, GapPolicy::Skip).unwrap();
    assert_eq!(ranges(&emptied), vec![(0, 20, 20)]);
}

#[test]
fn a_partition_that_is_new_begins_at_0_even_if_retention_was_there_first() {
    let head = landed(&plan(None, &source(&[(5, 10)]), NONE, GapPolicy::Fail).unwrap(), 1);
    let grown = next(&head, &[(5, 10), (4, 8)]);
    assert!(matches!(grown, Err(PlanError::Gap { .. })));
}

#[test]
fn a_topic_made_anew_stops_the_run() {
    let head = landed(&plan(None, &source(&[(0, 10)]), NONE, GapPolicy::Fail).unwrap(), 1);
    let found = TopicId::from_bytes([9; 16]);
    let again = SourceTopic { id: found, ..source(&[(0, 10)]) };
    assert_eq!(
        plan(Some(&head), &again, NONE, GapPolicy::Skip),
        Err(PlanError::TopicRecreated { landed: LIFE, found })
    );
}

#[test]
fn a_source_that_lost_records_or_partitions_stops_the_run() {
    let head = landed(&plan(None, &source(&[(0, 10), (0, 4)]), NONE, GapPolicy::Fail).unwrap(), 1);
    assert!(matches!(next(&head, &[(0, 9), (0, 4)]), Err(PlanError::SourceBehind { .. })));
    assert!(matches!(next(&head, &[(0, 10)]), Err(PlanError::PartitionGone { .. })));
}

#[test]
fn commits_made_from_plans_form_a_chain_and_a_missing_or_doubled_one_breaks_it() {
    let first = landed(&plan(None, &source(&[(3, 10)]), NONE, GapPolicy::Fail).unwrap(), 1);
    let second = landed(&next(&first, &[(3, 12), (0, 5)]).unwrap(), 2);
    let third = landed(&next(&second, &[(3, 14), (0, 5)]).unwrap(), 3);
    assert_eq!(first.continues(None), Ok(()));
    assert_eq!(second.continues(Some(&first)), Ok(()));
    assert_eq!(third.continues(Some(&second)), Ok(()));
    assert_eq!(third.continues(Some(&first)), Err(BrokenChain::Sequence { expected: 1, found: 2 }));
    let doubled = CommitRecord { seq: 3, ..second.clone() };
    assert!(matches!(doubled.continues(Some(&third)), Err(BrokenChain::Offsets { .. })));
    let mut forgetful = third;
    forgetful.positions.remove(&PartitionId::new(1));
    assert!(matches!(forgetful.continues(Some(&second)), Err(BrokenChain::Position { .. })));
}

#[test]
fn a_limit_is_met_by_reading_less_not_by_skipping() {
    let limits = Limits { max_records_per_partition: Some(4) };
    let first = plan(None, &source(&[(0, 10)]), limits, GapPolicy::Fail).unwrap();
    assert_eq!(ranges(&first), vec![(0, 0, 4)]);
    let second =
        plan(Some(&landed(&first, 1)), &source(&[(0, 10)]), limits, GapPolicy::Fail).unwrap();
    assert_eq!(ranges(&second), vec![(0, 4, 8)]);
    assert_eq!(second.records(), 4);
}

#[test]
fn a_run_that_lost_the_race_for_its_partitions_is_fenced_and_one_that_did_not_goes_on() {
    let only = |partition: u32| {
        let mut plan = plan(None, &source(&[(0, 10), (0, 7)]), NONE, GapPolicy::Fail).unwrap();
        plan.partitions.retain(|part| part.partition.get() == partition);
        plan
    };
    let winner = landed(&only(0), 1);
    let fenced = only(0).rebase(&winner).unwrap_err();
    assert_eq!((fenced.by, fenced.seq), (winner.run_id.clone(), 0));
    let mut other = only(1);
    other.rebase(&winner).unwrap();
    let both = landed(&other, 2);
    assert_eq!((both.seq, both.positions.len()), (1, 2));
}
