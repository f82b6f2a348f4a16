//! A partition's task over a real log: its queue, its answers, and what a lost lease does.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::lease::Lease;
use crate::led_partition::{batch, led_partition};

fn at(offset: u64) -> Acknowledged {
    Acknowledged { base_offset: Some(Offset::new(offset)) }
}

#[tokio::test]
async fn an_acknowledged_record_is_committed_durable_and_readable() {
    let (led, task) = led_partition().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));

    let first = led.partition.submit(led.produce("a", Acks::All)).await.unwrap();
    let second = led.partition.submit(led.produce("b", Acks::Leader)).await.unwrap();
    assert_eq!(first.await.unwrap(), at(0));
    assert_eq!(second.await.unwrap(), at(1));

    let committed = *led.partition.committed().borrow();
    assert_eq!(committed, Offset::new(2));
    assert_eq!(led.partition.log().durable_end(), Offset::new(2));
    let bytes = led.partition.log().read(Offset::ZERO, 1, committed).unwrap();
    let read = Batch::verify(bytes).unwrap();
    assert_eq!(read.body(), batch("a").body());

    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_log_stamps_what_it_appends_where_its_topic_wants_it() {
    let (led, task) = led_partition().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));

    let before = led.clock.now();
    let timestamp_type = TimestampType::LogAppend;
    let produce = Produce { timestamp_type, ..led.produce("a", Acks::All) };
    assert_eq!(led.partition.submit(produce).await.unwrap().await.unwrap(), at(0));
    let bytes = led.partition.log().read(Offset::ZERO, 1, Offset::new(1)).unwrap();
    let read = Batch::verify(bytes).unwrap();
    assert_eq!(read.header().timestamp_type, TimestampType::LogAppend);
    assert_eq!(read.body(), batch("a").body());
    let record = read.records().unwrap().next().unwrap().unwrap();
    assert!((before..=led.clock.now()).contains(&record.timestamp), "{record:?}");

    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_full_queue_is_an_answer() {
    let (led, _task) = led_partition().await;
    let _waits = led.partition.offer(led.produce("a", Acks::All)).unwrap();
    let refused = led.partition.offer(led.produce("b", Acks::All));
    assert!(matches!(refused, Err(PartitionError::Busy { .. })), "{refused:?}");
}

#[tokio::test]
async fn what_was_not_taken_up_when_leadership_ends_was_not_written() {
    let (led, task) = led_partition().await;
    let waits = led.partition.offer(led.produce("a", Acks::All)).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    task.run(stop).await;

    assert_eq!(waits.await.unwrap_err().reason(), Reason::NotLeaderOrFollower);
    let refused = led.partition.offer(led.produce("b", Acks::All)).unwrap_err();
    assert_eq!(refused.reason(), Reason::NotLeaderOrFollower);
    assert_eq!(led.partition.log().end(), Offset::ZERO);
    assert!(led.partition.committed().changed().await.is_err(), "readers are told too");
}

#[tokio::test]
async fn nothing_is_acknowledged_without_a_lease() {
    let (led, task) = led_partition().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));

    led.lease.send_modify(Lease::revoke);
    let answer = led.partition.submit(led.produce("a", Acks::Leader)).await.unwrap();
    let refused = answer.await;
    assert!(
        matches!(refused, Err(PartitionError::Produce(ProduceError::NoLongerLeader))),
        "{refused:?}"
    );

    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_leadership_that_follows_another_finds_everything_committed() {
    let (led, task) = led_partition().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    let asked = led.partition.submit(led.produce("a", Acks::None)).await.unwrap();
    assert_eq!(asked.await.unwrap().base_offset, None);
    stop.cancel();
    task.await.unwrap();
    assert_eq!(led.partition.log().durable_end(), Offset::new(1));
}
