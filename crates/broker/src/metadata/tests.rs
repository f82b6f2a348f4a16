//! What a change of the metadata ends and begins, over a real directory.

use std::time::Duration;

use cluster::config::TopicConfigs;
use cluster::{Partition as Placed, Topic};
use tokio::time::timeout;
use types::{PartitionEpoch, PartitionId, TopicId, TopicName, TopicPartition};

use super::*;
use crate::directory::testing::played_writer;
use crate::led_partition::{BROKER, held_lease, led_partition};

/// Far longer than it takes.
const AT_MOST: Duration = Duration::from_secs(20);

fn image(revision: u64, epoch: u32, segment_bytes: &str) -> MetadataImage {
    let partition = Arc::new(Placed {
        replicas: vec![BROKER],
        isr: vec![BROKER],
        leader: Some(BROKER),
        leader_epoch: LeaderEpoch::new(epoch),
        partition_epoch: PartitionEpoch::new(epoch),
    });
    let configs = [("segment.bytes".into(), segment_bytes.into())];
    let topic = Topic {
        id: TopicId::from_bytes([7; 16]),
        name: TopicName::new("t").unwrap(),
        partitions: vec![partition],
        configs: TopicConfigs::from_entries(configs),
    };
    MetadataImage::from_parts(Revision::new(revision), None, [], [Arc::new(topic)]).unwrap()
}

#[tokio::test]
async fn a_leadership_that_is_over_ends_although_the_disk_refuses_what_comes_next() {
    let (led, _task) = led_partition().await;
    let (directory, key) = (led.directory.clone(), led.partition.key());
    let (view, seen) = watch::channel(Arc::default());
    let surroundings = Surroundings {
        own_id: BROKER,
        directory: directory.clone(),
        lease: led.lease_view(),
        clock: led.clock,
        topic_defaults: TopicConfigs::default(),
    };
    let usable = vec![(key, led.partition.log().clone())];
    let mut follower = Follower::new(surroundings, Found { usable, ..Found::default() }, view);
    let name = TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0));
    let leads = || seen.borrow().led.get(&name).map(|partition| partition.epoch().get());

    follower.follow(image(1, 4, "1000000")).await;
    assert_eq!(leads(), Some(4));

    // From here on the writer knows nothing of the log and refuses to change it.
    directory.delete_log(key).await.unwrap();
    follower.follow(image(2, 5, "2000000")).await;
    assert_eq!(follower.followed(), Followed::Partly);
    assert_eq!(leads(), None, "epoch 4 is another leader's past");
    assert!(seen.borrow().unusable.contains_key(&name));
    follower.resign().await;
}

#[tokio::test]
async fn logs_that_are_nobodys_any_more_are_removed_together() {
    const LOGS: u32 = 10;
    let clock = Clock::new();
    let (directory, mut writer) = played_writer(64);
    let (_lease, lease) = held_lease(clock);
    let topic_defaults = TopicConfigs::default();
    let surroundings = Surroundings { own_id: BROKER, directory, lease, clock, topic_defaults };
    let topic_id = TopicId::from_bytes([7; 16]);
    let lost = |number| {
        let key = LogKey { topic_id, partition: PartitionId::new(number) };
        (key, Lost { path: PathBuf::new(), from: Offset::ZERO })
    };
    let damaged = (0..LOGS).map(lost).collect();
    let (view, _seen) = watch::channel(Arc::default());
    let mut follower = Follower::new(surroundings, Found { damaged, ..Found::default() }, view);
    let following = tokio::spawn(async move {
        follower.follow(MetadataImage::default()).await;
        follower
    });
    let mut removals = Vec::new();
    for _ in 0..LOGS {
        // None of those before is answered.
        removals.push(timeout(AT_MOST, writer.next_removal()).await.unwrap());
    }
    let mut numbers: Vec<_> = removals.iter().map(|(key, _)| key.partition.get()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..LOGS).collect::<Vec<_>>());
    for (_, removed) in removals {
        removed();
    }
    let follower = following.await.unwrap();
    assert_eq!((follower.followed(), follower.damaged.len()), (Followed::Wholly, 0));
}
