//! For tests: one partition on a real directory, led by a broker whose lease the test holds.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::config::TopicConfigs;
use cluster::{MetadataImage, Topic};
use commit_log::{Appended, Directory, DirectoryConfig, Fresh, LogConfig, LogKey};
use daemon::clock::Clock;
use disk::RealDisk;
use record::{Batch, BatchBuilder, Compression};
use replication::{Acks, Membership};
use tempfile::TempDir;
use tokio::sync::{Semaphore, oneshot, watch};
use types::{
    BrokerId, Durability, LeaderEpoch, Offset, PartitionEpoch, PartitionId, Revision,
    TimestampType, TopicId, TopicName, TopicPartition,
};

use crate::directory::testing::{PlayedWriter, played_writer};
use crate::directory::{DirectoryQueue, Log, Signals, Writer};
use crate::disk_space::full_seen;
use crate::lease::{Lease, LeaseView};
use crate::partition::{Attendant, Leadership, Partition, Produce, TopicLimits};
use crate::partitions::{Partitions, View};
use crate::retention::Retention;
use crate::scrubbing::Scrubs;

pub(crate) const BROKER: BrokerId = BrokerId::new(1);
pub(crate) const EPOCH: LeaderEpoch = LeaderEpoch::new(3);
const HOUR: Duration = Duration::from_hours(1);

/// A partition whose attendant the test runs, or does not.
pub(crate) struct LedPartition {
    pub(crate) partition: Arc<Partition>,
    pub(crate) partitions: Partitions,
    pub(crate) lease: watch::Sender<Lease>,
    pub(crate) clock: Clock,
    pub(crate) directory: DirectoryQueue,
    /// Keeps what the others look at alive.
    pub(crate) background: (TempDir, Writer, watch::Sender<Membership>, watch::Sender<Arc<View>>),
}

pub(crate) async fn led_partition() -> (LedPartition, Attendant) {
    let clock = Clock::new();
    let folder = tempfile::tempdir().unwrap();
    let (directory, writer) = writer(&folder, clock);
    let key = LogKey { topic_id: TopicId::from_bytes([7; 16]), partition: PartitionId::new(0) };
    let log = directory.create_log(key, LogConfig::default()).await.unwrap();
    let (lease, lease_view) = held_lease(clock);
    let (partition, membership, attendant) = lead(key, log, &directory, lease_view.clone(), clock);
    let partition = Arc::new(partition);
    let (partitions, view) = partitions(&partition, lease_view);
    let background = (folder, writer, membership, view);
    (LedPartition { partition, partitions, lease, clock, directory, background }, attendant)
}

/// A partition whose log's writer the test plays, with room for so many appends in its queue.
pub(crate) struct PlayedPartition {
    pub(crate) partition: Arc<Partition>,
    pub(crate) partitions: Partitions,
    pub(crate) attendant: Attendant,
    pub(crate) writer: PlayedWriter,
    pub(crate) clock: Clock,
    /// Keeps what the others look at alive.
    #[expect(dead_code, reason = "it is only to be there")]
    background: PlayedBackground,
}

type PlayedBackground =
    (LedPartition, Attendant, DirectoryQueue, watch::Sender<Membership>, watch::Sender<Arc<View>>);

pub(crate) async fn played_partition(room: usize) -> PlayedPartition {
    let (led, other) = led_partition().await;
    let (queue, writer) = played_writer(room);
    let (clock, log) = (led.clock, led.partition.log().clone());
    let (partition, membership, attendant) =
        lead(led.partition.key(), log, &queue, led.lease_view(), clock);
    let partition = Arc::new(partition);
    let (partitions, view) = partitions(&partition, led.lease_view());
    let background = (led, other, queue, membership, view);
    PlayedPartition { partition, partitions, attendant, writer, clock, background }
}

pub(crate) fn held_lease(clock: Clock) -> (watch::Sender<Lease>, LeaseView) {
    let mut held = Lease::default();
    held.renew(clock.monotonic(), HOUR);
    let (lease, lease_seen) = watch::channel(held);
    (lease, LeaseView::new(lease_seen, clock))
}

fn lead(
    key: LogKey,
    log: Log,
    directory: &DirectoryQueue,
    lease: LeaseView,
    clock: Clock,
) -> (Partition, watch::Sender<Membership>, Attendant) {
    let (membership, follow) = watch::channel(Membership::new([BROKER], 1, Durability::Fsync));
    let leadership = Leadership {
        broker: BROKER,
        name: TopicPartition::new(TopicName::new("t").unwrap(), key.partition),
        key,
        epoch: EPOCH,
        limits: TopicLimits {
            max_message_bytes: 1_000,
            timestamp_type: TimestampType::Create,
            retention: Retention::default(),
        },
    };
    let (partition, attendant) = Attendant::new(leadership, follow, log, directory, lease, clock);
    (partition, membership, attendant)
}

/// What finds this partition, and no other.
fn partitions(
    partition: &Arc<Partition>,
    lease: LeaseView,
) -> (Partitions, watch::Sender<Arc<View>>) {
    let led = [(partition.name().clone(), Arc::clone(partition))].into();
    let view = View { led, image: image(partition.key()), ..View::default() };
    let (view, view_seen) = watch::channel(Arc::new(view));
    (Partitions::new(BROKER, view_seen, lease), view)
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
    let fresh = Fresh::from_random([[9; 16], [8; 16]]);
    let directory = Directory::open(RealDisk, folder.path(), config, fresh, clock.now()).unwrap();
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
        produce(value, acks, self.clock.monotonic() + HOUR)
    }
}

/// One batch of one record, to be answered by then.
pub(crate) fn produce(value: &'static str, acks: Acks, deadline: Duration) -> Produce {
    let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let timestamp_type = TimestampType::Create;
    Produce { batches: vec![batch(value)], timestamp_type, acks, deadline, memory }
}

/// What a log answers that has appended one record at this offset, durably.
pub(crate) fn appended(base_offset: u64) -> Appended {
    let (base_offset, end) = (Offset::new(base_offset), Offset::new(base_offset + 1));
    Appended { base_offset, end, durable_end: end }
}

pub(crate) fn batch(value: &'static str) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    let now = types::Timestamp::from_millis(1);
    builder.push(now, None, Some(Bytes::from_static(value.as_bytes()).as_ref()), &[]).unwrap();
    builder.build().unwrap()
}
