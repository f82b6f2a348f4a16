use std::time::Duration;

use client::{
    Client, ClientError, Consumer, ConsumerConfig, OnOutOfRange, ProducerConfig, ProducerRecord,
    StartAt,
};
use futures::{StreamExt, TryStreamExt};
use tokio::time::timeout;
use types::{Offset, PartitionId, Timestamp};

use crate::broker::FakeBroker;
use crate::{connect, partition, topic};

/// Far longer than anything here takes: a hang fails instead of hanging.
const LIMIT: Duration = Duration::from_secs(20);

/// A broker whose partition 0 holds `batches` batches of two records each; the value is the
/// offset, and so is the timestamp.
async fn start(batches: u64) -> (FakeBroker, Client) {
    let broker = FakeBroker::start(1).await;
    let client = connect(&broker).await;
    append(&client, 0..batches).await;
    (broker, client)
}

async fn append(client: &Client, batches: std::ops::Range<u64>) {
    // With a linger, both records of a batch are there when it is flushed.
    let config = ProducerConfig { linger: LIMIT, ..ProducerConfig::default() };
    let producer = client.producer(config).unwrap();
    for batch in batches {
        for offset in [batch * 2, batch * 2 + 1] {
            let record = ProducerRecord {
                partition: Some(PartitionId::new(0)),
                timestamp: Some(Timestamp::from_millis(offset.cast_signed())),
                ..ProducerRecord::new(topic(), offset.to_string())
            };
            drop(producer.send(record).await.unwrap());
        }
        producer.flush().await.unwrap();
    }
    producer.close().await.unwrap();
}

async fn assigned(client: &Client, config: ConsumerConfig, start: StartAt) -> Consumer {
    let mut consumer = client.consumer(config);
    consumer.assign(&[(partition(0), start)]).await.unwrap();
    consumer
}

/// Offsets up to and without `end`; their values must say the same.
async fn read_until(consumer: &mut Consumer, end: u64) -> Vec<u64> {
    let mut offsets = Vec::new();
    while consumer.position(&partition(0)).is_none_or(|position| position.get() < end) {
        let batch = timeout(LIMIT, consumer.next_batch()).await.unwrap().unwrap().unwrap();
        for record in batch.records {
            assert_eq!(record.value.unwrap(), record.offset.to_string());
            offsets.push(record.offset.get());
        }
    }
    offsets
}

#[track_caller]
fn check(offsets: &[u64], expected: std::ops::Range<u64>) {
    assert_eq!(offsets, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn reading_begins_where_it_is_told_even_within_a_batch() {
    let (_broker, client) = start(5).await;
    let starts = [
        (StartAt::Earliest, 0),
        (StartAt::Offset(Offset::new(3)), 3),
        (StartAt::Timestamp(Timestamp::from_millis(7)), 7),
    ];
    for (start, first) in starts {
        let mut consumer = assigned(&client, ConsumerConfig::default(), start).await;
        check(&read_until(&mut consumer, 10).await, first..10);
    }
}

#[tokio::test]
async fn whoever_starts_at_the_end_or_in_the_future_gets_what_comes() {
    let (_broker, client) = start(2).await;
    for (round, start) in
        (2..).zip([StartAt::Latest, StartAt::Timestamp(Timestamp::from_millis(1_000_000))])
    {
        let mut consumer = assigned(&client, ConsumerConfig::default(), start).await;
        // Resolves the start, and then finds nothing to read.
        let nothing = timeout(Duration::from_millis(300), consumer.next_batch()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        append(&client, round..round + 1).await;
        check(&read_until(&mut consumer, round * 2 + 2).await, round * 2..round * 2 + 2);
    }
}

#[tokio::test]
async fn a_lost_connection_neither_misses_nor_repeats() {
    let (broker, client) = start(20).await;
    broker.break_fetches_after([0, 3, 1, 5]);
    let mut consumer = assigned(&client, ConsumerConfig::default(), StartAt::Earliest).await;
    check(&read_until(&mut consumer, 40).await, 0..40);
    assert_eq!(broker.fetch_streams(), 5);
}

#[tokio::test]
async fn a_broker_never_sends_more_than_was_granted_but_for_one_batch() {
    let (broker, client) = start(100).await;
    let config = ConsumerConfig { prefetch_bytes: 400, ..ConsumerConfig::default() };
    let mut consumer = assigned(&client, config, StartAt::Earliest).await;
    check(&read_until(&mut consumer, 200).await, 0..200);
    // A batch here has less than 100 bytes.
    assert!(broker.overdrawn() < 100, "{}", broker.overdrawn());
}

#[tokio::test]
async fn a_seek_forgets_what_was_under_way() {
    let (_broker, client) = start(20).await;
    let mut consumer = assigned(&client, ConsumerConfig::default(), StartAt::Earliest).await;
    check(&read_until(&mut consumer, 10).await, 0..10);
    consumer.seek(partition(0), StartAt::Offset(Offset::new(4)));
    check(&read_until(&mut consumer, 40).await, 4..40);
}

#[tokio::test]
async fn an_offset_that_is_gone_is_told_with_what_is_there() {
    let (broker, client) = start(5).await;
    broker.set_log_start(0, 6);
    let mut consumer =
        assigned(&client, ConsumerConfig::default(), StartAt::Offset(Offset::ZERO)).await;
    let error = timeout(LIMIT, consumer.next_batch()).await.unwrap().unwrap_err();
    let expected = ClientError::OffsetOutOfRange {
        topic_partition: partition(0),
        asked: Offset::ZERO,
        start: Offset::new(6),
        end: Offset::new(10),
    };
    assert_eq!(error, expected);
    assert_eq!(consumer.next_batch().await, Ok(None));
    consumer.seek(partition(0), StartAt::Earliest);
    check(&read_until(&mut consumer, 10).await, 6..10);
}

#[tokio::test]
async fn an_offset_that_is_gone_may_be_gone_over() {
    let (broker, client) = start(5).await;
    broker.set_log_start(0, 6);
    let config =
        ConsumerConfig { on_out_of_range: OnOutOfRange::Earliest, ..ConsumerConfig::default() };
    let mut consumer = assigned(&client, config, StartAt::Offset(Offset::ZERO)).await;
    check(&read_until(&mut consumer, 10).await, 6..10);
}

#[tokio::test]
async fn a_range_is_read_exactly() {
    let (_broker, client) = start(10).await;
    let range = Offset::new(3)..Offset::new(14);
    let mut reader =
        client.read_range(partition(0), range, ConsumerConfig::default()).await.unwrap();
    let mut offsets = Vec::new();
    while let Some(batch) = timeout(LIMIT, reader.next_batch()).await.unwrap().unwrap() {
        offsets.extend(batch.records.iter().map(|record| record.offset.get()));
    }
    check(&offsets, 3..14);
}

#[tokio::test]
async fn a_range_that_is_not_all_there_is_refused_rather_than_waited_for() {
    let (broker, client) = start(5).await;
    broker.set_log_start(0, 2);
    for (from, to, asked) in [(4, 11, 11), (1, 5, 1)] {
        let range = Offset::new(from)..Offset::new(to);
        let refused = client.read_range(partition(0), range, ConsumerConfig::default()).await;
        let error = refused.unwrap_err();
        let ClientError::OffsetOutOfRange { asked: told, .. } = error else { panic!("{error}") };
        assert_eq!(told, Offset::new(asked));
    }
}

#[tokio::test]
async fn records_come_as_a_stream_too() {
    let (_broker, client) = start(5).await;
    let consumer = assigned(&client, ConsumerConfig::default(), StartAt::Earliest).await;
    let records = consumer.into_records().take(10).try_collect::<Vec<_>>();
    let records = timeout(LIMIT, records).await.unwrap().unwrap();
    let offsets: Vec<_> = records.iter().map(|(_, record)| record.offset.get()).collect();
    check(&offsets, 0..10);
}

#[tokio::test]
async fn an_error_about_one_partition_of_a_lost_stream_does_not_forget_the_others() {
    let broker = FakeBroker::start(2).await;
    let client = connect(&broker).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    for number in [0, 1] {
        let record = ProducerRecord {
            partition: Some(PartitionId::new(number)),
            ..ProducerRecord::new(topic(), "0")
        };
        producer.send(record).await.unwrap().await.unwrap();
    }
    broker.break_fetches_after([0]);
    // The first failure is told at once.
    let config = ConsumerConfig { retry_timeout: Duration::ZERO, ..ConsumerConfig::default() };
    let mut consumer = client.consumer(config);
    let both = [(partition(0), StartAt::Earliest), (partition(1), StartAt::Earliest)];
    consumer.assign(&both).await.unwrap();
    timeout(LIMIT, consumer.next_batch()).await.unwrap().unwrap_err();
    let mut read = Vec::new();
    while read.len() < 2 {
        let batch = timeout(LIMIT, consumer.next_batch()).await.unwrap().unwrap().unwrap();
        read.push(batch.topic_partition.partition.get());
    }
    read.sort_unstable();
    assert_eq!(read, [0, 1]);
}

#[tokio::test]
async fn a_consumer_without_partitions_does_not_wait() {
    let (_broker, client) = start(0).await;
    assert_eq!(client.consumer(ConsumerConfig::default()).next_batch().await, Ok(None));
}
