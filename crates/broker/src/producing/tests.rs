//! Where records go, and which are refused before a partition sees them.

use cluster::config::TopicConfigs;
use futures::FutureExt;
use tokio::time::timeout;
use types::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId, TopicName};

use super::*;
use crate::led_partition::{batch, led_partition};

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

#[tokio::test]
async fn whoever_waits_for_memory_and_is_not_polled_keeps_none_from_others() {
    let (led, _attendant) = led_partition().await;
    let memory = 1_000;
    let producing = Producing::new(led.partitions.clone(), memory, led.clock);
    let append = || Append {
        partition: led.partition.name().clone(),
        acks: Acks::All,
        timeout: Duration::from_secs(30),
        payload: Payload::Batches(batch("a").bytes().clone()),
    };
    let taken = Arc::clone(&producing.memory).try_acquire_many_owned(memory).unwrap();
    let refused = producing.append(append(), WhenFull::Refuse).await;
    assert!(matches!(refused, Err(AppendFailure::Busy)), "{refused:?}");
    let mut frozen = Box::pin(producing.append(append(), WhenFull::Wait));
    assert!(frozen.as_mut().now_or_never().is_none());
    drop(taken);
    let mut committed = led.partition.committed();
    let written = committed.wait_for(|end| end.get() == 1);
    timeout(Duration::from_secs(30), written).await.unwrap().unwrap();
    assert_eq!(producing.memory.available_permits(), memory as usize);
    assert_eq!(frozen.await.unwrap().await.unwrap().base_offset.unwrap().get(), 0);
}
