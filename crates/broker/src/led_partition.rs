//! For tests: one partition on a real directory, led by a broker whose lease the test holds.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::config::TopicConfigs;
use cluster::{MetadataImage, Topic};
use commit_log::{Directory, DirectoryConfig, LogConfig, LogKey};
use daemon::clock::Clock;
use disk::RealDisk;
use record::{Batch, BatchBuilder, Compression};
use replication::{Acks, Membership};
use tempfile::TempDir;
use tokio::sync::{Semaphore, oneshot, watch};
use types::{
    BrokerId, DirectoryId, Durability, LeaderEpoch, PartitionEpoch, PartitionId, Revision,
    TimestampType, TopicId, TopicName, TopicPartition,
};

use crate::directory::{DirectoryQueue, Signals, Writer};
use crate::disk_space::full_seen;
use crate::lease::{Lease, LeaseView};
use crate::partition::{Leadership, Partition, Produce, Task, TopicLimits};
use crate::partitions::{Partitions, View};
use crate::retention::Retention;
use crate::scrubbing::Scrubs;

pub(crate) const BROKER: BrokerId = BrokerId::new(1);
pub(crate) const EPOCH: LeaderEpoch = LeaderEpoch::new(3);
const HOUR: Duration = Duration::from_hours(1);

/// A partition whose task the test runs, or does not.
pub(crate) struct LedPartition {
    pub(crate) partition: Arc<Partition>,
    pub(crate) partitions: Partitions,
    pub(crate) lease: watch::Sender<Lease>,
    pub(crate) clock: Clock,
    pub(crate) directory: DirectoryQueue,
    /// Keeps what the others look at alive.
    pub(crate) background: (TempDir, Writer, watch::Sender<Membership>, watch::Sender<Arc<View>>),
}

/// A queue of one, so that it is soon full.
pub(crate) async fn led_partition() -> (LedPartition, Task) {
    let clock = Clock::new();
    let folder = tempfile::tempdir().unwrap();
    let (directory, writer) = writer(&folder, clock);
    let name = TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0));
    let key = LogKey { topic_id: TopicId::from_bytes([7; 16]), partition: name.partition };
    let log = directory.create_log(key, LogConfig::default()).await.unwrap();
    let mut held = Lease::default();
    held.renew(clock.monotonic(), HOUR);
    let (lease, lease_seen) = watch::channel(held);
    let lease_view = LeaseView::new(lease_seen, clock);
    let (membership, follow) = watch::channel(Membership::new([BROKER], 1, Durability::Fsync));
    let leadership = Leadership {
        broker: BROKER,
        name: name.clone(),
        key,
        epoch: EPOCH,
        limits: TopicLimits {
            max_message_bytes: 1_000,
            timestamp_type: TimestampType::Create,
            retention: Retention::default(),
        },
        queue: 1,
    };
    let (partition, task) =
        Task::new(leadership, follow, log, directory.clone(), lease_view.clone(), clock);
    let partition = Arc::new(partition);
    let led = [(name, Arc::clone(&partition))].into();
    let view = View { led, image: image(key), ..View::default() };
    let (view, view_seen) = watch::channel(Arc::new(view));
    let partitions = Partitions::new(BROKER, view_seen, lease_view);
    let background = (folder, writer, membership, view);
    (LedPartition { partition, partitions, lease, clock, directory, background }, task)
}

/// The metadata that made the partition what it is.
fn image(key: LogKey) -> MetadataImage {
    let partition = cluster::Partition {
        replicas: vec![BROKER],
        isr: vec![BROKER],
        leader: Some(BROKER),
        leader_epoch: EPOCH,
        partition_epoch: PartitionEpoch::ZERO,
    };
    let topic = Topic {
        id: key.topic_id,
        name: TopicName::new("t").unwrap(),
        partitions: vec![Arc::new(partition)],
        configs: TopicConfigs::default(),
    };
    MetadataImage::from_parts(Revision::new(1), None, [], [Arc::new(topic)]).unwrap()
}

fn writer(folder: &TempDir, clock: Clock) -> (DirectoryQueue, Writer) {
    let config = DirectoryConfig { sync_threads: NonZeroUsize::MIN, ..DirectoryConfig::default() };
    let id = DirectoryId::from_bytes([9; 16]);
    let directory = Directory::open(RealDisk, folder.path(), config, id, clock.now()).unwrap();
    let signals = Signals { full_seen: full_seen(), fenced: oneshot::channel().0 };
    Writer::start(directory, clock, 16, 16, signals).unwrap()
}

impl LedPartition {
    /// The lease as tasks see it.
    pub(crate) fn lease_view(&self) -> LeaseView {
        LeaseView::new(self.lease.subscribe(), self.clock)
    }

    /// Ends its leadership, as far as anybody is told; the metadata wants it here still.
    pub(crate) fn leads_nothing(&self) {
        let image = self.partitions.view().image.clone();
        self.background.3.send_replace(Arc::new(View { image, ..View::default() }));
    }

    /// Scrubs that know of nothing.
    pub(crate) fn scrubs(&self) -> Scrubs {
        Scrubs::new(self.clock, self.directory.downgrade(), 1 << 30)
    }

    /// One batch of one record.
    pub(crate) fn produce(&self, value: &'static str, acks: Acks) -> Produce {
        let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let deadline = self.clock.monotonic() + HOUR;
        let timestamp_type = TimestampType::Create;
        Produce { batches: vec![batch(value)], timestamp_type, acks, deadline, memory }
    }
}

pub(crate) fn batch(value: &'static str) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    let now = types::Timestamp::from_millis(1);
    builder.push(now, None, Some(Bytes::from_static(value.as_bytes()).as_ref()), &[]).unwrap();
    builder.build().unwrap()
}
