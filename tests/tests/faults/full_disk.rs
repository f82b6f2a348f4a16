use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use client::{
    Client, ClientConfig, ClientError, ConsumerConfig, DeleteBefore, OffsetAt, Producer,
    ProducerConfig, ProducerRecord,
};
use disk::{Disk, RealDisk};
use e2e::Cluster;
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use types::{Coded, Offset, PartitionId, Reason, TopicName, TopicPartition};

const PATIENCE: Duration = Duration::from_secs(30);
const DISK_BYTES: u64 = 8 * 1024 * 1024;
/// What somebody else put on the disk. Freed later.
const OTHERS_BYTES: usize = 3 * 1024 * 1024;
const RECORD_BYTES: usize = 60_000;
/// How long a producer waits for room before it tells.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(2);

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

    fn others(&self) -> PathBuf {
        self.path().join("others")
    }

    fn free(&self) -> u64 {
        RealDisk.space(self.path()).unwrap().free
    }

    /// What the broker keeps for when there is no room left.
    fn ballast(&self) -> PathBuf {
        self.path().join("data/ballast")
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
    let words = ["the disk is full", "bytes are free", "are needed", "free space or shorten"];
    for word in words {
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
        Self::up_beside(0).await
    }

    /// As [`Full::up`], after some records were produced to the topic `other`.
    async fn up_beside(others: u64) -> Option<Self> {
        let disk = SmallDisk::mount()?;
        fs::write(disk.others(), vec![0; OTHERS_BYTES]).unwrap();
        let data = disk.path().join("data");
        fs::create_dir(&data).unwrap();
        let dir = tempfile::tempdir().unwrap();
        symlink(&data, dir.path().join("broker")).unwrap();
        let cluster = block_in_place(|| Cluster::start_in(dir, SETTINGS));
        let create = "topic create t -c segment.bytes=500000".split(' ');
        block_in_place(|| cluster.run(create, "").expect_success());
        let bootstrap = [cluster.broker_address().to_string()];
        let client = Client::connect(ClientConfig::new(bootstrap)).await.unwrap();
        let config =
            ProducerConfig { delivery_timeout: DELIVERY_TIMEOUT, ..ProducerConfig::default() };
        let producer = client.producer(config).unwrap();
        for number in 0..others {
            let record = ProducerRecord::new(TopicName::new("other").unwrap(), value(number));
            producer.send(record).await.unwrap().await.unwrap();
        }
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

    /// Produces until it is taken again.
    async fn becomes_free(&mut self) {
        let freed = async {
            while let Err(error) = self.produce_next().await {
                check_full(&error);
            }
        };
        timeout(PATIENCE, freed).await.expect("there is room again");
    }

    /// Waits until the broker says so of its disk.
    async fn disk_is(&self, status: ServingStatus) {
        let address = self.cluster.broker_address().to_string();
        let channel = wire::transport::endpoint(&address).unwrap().connect_lazy();
        let request = HealthCheckRequest { service: "disk".to_owned() };
        let mut told = HealthClient::new(channel).watch(request).await.unwrap().into_inner();
        let waiting = async { while told.message().await.unwrap().unwrap().status() != status {} };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("the disk is not {status:?}"));
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

    fs::remove_file(full.disk.others()).unwrap();
    full.becomes_free().await;
    for _ in 0..10 {
        full.produce_next().await.unwrap();
    }
    assert_eq!(full.check_records().await, 0);
    block_in_place(|| full.restart_broker());
    assert_eq!(full.check_records().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_produces_to_a_full_disk_waits_for_a_topic_to_be_deleted_and_goes_on() {
    let Some(mut full) = Full::up_beside(20).await else { return };
    let first = full.acknowledged;
    let patient = full.client.producer(ProducerConfig::default()).unwrap();
    let waiting = tokio::spawn(async move {
        let record = ProducerRecord::new(topic(), value(first));
        patient.send(record).await?.await
    });
    // Readers do not wait.
    assert_eq!(full.check_records().await, 0);
    assert!(!waiting.is_finished());
    block_in_place(|| full.cluster.run("topic delete other --yes".split(' '), "").expect_success());
    let delivered = timeout(PATIENCE, waiting).await.expect("there is room").unwrap().unwrap();
    assert_eq!(delivered.offset, Some(Offset::new(first)));
    full.acknowledged += 1;
    full.produce_next().await.unwrap();
    assert_eq!(full.check_records().await, 0);
    block_in_place(|| full.restart_broker());
    assert_eq!(full.check_records().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_for_anything_has_its_ballast_for_what_deletes() {
    let Some(mut full) = Full::up().await else { return };
    full.disk_is(ServingStatus::NotServing).await;

    // Somebody else takes all the rest.
    let rest = full.disk.path().join("rest");
    let len = usize::try_from(full.disk.free()).unwrap();
    fs::write(&rest, vec![0; len]).unwrap();
    let given_up = async {
        while full.disk.ballast().exists() {
            check_full(&full.produce_next().await.unwrap_err());
        }
    };
    timeout(PATIENCE, given_up).await.expect("the ballast is given up");
    block_in_place(|| full.restart_broker());
    assert_eq!(full.check_records().await, 0);

    let last = full.acknowledged - 2;
    let before = [(partition(), DeleteBefore::Offset(Offset::new(last)))];
    full.client.admin().delete_records(&before).await.unwrap().remove(0).1.unwrap();
    assert_eq!(full.check_records().await, last);
    fs::remove_file(rest).unwrap();
    full.becomes_free().await;
    full.disk_is(ServingStatus::Serving).await;
    let made_again = async {
        while !full.disk.ballast().exists() {
            full.produce_next().await.unwrap();
        }
    };
    timeout(PATIENCE, made_again).await.expect("there is a ballast again");
}

#[tokio::test(flavor = "multi_thread")]
async fn shorter_retention_frees_a_full_disk() {
    let Some(mut full) = Full::up().await else { return };
    let alter = "topic alter t -c retention.bytes=1000000".split(' ');
    block_in_place(|| full.cluster.run(alter, "").expect_success());
    full.becomes_free().await;
    let start = full.check_records().await;
    assert!(0 < start, "nothing was freed");
}

#[expect(clippy::print_stdout, reason = "what was not tested has to be said")]
fn say(what: &str) {
    println!("{what}");
}
