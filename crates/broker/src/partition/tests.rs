//! A partition over a real log, and over a writer that the test plays: its queue, its answers, its
//! end, and what a lost lease does.

use futures::FutureExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::lease::Lease;
use crate::led_partition::{appended, batch, led_partition, played_partition, produce};

const LONG: Duration = Duration::from_hours(1);
/// For what happens at once.
const PATIENCE: Duration = Duration::from_secs(30);

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
async fn a_full_queue_is_an_answer_for_one_and_a_wait_for_another() {
    let mut played = played_partition(1).await;
    let partition = &played.partition;
    let _waits = partition.offer(produce("a", Acks::All, LONG), Duration::ZERO).await.unwrap();
    let refused = partition.offer(produce("b", Acks::All, LONG), Duration::ZERO).await;
    assert!(matches!(refused, Err(PartitionError::Busy { .. })), "{refused:?}");
    let mut patient = Box::pin(partition.submit(produce("c", Acks::All, LONG)));
    assert!(patient.as_mut().now_or_never().is_none());
    played.writer.next_append().await.answer(Ok(appended(0)));
    patient.await.unwrap();
}

#[tokio::test]
async fn a_leadership_that_ended_takes_up_nothing() {
    let (led, attendant) = led_partition().await;
    let stop = CancellationToken::new();
    stop.cancel();
    attendant.run(stop).await;

    let refused = led.partition.offer(led.produce("a", Acks::All), LONG).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::NotLeaderOrFollower);
    let refused = led.partition.submit(led.produce("b", Acks::All)).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::NotLeaderOrFollower);
    assert_eq!(led.partition.log().end(), Offset::ZERO);
    assert!(led.partition.committed().changed().await.is_err(), "readers are told too");
}

#[tokio::test]
async fn nobody_leads_whose_attendant_is_gone() {
    let (led, attendant) = led_partition().await;
    drop(attendant);
    led.partition.offer(led.produce("a", Acks::All), LONG).await.unwrap_err();
    assert!(led.partition.committed().changed().await.is_err());
}

#[tokio::test]
async fn a_leadership_ends_once_the_log_has_answered_what_it_was_given() {
    let mut played = played_partition(4).await;
    let first = played.partition.submit(produce("a", Acks::All, LONG)).await.unwrap();
    let second = played.partition.submit(produce("b", Acks::All, LONG)).await.unwrap();
    let first_append = played.writer.next_append().await;
    first_append.answer(Ok(appended(0)));
    assert_eq!(first.await.unwrap(), at(0));

    let stop = CancellationToken::new();
    stop.cancel();
    let mut ended = Box::pin(played.attendant.run(stop));
    assert!(ended.as_mut().now_or_never().is_none(), "the second is still to be written");
    let unknown = second.await;
    let is_unknown = matches!(unknown, Err(PartitionError::Produce(ProduceError::NoLongerLeader)));
    assert!(is_unknown, "{unknown:?}");
    played.writer.next_append().await.answer(Ok(appended(1)));
    timeout(PATIENCE, ended).await.unwrap();
    assert!(played.writer.is_idle());
}

#[tokio::test]
async fn whoever_waits_past_its_deadline_is_told_so_however_late_others_may_be() {
    let mut played = played_partition(4).await;
    let stop = CancellationToken::new();
    let attendant = tokio::spawn(played.attendant.run(stop.clone()));
    let patient = played.partition.submit(produce("a", Acks::All, LONG)).await.unwrap();
    let soon = played.clock.monotonic() + Duration::from_millis(20);
    let hasty = played.partition.submit(produce("b", Acks::All, soon)).await.unwrap();
    let late = timeout(PATIENCE, hasty).await.unwrap();
    let is_late = matches!(late, Err(PartitionError::Produce(ProduceError::TimedOut)));
    assert!(is_late, "{late:?}");

    // One that comes when nobody was attended to any more is attended to again.
    played.writer.next_append().await.answer(Ok(appended(0)));
    assert_eq!(timeout(PATIENCE, patient).await.unwrap().unwrap(), at(0));
    played.writer.next_append().await.answer(Ok(appended(1)));
    let soon = played.clock.monotonic() + Duration::from_millis(20);
    let hasty = played.partition.submit(produce("c", Acks::All, soon)).await.unwrap();
    timeout(PATIENCE, hasty).await.unwrap().unwrap_err();
    played.writer.next_append().await.answer(Ok(appended(2)));
    stop.cancel();
    attendant.await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_a_writer_that_died() {
    let mut played = played_partition(4).await;
    let waits = played.partition.submit(produce("a", Acks::All, LONG)).await.unwrap();
    drop(played.writer.next_append().await);
    let unknown = timeout(PATIENCE, waits).await.unwrap();
    let is_unknown = matches!(unknown, Err(PartitionError::Produce(ProduceError::NoLongerLeader)));
    assert!(is_unknown, "{unknown:?}");
    played.partition.offer(produce("b", Acks::All, LONG), LONG).await.unwrap_err();
    // It ends by itself, and its readers hear of it.
    timeout(PATIENCE, played.attendant.run(CancellationToken::new())).await.unwrap();
    assert!(played.partition.committed().changed().await.is_err());
}

#[tokio::test]
async fn a_leadership_ends_also_if_what_it_was_given_is_never_taken_up() {
    let played = played_partition(4).await;
    let waits = played.partition.submit(produce("a", Acks::All, LONG)).await.unwrap();
    // The queue stays as it is: its writer died at this moment.
    let _queue = played.writer.dies();
    let stop = CancellationToken::new();
    stop.cancel();
    timeout(PATIENCE, played.attendant.run(stop)).await.unwrap();
    waits.await.unwrap_err();
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
