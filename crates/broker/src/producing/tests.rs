//! Where records go, and which are refused before a partition sees them.

use cluster::config::TopicConfigs;
use futures::FutureExt;
use tokio::time::timeout;
use types::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId, TopicName};

use super::*;
use crate::led_partition::{appended, batch, led_partition, played_partition};

fn topic(leaders: &[Option<u32>]) -> Topic {
    let partition = |leader: &Option<u32>| {
        Arc::new(cluster::Partition {
            replicas: vec![BrokerId::new(1)],
            isr: vec![BrokerId::new(1)],
            leader: leader.map(BrokerId::new),
            leader_epoch: LeaderEpoch::ZERO,
            partition_epoch: PartitionEpoch::ZERO,
        })
    };
    Topic {
        id: TopicId::from_bytes([7; 16]),
        name: TopicName::new("t").unwrap(),
        partitions: leaders.iter().map(partition).collect(),
        configs: TopicConfigs::default(),
    }
}

fn record(value: &'static [u8]) -> NewRecord {
    let value = Some(Bytes::from_static(value));
    NewRecord { key: None, value, headers: Vec::new(), timestamp: None }
}

#[test]
fn a_key_goes_where_kafkas_java_client_sends_it_leader_or_not() {
    let topic = topic(&[None, Some(1), Some(1)]);
    let expected = partition_for_key(b"foobar", 3).map(PartitionId::new);
    assert_eq!(Some(choose(&topic, Some(b"foobar"), || 0)), expected);
}

#[test]
fn records_without_a_key_take_turns_among_the_partitions_that_have_a_leader() {
    let topic = topic(&[Some(1), None, Some(1)]);
    let chosen = (0..4).map(|turn| choose(&topic, None, || turn).get());
    assert_eq!(chosen.collect::<Vec<_>>(), [0, 2, 0, 2]);
}

#[test]
fn while_no_partition_has_a_leader_each_is_as_good() {
    let topic = topic(&[None, None]);
    let chosen = (0..3).map(|turn| choose(&topic, None, || turn).get());
    assert_eq!(chosen.collect::<Vec<_>>(), [0, 1, 0]);
}

#[test]
fn records_become_one_batch_that_arrived_now_unless_they_say_otherwise() {
    let now = Timestamp::from_millis(1_000);
    let then = Timestamp::from_millis(5);
    let records = [record(b"a"), NewRecord { timestamp: Some(then), ..record(b"b") }];
    let batch = build(&records, now, 1_000).unwrap().unwrap();
    let read = batch.records().unwrap().map(|record| record.unwrap());
    let read = read.map(|record| (record.timestamp, record.value)).collect::<Vec<_>>();
    assert_eq!(read, [(now, records[0].value.clone()), (then, records[1].value.clone())]);
}

#[test]
fn records_that_make_a_batch_too_large_are_refused() {
    let records = [record(b"0123456789")];
    let refused = build(&records, Timestamp::from_millis(0), 70).unwrap_err();
    assert!(matches!(refused, RecordError::TooLarge { limit: 70, .. }), "{refused:?}");
    assert_eq!(build(&[], Timestamp::from_millis(0), 70), Ok(None));
}

/// For what happens at once.
const PATIENCE: Duration = Duration::from_secs(30);

fn append(batches: Bytes) -> Append {
    Append {
        partition: TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0)),
        acks: Acks::All,
        timeout: PATIENCE,
        payload: Payload::Batches(batches),
    }
}

fn small() -> Append {
    append(batch("a").bytes().clone())
}

/// Asked once, it has to wait; nobody asks it again.
fn frozen(
    producing: &Producing,
    append: Append,
) -> impl Future<Output = Result<Queued, AppendFailure>> {
    let mut frozen = Box::pin(producing.submit(append));
    assert!(frozen.as_mut().now_or_never().is_none());
    frozen
}

#[tokio::test]
async fn whoever_waits_for_memory_and_is_not_polled_keeps_none_from_others() {
    let (led, _attendant) = led_partition().await;
    let memory = 1_000;
    let producing = Producing::new(led.partitions.clone(), memory, led.clock);
    let taken = Arc::clone(&producing.memory).try_acquire_many_owned(memory).unwrap();
    let refused = producing.append(small()).await;
    assert!(matches!(refused, Err(AppendFailure::Busy)), "{refused:?}");
    let frozen = frozen(&producing, small());
    drop(taken);
    let mut committed = led.partition.committed();
    let written = committed.wait_for(|end| end.get() == 1);
    timeout(PATIENCE, written).await.unwrap().unwrap();
    assert_eq!(producing.memory.available_permits(), memory as usize);
    assert_eq!(frozen.await.unwrap().answer.await.unwrap().base_offset.unwrap().get(), 0);
}

#[tokio::test]
async fn whoever_waits_for_a_processor_and_is_not_polled_keeps_none_from_others() {
    let (led, _attendant) = led_partition().await;
    let producing = Producing::new(led.partitions.clone(), 1 << 20, led.clock);
    let processors = producing.checking.processors();
    let all = u32::try_from(processors.available_permits()).unwrap();
    let taken = Arc::clone(processors).acquire_many_owned(all).await.unwrap();
    let mut laborious = BatchBuilder::new(Compression::Zstd);
    let noise = (0..u32::from(u16::MAX)).flat_map(|at| at.wrapping_pow(3).to_le_bytes());
    let noise: Vec<u8> = noise.collect();
    laborious.push(Timestamp::from_millis(1), None, Some(&noise), &[]).unwrap();
    let frozen = frozen(&producing, append(laborious.build().unwrap().bytes().clone()));
    // It stands in the queue before anybody else does.
    tokio::task::yield_now().await;
    drop(taken);
    drop(timeout(PATIENCE, processors.acquire_many(all)).await.unwrap().unwrap());
    let too_large = frozen.await;
    assert!(matches!(too_large, Err(AppendFailure::TooLarge { .. })), "{too_large:?}");
}

#[tokio::test]
async fn whoever_waits_for_a_place_and_is_not_polled_keeps_none_from_others() {
    let mut played = played_partition(1).await;
    let producing = Producing::new(played.partitions.clone(), 1 << 20, played.clock);
    let _waits = producing.submit(small()).await.unwrap();
    let frozen = frozen(&producing, small());
    // Its turn comes and is used, although nobody polls it.
    for base in 0..2 {
        timeout(PATIENCE, played.writer.next_append()).await.unwrap().answer(Ok(appended(base)));
    }
    timeout(PATIENCE, producing.submit(small())).await.unwrap().unwrap();
    assert_eq!(frozen.await.unwrap().answer.await.unwrap().base_offset.unwrap().get(), 1);
}
