//! A cluster whose topic `t` holds records that say which they are, and a way to flip their bits.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use client::{
    Client, ClientConfig, ClientError, ConsumerConfig, ProducerConfig, ProducerRecord, StartAt,
};
use e2e::Cluster;
use record::BatchHeader;
use tokio::task::block_in_place;
use tokio::time::timeout;
use types::{Offset, PartitionId, Timestamp, TopicName, TopicPartition};

const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const RECORDS: u64 = 1200;

pub(crate) fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0))
}

/// The record's time; far from now, and another for each.
pub(crate) fn time_of(number: u64) -> i64 {
    1_700_000_000_000 + i64::try_from(number).unwrap()
}

/// A batch as it lies in a file.
#[derive(Clone, Debug)]
pub(crate) struct Lies {
    pub(crate) file: PathBuf,
    pub(crate) position: u64,
    pub(crate) len: u64,
    pub(crate) first: u64,
    pub(crate) end: u64,
}

pub(crate) struct Rotten {
    pub(crate) cluster: Cluster,
    client: Client,
}

impl Rotten {
    /// Topic `t` in segments of 4 KiB, all but the newest sealed.
    pub(crate) async fn start(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = block_in_place(|| Cluster::start_in(dir, settings));
        let create = "topic create t -c segment.bytes=4096 -c retention.ms=-1".split(' ');
        block_in_place(|| cluster.run(create, "").expect_success());
        let bootstrap = [cluster.broker_address().to_string()];
        let client = Client::connect(ClientConfig::new(bootstrap)).await.unwrap();
        let producer = client.producer(ProducerConfig::default()).unwrap();
        for first in (0..RECORDS).step_by(5) {
            let mut deliveries = Vec::new();
            for number in first..first + 5 {
                let value = Bytes::copy_from_slice(&number.to_be_bytes());
                let record = ProducerRecord::new(partition().topic, value);
                let timestamp = Some(Timestamp::from_millis(time_of(number)));
                let record = ProducerRecord { timestamp, ..record };
                deliveries.push(producer.send(record).await.unwrap());
            }
            for delivery in deliveries {
                timeout(PATIENCE, delivery).await.unwrap().unwrap();
            }
        }
        // A broker that starts looks after its segments at once.
        block_in_place(|| restart(&mut cluster));
        let rotten = Self { cluster, client };
        let sealed = async {
            while rotten.files("index").len() + 1 < rotten.files("log").len() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, sealed).await.expect("segments are sealed");
        rotten
    }

    pub(crate) fn restart_broker(&mut self) {
        restart(&mut self.cluster);
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let data = self.cluster.dir().join("broker");
        let folders = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
        let folders = folders.filter(|path| path.is_dir());
        let files = folders
            .flat_map(|folder| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|end| end == extension)).collect();
        files.sort();
        files
    }

    /// Every batch of the sealed segments.
    pub(crate) fn batches(&self) -> Vec<Lies> {
        let mut files = self.files("log");
        files.pop();
        files.iter().flat_map(|file| batches(file)).collect()
    }

    /// Reads all there is, around whatever cannot be read: the offsets read, and the ranges that were
    /// named as damaged. A range may be named in two parts, first as far as the client can tell.
    pub(crate) async fn read_around(&self) -> (Vec<u64>, Vec<(u64, u64)>) {
        let mut consumer = self.client.consumer(ConsumerConfig::default());
        consumer.assign(&[(partition(), StartAt::Offset(Offset::ZERO))]).await.unwrap();
        let (mut read, mut damaged) = (Vec::new(), Vec::<(u64, u64)>::new());
        let mut position = 0;
        while position < RECORDS {
            match timeout(PATIENCE, consumer.next_batch()).await.expect("no hang") {
                Ok(batch) => {
                    for record in batch.unwrap().records {
                        let value = record.value.as_deref().unwrap().try_into().unwrap();
                        let number = u64::from_be_bytes(value);
                        assert_eq!((number, record.offset.get()), (position, position));
                        read.push(number);
                        position += 1;
                    }
                }
                Err(ClientError::Damaged { offsets, topic_partition, .. }) => {
                    assert_eq!(topic_partition, partition());
                    assert_eq!(offsets.start.get(), position, "all before it was read");
                    let end = offsets.end.get();
                    match damaged.last_mut().filter(|(_, last)| *last == position) {
                        Some((_, last)) => *last = end,
                        None => damaged.push((position, end)),
                    }
                    position = end;
                    consumer.seek(partition(), StartAt::Offset(offsets.end));
                }
                Err(other) => panic!("{other}"),
            }
        }
        (read, damaged)
    }
}

fn restart(cluster: &mut Cluster) {
    cluster.kill_broker();
    cluster.restart();
    // Healthy or not: it serves once it describes its topics.
    while !cluster.run(["topic", "describe", "t"], "").status.success() {}
}

fn batches(file: &Path) -> Vec<Lies> {
    let bytes = fs::read(file).unwrap();
    let (mut position, mut batches) = (0, Vec::new());
    while position < bytes.len() {
        let header = BatchHeader::parse(&bytes[position..]).unwrap();
        batches.push(Lies {
            file: file.to_path_buf(),
            position: position as u64,
            len: header.total_len() as u64,
            first: header.base_offset.get(),
            end: header.end_offset().get(),
        });
        position += header.total_len();
    }
    batches
}

/// Flips a bit of a batch, `at` bytes into it.
pub(crate) fn flip(batch: &Lies, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(&batch.file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, batch.position + at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], batch.position + at).unwrap();
}
