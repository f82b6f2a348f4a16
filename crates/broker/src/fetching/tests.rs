//! When a fetch is answered, and what it may still take.

use types::{PartitionId, TopicName};

use super::*;

fn partition(number: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(number))
}

fn asked(number: u32, max_bytes: usize) -> Asked {
    Asked { partition: partition(number), offset: Offset::new(3), max_bytes, current_epoch: None }
}

fn round(min_bytes: usize, max_bytes: usize, asked: Vec<Asked>) -> Round {
    Round::new(Query { partitions: asked, max_wait: Duration::MAX, min_bytes, max_bytes })
}

fn gathered(bytes: &'static [u8], next: u64) -> Gathered {
    let high_watermark = Offset::new(9);
    let bytes = Bytes::from_static(bytes);
    Gathered::of(bytes, Offset::new(next), high_watermark, Offset::ZERO, LeaderEpoch::ZERO)
}

#[test]
fn a_fetch_that_found_nothing_waits_whatever_its_least() {
    for min_bytes in [0, 1, 100] {
        let mut round = round(min_bytes, 1000, vec![asked(0, 1000)]);
        round.add(0, gathered(b"", 3));
        assert!(!round.is_enough());
    }
}

#[test]
fn it_is_answered_once_its_partitions_together_have_its_least() {
    let mut round = round(8, 1000, vec![asked(0, 1000), asked(1, 1000)]);
    round.add(0, gathered(b"12345", 4));
    assert!(!round.is_enough());
    round.add(1, gathered(b"678", 4));
    assert!(round.is_enough());
}

#[test]
fn a_least_beyond_the_most_does_not_wait_for_ever() {
    let mut round = round(1000, 5, vec![asked(0, 1000)]);
    round.add(0, gathered(b"12345", 4));
    assert!(round.is_enough());
}

#[test]
fn an_error_is_answered_at_once_and_alone() {
    let mut round = round(100, 1000, vec![asked(0, 1000)]);
    round.add(0, gathered(b"12345", 4));
    round.fail(0, FetchError::ShuttingDown);
    assert!(round.is_enough());
    assert_eq!(round.next(0), None);
    let fetched = round.finish();
    let [Fetched { outcome: Err(FetchError::ShuttingDown), .. }] = fetched.as_slice() else {
        panic!("{fetched:?}")
    };
}

#[test]
fn reading_goes_on_behind_what_was_read_within_what_is_left() {
    let mut round = round(100, 12, vec![asked(0, 10), asked(1, 10)]);
    assert_eq!(round.next(0), Some((asked(0, 10), 10)));
    round.add(0, gathered(b"1234", 7));
    let on = Asked { offset: Offset::new(7), ..asked(0, 10) };
    assert_eq!(round.next(0), Some((on, 6)));
    assert_eq!(round.next(1), Some((asked(1, 10), 8)));
}

#[test]
fn what_was_read_before_and_after_waiting_is_one_answer() {
    let mut round = round(6, 1000, vec![asked(0, 1000)]);
    round.add(0, gathered(b"123", 4));
    round.add(0, gathered(b"", 4));
    round.add(0, gathered(b"456", 5));
    let fetched = round.finish().pop().unwrap();
    assert_eq!(fetched.outcome.unwrap().into_batches(), Bytes::from_static(b"123456"));
}

#[test]
fn the_end_of_batches_is_behind_their_last_record() {
    let batch = |records: usize| {
        let mut builder = record::BatchBuilder::new(record::Compression::None);
        for _ in 0..records {
            builder.push(types::Timestamp::from_millis(0), None, Some(b"v"), &[]).unwrap();
        }
        builder.build().unwrap()
    };
    let (first, second) = (batch(2), batch(3));
    let mut bytes = Vec::new();
    for (batch, base) in [(first, 10), (second, 12)] {
        bytes.extend(batch.placed_header(Offset::new(base), LeaderEpoch::ZERO));
        bytes.extend(batch.body());
    }
    assert_eq!(end_of(&bytes), Ok(Some(Offset::new(15))));
    assert_eq!(end_of(b""), Ok(None));
    bytes.pop();
    assert!(end_of(&bytes).is_err());
}
