//! Consumers in the middle of reading, while what they read is deleted.

use client::{ClientError, OnOutOfRange};
use tokio::task::block_in_place;
use types::Offset;

use crate::numbered::{Numbered, next, partition};

/// Segments of 8 KiB hold a few dozen of these each.
const RECORDS: u64 = 6_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_goes_on_while_records_are_deleted_under_it_and_misses_none_that_were_left() {
    let mut numbered = Numbered::start(" -c durability=page-cache").await;
    for _ in 0..RECORDS / 20 {
        numbered.produce(20).await;
    }
    let mut consumer = numbered.consumer(0, OnOutOfRange::Earliest).await;
    let (mut expected, mut begins, mut jumps) = (0, 0, 0);
    while expected < RECORDS {
        for number in next(&mut consumer).await {
            if number != expected {
                // Nothing is skipped but what was deleted, and all of that at once.
                assert_eq!((expected < begins, number), (true, begins));
                jumps += 1;
            }
            expected = number + 1;
        }
        // Under its feet, a little behind, or far ahead of it.
        let ahead = [40, 0, 700].into_iter().nth((expected % 3) as usize).unwrap();
        begins = numbered.delete((expected + ahead).min(RECORDS - 100).max(begins)).await;
    }
    assert!(0 < jumps, "the consumer was never overtaken");
    assert_eq!(numbered.earliest().await, begins);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_goes_on_while_retention_deletes_under_it() {
    let mut numbered = Numbered::start("").await;
    for _ in 0..RECORDS / 20 {
        numbered.produce(20).await;
    }
    let mut consumer = numbered.consumer(0, OnOutOfRange::Earliest).await;
    let mut seen = next(&mut consumer).await;
    let alter = "topic alter t -c retention.bytes=20000".split(' ');
    block_in_place(|| numbered.cluster.run(alter, "").expect_success());
    let mut begins = 0;
    while begins == 0 {
        // It reads on meanwhile, but not to the end.
        if seen.last().is_none_or(|last| *last < RECORDS / 2) {
            seen.extend(next(&mut consumer).await);
        }
        begins = numbered.earliest().await;
    }
    while seen.last().is_none_or(|last| *last + 1 < RECORDS) {
        seen.extend(next(&mut consumer).await);
    }
    let jumps = seen.windows(2).filter(|pair| pair[0] + 1 != pair[1]);
    let jumps: Vec<u64> = jumps.map(|pair| pair[1]).collect();
    // What is kept stays the same, since nothing is produced any more.
    assert!(jumps == [begins], "{jumps:?} {begins}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_below_the_new_start_does_what_it_was_told_to_do_then() {
    let mut numbered = Numbered::start("").await;
    numbered.produce(10).await;
    assert_eq!(numbered.delete(6).await, 6);

    let mut told = numbered.consumer(2, OnOutOfRange::Error).await;
    let error = told.next_batch().await.unwrap_err();
    let expected = ClientError::OffsetOutOfRange {
        topic_partition: partition(),
        asked: Offset::new(2),
        start: Offset::new(6),
        end: Offset::new(10),
    };
    assert_eq!(error, expected);
    assert_eq!(told.next_batch().await.unwrap(), None, "it rests");

    let mut from_the_start = numbered.consumer(2, OnOutOfRange::Earliest).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&9) {
        seen.extend(next(&mut from_the_start).await);
    }
    assert_eq!(seen, [6, 7, 8, 9]);

    let mut from_the_end = numbered.consumer(2, OnOutOfRange::Latest).await;
    let mut next = std::pin::pin!(next(&mut from_the_end));
    // Where the end is when it looks is not known; whatever comes then, it sees.
    let seen = loop {
        tokio::select! {
            seen = &mut next => break seen,
            () = numbered.produce(1) => {}
        }
    };
    assert!(seen.first().is_some_and(|first| 10 <= *first), "{seen:?}");
}
