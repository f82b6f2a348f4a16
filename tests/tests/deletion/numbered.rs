//! One partition of records that say which they are: the value at an offset is that number.

use std::time::Duration;

use bytes::Bytes;
use client::{
    Client, ClientConfig, Consumer, ConsumerConfig, DeleteBefore, OffsetAt, OnOutOfRange, Producer,
    ProducerConfig, ProducerRecord, StartAt,
};
use e2e::Cluster;
use record::Record;
use tokio::task::block_in_place;
use tokio::time::timeout;
use types::{Offset, PartitionId, TopicName, TopicPartition};

/// Nothing here takes that long; a test that hangs fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0))
}

/// A cluster with one partition.
pub(crate) struct Numbered {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    producer: Producer,
    /// Records that were acknowledged, and the offset of the next.
    pub(crate) acknowledged: u64,
}

impl Numbered {
    /// An empty topic `t` of one partition with these settings, in segments of 8 KiB.
    pub(crate) async fn start(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Retention looks every five minutes unless told otherwise.
        let often = "log_retention_check_interval_ms = 20\n";
        let cluster = block_in_place(|| Cluster::start_in(dir, often));
        let create = format!("topic create t -c segment.bytes=8192{settings}");
        block_in_place(|| cluster.run(create.split(' '), "").expect_success());
        let bootstrap = [cluster.broker_address().to_string()];
        let client = Client::connect(ClientConfig::new(bootstrap)).await.unwrap();
        let producer = client.producer(ProducerConfig::default()).unwrap();
        Self { cluster, client, producer, acknowledged: 0 }
    }

    pub(crate) async fn produce(&mut self, records: u64) {
        let mut deliveries = Vec::new();
        for number in self.acknowledged..self.acknowledged + records {
            let value = Bytes::copy_from_slice(&number.to_be_bytes());
            let record = ProducerRecord::new(partition().topic, value);
            deliveries.push(self.producer.send(record).await.unwrap());
        }
        for delivery in deliveries {
            let lies_at = timeout(PATIENCE, delivery).await.unwrap().unwrap();
            assert_eq!(lies_at.offset, Some(Offset::new(self.acknowledged)));
            self.acknowledged += 1;
        }
    }

    /// Deletes the records before `offset`; returns where the partition begins then.
    pub(crate) async fn delete(&self, offset: u64) -> u64 {
        let asked = [(partition(), DeleteBefore::Offset(Offset::new(offset)))];
        let deleted = timeout(PATIENCE, self.client.admin().delete_records(&asked)).await;
        let (_, left) = deleted.unwrap().unwrap().pop().unwrap();
        left.unwrap().get()
    }

    /// Where the partition begins.
    pub(crate) async fn earliest(&self) -> u64 {
        let asked = [(partition(), OffsetAt::Earliest)];
        let listed = timeout(PATIENCE, self.client.admin().list_offsets(&asked)).await;
        let (_, found) = listed.unwrap().unwrap().pop().unwrap();
        found.unwrap().offset.unwrap().get()
    }

    /// A consumer at `offset` that reads little ahead.
    pub(crate) async fn consumer(&self, offset: u64, on_out_of_range: OnOutOfRange) -> Consumer {
        let config =
            ConsumerConfig { prefetch_bytes: 4_096, on_out_of_range, ..ConsumerConfig::default() };
        let mut consumer = self.client.consumer(config);
        let start = StartAt::Offset(Offset::new(offset));
        consumer.assign(&[(partition(), start)]).await.unwrap();
        consumer
    }

    pub(crate) fn restart_broker(&mut self) {
        self.cluster.restart();
        let healthy = ["cluster", "health", "--watch", "--exit-when-healthy"];
        self.cluster.run(healthy, "").expect_success();
    }
}

/// The next records of a consumer, checked to say which they are.
pub(crate) async fn next(consumer: &mut Consumer) -> Vec<u64> {
    let batch = timeout(PATIENCE, consumer.next_batch()).await.expect("no hang");
    let records = batch.unwrap().expect("there is more").records;
    records.iter().map(number).collect()
}

fn number(record: &Record) -> u64 {
    let value = record.value.as_deref().unwrap().try_into().unwrap();
    assert_eq!(u64::from_be_bytes(value), record.offset.get(), "another record's value");
    record.offset.get()
}
