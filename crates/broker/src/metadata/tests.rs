//! What a change of the metadata ends and begins, over a real directory.

use cluster::config::TopicConfigs;
use cluster::{Partition as Placed, Topic};
use types::{PartitionEpoch, PartitionId, TopicId, TopicName, TopicPartition};

use super::*;
use crate::led_partition::{BROKER, led_partition};

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
