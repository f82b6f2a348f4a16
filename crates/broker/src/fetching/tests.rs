//! When a fetch is answered, and what it may still take.

use types::{PartitionId, TopicName};
use wire::bounds::Purses;

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
    let bytes = Some((Bytes::from_static(bytes), Held::default()));
    Gathered::of(bytes, Offset::new(next), high_watermark, Offset::ZERO, LeaderEpoch::ZERO)
}

#[test]
fn a_fetch_that_found_nothing_waits_whatever_its_least() {
    for min_bytes in [0, 1, 100] {
        let mut round = round(min_bytes, 1000, vec![asked(0, 1000)]);
        round.add(0, gathered(b"", 3), 1_000);
        assert!(!round.is_enough());
    }
}

#[test]
fn it_is_answered_once_its_partitions_together_have_its_least() {
    let mut round = round(8, 1000, vec![asked(0, 1000), asked(1, 1000)]);
    round.add(0, gathered(b"12345", 4), 1_000);
    assert!(!round.is_enough());
    round.add(1, gathered(b"678", 4), 1_000);
    assert!(round.is_enough());
}

#[test]
fn a_least_beyond_the_most_does_not_wait_for_ever() {
    let mut round = round(1000, 5, vec![asked(0, 1000)]);
    round.add(0, gathered(b"12345", 4), 1_000);
    assert!(round.is_enough());
}

#[test]
fn an_error_is_answered_at_once_and_alone() {
    let mut round = round(100, 1000, vec![asked(0, 1000)]);
    round.add(0, gathered(b"12345", 4), 1_000);
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
    round.add(0, gathered(b"1234", 7), 1_000);
    let on = Asked { offset: Offset::new(7), ..asked(0, 10) };
    assert_eq!(round.next(0), Some((on, 6)));
    assert_eq!(round.next(1), Some((asked(1, 10), 8)));
}

#[test]
fn a_batch_too_large_is_taken_alone_and_left_behind_others() {
    let mut first = round(100, 4, vec![asked(0, 1000), asked(1, 1000)]);
    first.add(0, gathered(b"", 3), 4);
    first.add(1, gathered(b"too large", 8), 4);
    assert!(first.is_enough());
    let mut second = round(100, 4, vec![asked(0, 1000), asked(1, 1000)]);
    second.add(0, gathered(b"1", 4), 4);
    second.add(1, gathered(b"too large", 8), 3);
    assert!(second.is_enough(), "waiting would not make it smaller");
    let sizes = |round: Round| {
        let gathered = round.finish().into_iter().map(|fetched| fetched.outcome.unwrap());
        gathered.map(|gathered| (gathered.len(), gathered.next().get())).collect::<Vec<_>>()
    };
    assert_eq!(sizes(first), [(0, 3), (9, 8)]);
    assert_eq!(sizes(second), [(1, 4), (0, 3)]);
}

#[test]
fn what_was_read_before_and_after_waiting_is_one_answer() {
    let mut round = round(6, 1000, vec![asked(0, 1000)]);
    round.add(0, gathered(b"123", 4), 1_000);
    round.add(0, gathered(b"", 4), 1_000);
    round.add(0, gathered(b"456", 5), 1_000);
    let fetched = round.finish().pop().unwrap();
    assert_eq!(fetched.outcome.unwrap().into_batches().0, Bytes::from_static(b"123456"));
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

/// Fetches over a real log.
mod over_a_log {
    use std::sync::Arc;

    use futures::FutureExt;
    use replication::Acks;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::led_partition::{EPOCH, LedPartition, batch, led_partition};

    const LONG: Duration = Duration::from_mins(10);

    fn fetching(led: &LedPartition) -> Fetching {
        Fetching::new(led.partitions.clone(), led.scrubs(), led.clock, CancellationToken::new())
    }

    /// More than any of these tests needs.
    fn purse() -> Purse {
        Purses::new(1 << 20).of_nobody()
    }

    fn query(offset: u64, max_wait: Duration) -> Query {
        let partitions = vec![Asked { offset: Offset::new(offset), ..asked(0, 1_000) }];
        Query { partitions, max_wait, min_bytes: 1, max_bytes: 1_000 }
    }

    async fn running() -> (LedPartition, JoinHandle<()>) {
        let (led, task) = led_partition().await;
        (led, tokio::spawn(task.run(CancellationToken::new())))
    }

    async fn append(led: &LedPartition, value: &'static str) {
        let answer = led.partition.submit(led.produce(value, Acks::All)).await.unwrap();
        answer.await.unwrap();
    }

    fn only(mut fetched: Vec<Fetched>) -> Result<Gathered, FetchError> {
        fetched.pop().unwrap().outcome
    }

    #[tokio::test]
    async fn a_fetch_at_the_end_wakes_when_a_record_is_committed() {
        let (led, _task) = running().await;
        let fetching = fetching(&led);
        let waiting = tokio::spawn(async move { fetching.fetch(query(0, LONG), &purse()).await });
        append(&led, "a").await;
        let gathered = only(waiting.await.unwrap()).unwrap();
        assert_eq!(gathered.next(), Offset::new(1));
        assert_eq!(gathered.high_watermark, Offset::new(1));
        let read = record::Batch::verify(gathered.into_batches().0).unwrap();
        assert_eq!(read.body(), batch("a").body());
    }

    #[tokio::test]
    async fn a_fetch_that_waits_no_longer_answers_with_nothing() {
        let (led, _task) = running().await;
        let gathered =
            only(fetching(&led).fetch(query(0, Duration::ZERO), &purse()).await).unwrap();
        assert!(gathered.is_empty());
        assert_eq!(gathered.epoch, EPOCH);
    }

    #[tokio::test]
    async fn a_fetch_that_waits_hears_at_once_when_the_leadership_ends() {
        let (led, task) = running().await;
        let fetching = fetching(&led);
        let waiting = tokio::spawn(async move { fetching.fetch(query(0, LONG), &purse()).await });
        // Lets the fetch run until it waits.
        tokio::task::yield_now().await;
        // The view is what says where the partition went; here: it does not know.
        led.background.3.send_replace(Arc::default());
        task.abort();
        let failed = only(waiting.await.unwrap()).unwrap_err();
        assert_eq!(failed.reason(), Reason::LeaderNotAvailable);
    }

    #[tokio::test]
    async fn until_the_metadata_says_where_a_leadership_went_nobody_asks_again() {
        let (led, task) = running().await;
        let asked = asked(0, 1_000);
        let asked = Asked { offset: Offset::ZERO, ..asked };
        task.abort();
        drop(task.await);
        let read = fetching(&led).read(&asked, 1_000, LargeBatch::Take, &purse()).await;
        let (nothing, advance) = read.unwrap();
        assert!(nothing.is_empty());
        let mut advance = Box::pin(advance.come());
        assert!((&mut advance).now_or_never().is_none(), "reading again would find the same");
        led.background.3.send_replace(Arc::default());
        advance.await;
    }

    #[tokio::test]
    async fn an_offset_that_was_never_written_is_out_of_range_and_the_range_is_named() {
        let (led, _task) = running().await;
        append(&led, "a").await;
        let failed = only(fetching(&led).fetch(query(2, LONG), &purse()).await).unwrap_err();
        assert_eq!(failed.reason(), Reason::OffsetOutOfRange);
        let text = failed.to_string();
        assert!(text.contains("offset 2 of t-0") && text.contains("0 to 1"), "{text}");
    }

    #[tokio::test]
    async fn a_broker_without_a_lease_serves_no_reads() {
        let (led, _task) = running().await;
        append(&led, "a").await;
        led.lease.send_modify(crate::lease::Lease::revoke);
        let failed = only(fetching(&led).fetch(query(0, LONG), &purse()).await).unwrap_err();
        assert_eq!(failed.reason(), Reason::NotLeaderOrFollower);
    }

    #[tokio::test]
    async fn the_readers_leader_epoch_is_compared() {
        let (led, _task) = running().await;
        for (known, reason) in [(2, Reason::FencedLeaderEpoch), (4, Reason::UnknownLeaderEpoch)] {
            let mut query = query(0, LONG);
            query.partitions[0].current_epoch = Some(LeaderEpoch::new(known));
            let failed = only(fetching(&led).fetch(query, &purse()).await).unwrap_err();
            assert_eq!(failed.reason(), reason);
        }
    }

    #[tokio::test]
    async fn a_fetch_holds_what_it_read_and_waits_while_there_is_no_memory_for_it() {
        let (led, _task) = running().await;
        for value in ["a", "b"] {
            append(&led, value).await;
        }
        let one = batch("a").bytes().len();
        let purse = Purses::new(2 * one).of_nobody();
        let both = query(0, Duration::ZERO);
        let gathered = only(fetching(&led).fetch(both.clone(), &purse).await).unwrap();
        let (batches, held) = gathered.into_batches();
        assert_eq!((batches.len(), held.bytes()), (2 * one, 2 * one));
        assert!(purse.try_take(1).is_none());

        let (fetching, asking) = (fetching(&led), purse.clone());
        let mut waiting = Box::pin(async move { fetching.fetch(both, &asking).await });
        assert!((&mut waiting).now_or_never().is_none());
        drop(held);
        assert_eq!(only(waiting.await).unwrap().len(), 2 * one);
        assert!(purse.try_take(2 * one).is_some(), "all of it is free again");
    }

    #[tokio::test]
    async fn a_first_batch_is_read_whole_and_held_whole_however_little_was_asked_for() {
        let (led, _task) = running().await;
        append(&led, "a").await;
        let one = batch("a").bytes().len();
        let query = Query { max_bytes: 1, ..query(0, Duration::ZERO) };
        let gathered = only(fetching(&led).fetch(query, &purse()).await).unwrap();
        let (batches, held) = gathered.into_batches();
        assert_eq!((batches.len(), held.bytes()), (one, one));
    }

    #[tokio::test]
    async fn a_stopping_broker_answers_those_who_wait() {
        let (led, _task) = running().await;
        let draining = CancellationToken::new();
        let fetching =
            Fetching::new(led.partitions.clone(), led.scrubs(), led.clock, draining.clone());
        let waiting = tokio::spawn(async move { fetching.fetch(query(0, LONG), &purse()).await });
        // Lets the fetch run until it waits.
        tokio::task::yield_now().await;
        draining.cancel();
        assert!(only(waiting.await.unwrap()).unwrap().is_empty());
    }
}
