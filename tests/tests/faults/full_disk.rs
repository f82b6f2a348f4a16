use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use client::{
    Client, ClientConfig, ClientError, ConsumerConfig, OffsetAt, Producer, ProducerConfig,
    ProducerRecord,
};
use e2e::Cluster;
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::timeout;
use types::{Coded, Offset, PartitionId, Reason, TopicName, TopicPartition};

const PATIENCE: Duration = Duration::from_secs(30);
const DISK_BYTES: u64 = 8 * 1024 * 1024;
/// Freed later.
const BALLAST_BYTES: usize = 3 * 1024 * 1024;
const RECORD_BYTES: usize = 60_000;

/// Retention looks every five minutes unless told otherwise.
const SETTINGS: &str = "log_retention_check_interval_ms = 500\n";

/// A file system of its own, in memory. Dropping it unmounts it.
struct SmallDisk {
    place: TempDir,
}

impl SmallDisk {
    /// `None`, and says why, where we may not mount: not as root, or in a container that keeps the
    /// right to itself.
    fn mount() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.env("LC_ALL", "C");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "dohle-test"]);
        let mounted = mount.arg(place.path()).output().expect("mount can be run");
        if mounted.status.success() {
            return Some(Self { place });
        }
        let why = String::from_utf8_lossy(&mounted.stderr).trim().to_lowercase();
        let forbidden = ["superuser", "permission denied", "not permitted"];
        assert!(forbidden.iter().any(|word| why.contains(word)), "no small disk: {why}");
        say(&format!("skipped: this test fills a small disk of its own, and {why}"));
        None
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn topic() -> TopicName {
    TopicName::new("t").unwrap()
}

fn partition() -> TopicPartition {
    TopicPartition::new(topic(), PartitionId::new(0))
}

/// The value of record `number`.
fn value(number: u64) -> Bytes {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(RECORD_BYTES, u8::try_from(number % 251).unwrap());
    value.into()
}

#[track_caller]
fn check_full(error: &ClientError) {
    assert_eq!(error.reason(), Reason::StorageFull, "{error}");
    let said = error.to_string();
    assert!(matches!(error, ClientError::NotDelivered { .. }), "{said}");
    for word in ["the disk is full", "free space or shorten retention"] {
        assert!(said.contains(word), "{said}");
    }
}

/// A cluster whose broker has a small disk to itself.
struct Full {
    // Dropped before the disk is unmounted.
    cluster: Cluster,
    disk: SmallDisk,
    client: Client,
    producer: Producer,
    /// Records that were acknowledged before the disk was full.
    acknowledged: u64,
}

impl Full {
    /// Produces to `t` until the disk is full. `None`, and says so, if we may not mount one.
    async fn up() -> Option<Self> {
        let disk = SmallDisk::mount()?;
        fs::write(disk.ballast(), vec![0; BALLAST_BYTES]).unwrap();
        let data = disk.path().join("data");
        fs::create_dir(&data).unwrap();
        let dir = tempfile::tempdir().unwrap();
        symlink(&data, dir.path().join("broker")).unwrap();
        let cluster = block_in_place(|| Cluster::start_in(dir, SETTINGS));
        let create = "topic create t -c segment.bytes=500000".split(' ');
        block_in_place(|| cluster.run(create, "").expect_success());
        let bootstrap = [cluster.broker_address().to_string()];
        let client = Client::connect(ClientConfig::new(bootstrap)).await.unwrap();
        let producer = client.producer(ProducerConfig::default()).unwrap();
        let mut full = Self { cluster, disk, client, producer, acknowledged: 0 };
        let error = loop {
            if let Err(error) = full.produce_next().await {
                break error;
            }
        };
        check_full(&error);
        Some(full)
    }

    async fn produce_next(&mut self) -> Result<(), ClientError> {
        let sent = async {
            let record = ProducerRecord::new(topic(), value(self.acknowledged));
            self.producer.send(record).await?.await
        };
        let offset = timeout(PATIENCE, sent).await.expect("no hang")?.offset;
        assert_eq!(offset, Some(Offset::new(self.acknowledged)));
        self.acknowledged += 1;
        Ok(())
    }

    async fn listed(&self, at: OffsetAt) -> u64 {
        let asked = [(partition(), at)];
        let listed = self.client.admin().list_offsets(&asked).await.unwrap().remove(0).1;
        listed.unwrap().offset.unwrap().get()
    }

    /// Every record from the log's start on is the one that was acknowledged at its offset, and
    /// none is missing. Returns the start.
    async fn check_records(&self) -> u64 {
        let start = self.listed(OffsetAt::Earliest).await;
        assert_eq!(self.listed(OffsetAt::Latest).await, self.acknowledged);
        let range = Offset::new(start)..Offset::new(self.acknowledged);
        let config = ConsumerConfig::default();
        let mut reader = self.client.read_range(partition(), range, config).await.unwrap();
        let mut next = start;
        while let Some(batch) = timeout(PATIENCE, reader.next_batch()).await.unwrap().unwrap() {
            for record in batch.records {
                assert_eq!(record.offset.get(), next);
                assert!(record.value == Some(value(next)), "the value at {next} is another's");
                next += 1;
            }
        }
        assert_eq!(next, self.acknowledged);
        start
    }

    fn restart_broker(&mut self) {
        self.cluster.kill_broker();
        self.cluster.restart();
        let healthy = ["cluster", "health", "--watch", "--exit-when-healthy"];
        self.cluster.run(healthy, "").expect_success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_by_name_serves_readers_and_goes_on_when_there_is_room() {
    let Some(mut full) = Full::up().await else { return };
    check_full(&full.produce_next().await.unwrap_err());
    assert_eq!(full.check_records().await, 0);

    // A broker that starts on a full disk serves what it has.
    block_in_place(|| full.restart_broker());
    check_full(&full.produce_next().await.unwrap_err());
    assert_eq!(full.check_records().await, 0);

    fs::remove_file(full.disk.ballast()).unwrap();
    for _ in 0..10 {
        full.produce_next().await.unwrap();
    }
    assert_eq!(full.check_records().await, 0);
    block_in_place(|| full.restart_broker());
    assert_eq!(full.check_records().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shorter_retention_frees_a_full_disk() {
    let Some(mut full) = Full::up().await else { return };
    let alter = "topic alter t -c retention.bytes=1000000".split(' ');
    block_in_place(|| full.cluster.run(alter, "").expect_success());
    let freed = async {
        while let Err(error) = full.produce_next().await {
            check_full(&error);
        }
    };
    timeout(PATIENCE, freed).await.expect("retention frees space");
    let start = full.check_records().await;
    assert!(0 < start, "nothing was freed");
}

#[expect(clippy::print_stdout, reason = "what was not tested has to be said")]
fn say(what: &str) {
    println!("{what}");
}
