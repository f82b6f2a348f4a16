//! Clients that behave.

use std::time::Duration;

use bytes::Bytes;
use client::{
    Client, ClientConfig, Consumer, ConsumerConfig, Producer, ProducerConfig, ProducerRecord,
    StartAt,
};
use e2e::Cluster;
use tokio::task::block_in_place;
use tokio::time::timeout;
use types::{Offset, PartitionId, TopicName, TopicPartition};

/// Nothing here takes that long; a test that hangs fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn connect(cluster: &Cluster) -> Client {
    Client::connect(ClientConfig::new([cluster.broker_address().to_string()])).await.unwrap()
}

pub(crate) fn create(cluster: &Cluster, topic: &str) -> TopicPartition {
    block_in_place(|| cluster.run(["topic", "create", topic], "").expect_success());
    TopicPartition::new(TopicName::new(topic).unwrap(), PartitionId::new(0))
}

/// Appends so many records, each so long that it fills a batch of its own.
pub(crate) async fn fill(client: &Client, to: &TopicPartition, records: usize, len: usize) {
    let producer = client.producer(ProducerConfig::default()).unwrap();
    for _ in 0..records {
        let record = ProducerRecord::new(to.topic.clone(), Bytes::from(vec![7; len]));
        producer.send(record).await.unwrap().await.unwrap();
    }
    producer.close().await.unwrap();
}

/// Sends records and reads each of them back before the next.
pub(crate) struct Pair {
    partition: TopicPartition,
    producer: Producer,
    consumer: Consumer,
    next: u64,
}

impl Pair {
    pub(crate) async fn new(client: &Client, partition: TopicPartition) -> Self {
        let producer = client.producer(ProducerConfig::default()).unwrap();
        let mut consumer = client.consumer(ConsumerConfig::default());
        consumer.assign(&[(partition.clone(), StartAt::Earliest)]).await.unwrap();
        Self { partition, producer, consumer, next: 0 }
    }

    /// One record there and back.
    pub(crate) async fn round(&mut self, len: usize) {
        let mut value = self.next.to_be_bytes().to_vec();
        value.resize(len.max(value.len()), 1);
        let value = Bytes::from(value);
        let record = ProducerRecord::new(self.partition.topic.clone(), value.clone());
        let sent = async { self.producer.send(record).await?.await };
        let offset = timeout(PATIENCE, sent).await.expect("it is taken").unwrap().offset;
        assert_eq!(offset, Some(Offset::new(self.next)));
        let read = timeout(PATIENCE, self.consumer.next_batch()).await.expect("it is read");
        let records = read.unwrap().expect("the partition is assigned").records;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].offset, Offset::new(self.next));
        assert!(records[0].value == Some(value), "the value of record {}", self.next);
        self.next += 1;
    }
}
