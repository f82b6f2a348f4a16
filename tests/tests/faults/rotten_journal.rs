//! A bit that rots in the journal while the broker is down.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use client::{Client, ClientConfig, ConsumerConfig, OffsetAt, ProducerConfig, ProducerRecord};
use e2e::Cluster;
use futures::future::join_all;
use tokio::task::block_in_place;
use tokio::time::timeout;
use types::{Offset, PartitionId, TopicName, TopicPartition};

const PATIENCE: Duration = Duration::from_secs(30);
const PARTITIONS: u32 = 24;
/// Steps that are in the journal for certain, behind the first.
const ROUNDS: u64 = 5;
/// In the first entry, behind its header.
const ROTTEN: u64 = 100;

fn partition(number: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(number))
}

async fn connect(cluster: &Cluster) -> Client {
    Client::connect(ClientConfig::new([cluster.broker_address().to_string()])).await.unwrap()
}

/// One record to each partition, all at once; they are acknowledged.
async fn round(client: &Client) {
    let producer = client.producer(ProducerConfig::default()).unwrap();
    let mut sent = Vec::new();
    for number in 0..PARTITIONS {
        let TopicPartition { topic, partition } = partition(number);
        let record =
            ProducerRecord { partition: Some(partition), ..ProducerRecord::new(topic, "x") };
        sent.push(producer.send(record).await.unwrap());
    }
    for outcome in join_all(sent).await {
        outcome.unwrap();
    }
}

fn first_file(cluster: &Cluster) -> PathBuf {
    cluster.dir().join("broker/journal/0.journal")
}

/// Whether the journal holds something.
fn is_used(cluster: &Cluster) -> bool {
    let mut start = [0; 8];
    let file = fs::File::open(first_file(cluster));
    file.and_then(|file| file.read_exact_at(&mut start, 0)).is_ok() && start != [0; 8]
}

/// How many records can be read of each partition, as far as the broker has any.
async fn counts(client: &Client) -> Vec<u64> {
    let mut counts = Vec::new();
    let asked: Vec<_> =
        (0..PARTITIONS).map(|number| (partition(number), OffsetAt::Latest)).collect();
    let listed = client.admin().list_offsets(&asked).await.unwrap();
    for (number, (_, listed)) in (0..).zip(listed) {
        let end = listed.unwrap().offset.unwrap();
        let config = ConsumerConfig::default();
        let range = Offset::ZERO..end;
        let mut reader = client.read_range(partition(number), range, config).await.unwrap();
        let mut count = 0;
        while let Some(batch) = timeout(PATIENCE, reader.next_batch()).await.unwrap().unwrap() {
            count += batch.records.len() as u64;
        }
        assert_eq!(count, end.get());
        counts.push(count);
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_rotted_is_refused_until_it_is_trusted_and_costs_no_other_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = block_in_place(|| Cluster::start_in(dir, "journal_bytes = 16777216\n"));
    let partitions = PARTITIONS.to_string();
    let create = ["topic", "create", "t", "--partitions", &partitions];
    block_in_place(|| cluster.run(create, "").expect_success());
    let client = connect(&cluster).await;
    let mut rounds = 0;
    while !is_used(&cluster) {
        round(&client).await;
        rounds += 1;
        assert!(rounds < 1000, "the journal is not used");
    }
    for _ in 0..ROUNDS {
        round(&client).await;
        rounds += 1;
    }
    cluster.kill_broker();
    let file = OpenOptions::new().read(true).write(true).open(first_file(&cluster)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, ROTTEN).unwrap();
    file.write_all_at(&[byte[0] ^ 1], ROTTEN).unwrap();

    for _ in 0..2 {
        let (status, log) = block_in_place(|| cluster.broker_refuses(""));
        assert_eq!(status.code(), Some(74), "{log}");
        let words = "1 of the entries 0 to 0 of its journal are not there any more";
        assert!(log.contains(words), "{log}");
    }
    let (_, log) = block_in_place(|| cluster.broker_refuses(""));
    let (_, named) = log.split_once("trust_fenced_directory = ").expect(&log);
    let directory: String = named.chars().skip_while(|c| !c.is_ascii_hexdigit()).take(36).collect();
    let trust = format!("trust_fenced_directory = \"{directory}\"\n");
    block_in_place(|| cluster.start_broker(&trust));
    let healthy = ["cluster", "health", "--watch", "--exit-when-healthy"];
    block_in_place(|| cluster.run(healthy, "").expect_success());

    // One log had the entry. It may have had the records in its file as well, in the system's memory.
    let client = connect(&cluster).await;
    let found = counts(&client).await;
    let whole = found.iter().filter(|count| **count == rounds).count();
    assert!(PARTITIONS as usize - 1 <= whole, "{found:?} of {rounds}");
    round(&client).await;
    cluster.kill_broker();
    block_in_place(|| cluster.restart());
    block_in_place(|| cluster.run(healthy, "").expect_success());
    let expected: Vec<u64> = found.iter().map(|count| count + 1).collect();
    assert_eq!(counts(&connect(&cluster).await).await, expected);
}
