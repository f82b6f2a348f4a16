//! A disk that takes what it cannot keep: a file system in a file, on a disk that fills up under it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use client::{Client, ClientConfig, ConsumerConfig, ProducerConfig, ProducerRecord};
use e2e::Cluster;
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use types::{Offset, PartitionId, TopicName, TopicPartition};

const PATIENCE: Duration = Duration::from_secs(30);
/// What is under the file system, and what that thinks it has.
const UNDER_BYTES: u64 = 24 << 20;
const DISK_BYTES: u64 = 64 << 20;
/// Without a journal, which such a disk has no room for.
const SETTINGS: &str = "journal_bytes = 0\n";

/// Unmounts when it is dropped.
struct Mounted(TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// A disk whose syncs can be made to fail.
struct FailingDisk {
    // Unmounted in this order.
    disk: Mounted,
    under: Mounted,
}

fn run(command: &mut Command) -> Result<(), String> {
    let Output { status, stderr, .. } = command
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| format!("{} cannot be run: {error}", command.get_program().display()))?;
    if status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&stderr).trim().to_owned())
}

impl FailingDisk {
    /// An error says why we may not mount one.
    fn mount() -> Result<Self, String> {
        let under = tempfile::tempdir().unwrap();
        let size = format!("size={UNDER_BYTES}");
        let mut mount = Command::new("mount");
        run(mount.args(["-t", "tmpfs", "-o", &size, "dohle-test"]).arg(under.path()))?;
        let under = Mounted(under);
        let image = under.0.path().join("image");
        fs::File::create(&image).unwrap().set_len(DISK_BYTES).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-O", "^has_journal"]).arg(&image))?;
        let disk = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.path()))?;
        Ok(Self { disk: Mounted(disk), under })
    }

    fn path(&self) -> &Path {
        self.disk.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.under.0.path().join("filler")
    }

    /// From here on what is written stays in memory, and a sync says so.
    fn fail(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        let block = vec![1; 64 * 1024];
        while filler.write_all(&block).is_ok() {}
    }

    fn mend(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0))
}

async fn connect(cluster: &Cluster) -> Client {
    Client::connect(ClientConfig::new([cluster.broker_address().to_string()])).await.unwrap()
}

async fn count(client: &Client, up_to: u64) -> usize {
    let range = Offset::ZERO..Offset::new(up_to);
    let config = ConsumerConfig::default();
    let mut reader = client.read_range(partition(), range, config).await.unwrap();
    let mut count = 0;
    while let Some(batch) = timeout(PATIENCE, reader.next_batch()).await.unwrap().unwrap() {
        count += batch.records.len();
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn j10_a_failed_sync_ends_the_broker_and_its_directory_is_refused_until_it_is_trusted() {
    let disk = match FailingDisk::mount() {
        Ok(disk) => disk,
        Err(why) => return say(&format!("skipped: this test needs a disk that fails, and {why}")),
    };
    let data = disk.path().join("data");
    fs::create_dir(&data).unwrap();
    let dir = tempfile::tempdir().unwrap();
    symlink(&data, dir.path().join("broker")).unwrap();
    let mut cluster = block_in_place(|| Cluster::start_in(dir, SETTINGS));
    block_in_place(|| cluster.run(["topic", "create", "t"], "").expect_success());
    let client = connect(&cluster).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    let record = ProducerRecord::new(partition().topic, "kept");
    producer.send(record).await.unwrap().await.unwrap();

    // In the order of what an operator sees: not well, then gone.
    let address = cluster.broker_address().to_string();
    let channel = wire::transport::endpoint(&address).unwrap().connect_lazy();
    let service = "dohle.broker.v1.BrokerService".to_owned();
    let watched = HealthClient::new(channel).watch(HealthCheckRequest { service }).await;
    let mut health = watched.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    disk.fail();
    let producer = client.producer(ProducerConfig::default()).unwrap();
    // One after the other: such a loop device may call a first sync good that lost what it wrote,
    // which is why nothing is said of acknowledgements here. `commit-log` tests that a sync that
    // failed acknowledges nothing.
    let producing = tokio::spawn(async move {
        loop {
            let record = ProducerRecord::new(partition().topic, vec![2; 500_000]);
            producer.send(record).await?.await?;
        }
        #[expect(unreachable_code, reason = "tells the type of its errors")]
        Ok::<(), client::ClientError>(())
    });
    let is_told = async {
        while health.message().await.unwrap().unwrap().status() != ServingStatus::NotServing {}
    };
    timeout(PATIENCE, is_told).await.expect("the broker is not well any more");
    let (status, log) = block_in_place(|| cluster.broker_ends());
    assert_eq!(status.code(), Some(74), "{log}");
    for words in ["data directory is fenced", "service stopped"] {
        assert_eq!(log.matches(words).count(), 1, "{words:?} in\n{log}");
    }
    for words in ["check the disk", "nothing was acknowledged since"] {
        assert!(log.contains(words), "{words:?} in\n{log}");
    }
    producing.abort();

    // The disk is as new, and reads well. Its mark stands against it.
    disk.mend();
    let (status, log) = block_in_place(|| cluster.broker_refuses(""));
    assert_eq!(status.code(), Some(74), "{log}");
    let (_, named) = log.split_once("trust_fenced_directory = ").expect(&log);
    let directory: String = named.chars().skip_while(|c| !c.is_ascii_hexdigit()).take(36).collect();
    let another = "trust_fenced_directory = \"00000000-0000-4000-8000-000000000000\"\n";
    let (status, log) = block_in_place(|| cluster.broker_refuses(another));
    assert_eq!(status.code(), Some(74), "{log}");

    let trust = format!("trust_fenced_directory = \"{directory}\"\n");
    block_in_place(|| cluster.start_broker(&trust));
    let healthy = ["cluster", "health", "--watch", "--exit-when-healthy"];
    block_in_place(|| cluster.run(healthy, "").expect_success());
    assert_eq!(count(&connect(&cluster).await, 1).await, 1);
    cluster.kill_broker();
    block_in_place(|| cluster.restart());
    block_in_place(|| cluster.run(healthy, "").expect_success());
    assert_eq!(count(&connect(&cluster).await, 1).await, 1);
}

#[expect(clippy::print_stdout, reason = "what was not tested has to be said")]
fn say(what: &str) {
    println!("{what}");
}
