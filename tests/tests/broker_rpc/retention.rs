use std::time::Duration;

use record::{BatchBuilder, Compression};
use tokio::time::timeout;
use types::Timestamp;
use wire::v1::broker::{Acks, AlterConfigsRequest, DescribeConfigsRequest, FetchRequest};
use wire::v1::types::ConfigEntry;

use crate::cluster::{Broker, Cluster, PATIENCE, batch, partition_at, records};

#[tokio::test]
async fn old_records_go_and_their_offsets_are_not_given_out_again() {
    let cluster = Cluster::start();
    let config = broker::Config { log_retention_check_interval_ms: 10, ..cluster.broker_config(1) };
    let mut broker = Broker::start(config.clone()).await;
    broker.create_topic("t", &[("retention.ms", "3600000")]).await;
    broker.create_topic("kept", &[("retention.ms", "-1")]).await;
    // These records say that they are of 1970.
    for topic in ["t", "kept"] {
        let old = batch(Compression::None, &["a", "b"]);
        assert_eq!(broker.produce_batches(topic, old).await.error, None);
    }
    begins_at(&mut broker, "t", 2).await;

    let fetched = broker.fetch("t", 0, Duration::ZERO).await;
    assert_eq!(fetched.error.unwrap().reason, "OFFSET_OUT_OF_RANGE");
    assert_eq!((fetched.log_start_offset, fetched.high_watermark), (2, 2));
    broker.stop().await;

    let mut broker = Broker::start(config).await;
    let produced = broker.produce("t", Acks::All, &["young"]).await;
    assert_eq!((produced.base_offset, produced.log_start_offset), (Some(2), 2));
    assert_eq!(records(&broker.fetch("kept", 0, Duration::ZERO).await.batches).len(), 2);
}

/// Waits until a topic begins at `offset`.
async fn begins_at(broker: &mut Broker, topic: &str, offset: u64) {
    let begins = async {
        while broker.fetch(topic, 0, Duration::ZERO).await.log_start_offset != offset {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begins).await.unwrap();
}

async fn alter(broker: &mut Broker, topic: &str, set: &[(&str, &str)], unset: &[&str]) {
    let entry = |(name, value): &(&str, &str)| ConfigEntry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let request = AlterConfigsRequest {
        topic: topic.to_owned(),
        set: set.iter().map(entry).collect(),
        unset: unset.iter().map(|name| (*name).to_owned()).collect(),
        validate_only: false,
    };
    broker.admin.alter_configs(request).await.unwrap();
}

#[tokio::test]
async fn retention_that_is_altered_holds_from_the_next_look_on_without_a_restart() {
    let cluster = Cluster::start();
    let config = broker::Config { log_retention_check_interval_ms: 10, ..cluster.broker_config(1) };
    let mut broker = Broker::start(config).await;
    let segments = ("segment.bytes", "1024");
    broker.create_topic("t", &[("retention.ms", "-1"), segments]).await;
    let old = || batch(Compression::None, &[&"x".repeat(600)]);
    for _ in 0..4 {
        broker.produce_batches("t", old()).await;
    }
    // Each lies in a segment of its own; each is some 680 bytes.
    alter(&mut broker, "t", &[("retention.bytes", "1500")], &[]).await;
    begins_at(&mut broker, "t", 1).await;
    alter(&mut broker, "t", &[("retention.bytes", "0")], &[]).await;
    begins_at(&mut broker, "t", 4).await;

    alter(&mut broker, "t", &[], &["retention.bytes"]).await;
    broker.produce_batches("t", old()).await;
    assert_eq!(records(&broker.fetch("t", 4, Duration::ZERO).await.batches).len(), 1);
    // By age the last segment goes, too, although nothing is ever appended behind it.
    alter(&mut broker, "t", &[], &["retention.ms"]).await;
    begins_at(&mut broker, "t", 5).await;
}

#[tokio::test]
async fn a_record_of_the_future_does_not_keep_its_topic_for_ever() {
    let cluster = Cluster::start();
    let config = broker::Config { log_retention_check_interval_ms: 10, ..cluster.broker_config(1) };
    let mut broker = Broker::start(config).await;
    broker.create_topic("t", &[("retention.ms", "1")]).await;
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp::from_millis(i64::MAX), None, Some(b"2262 and later"), &[]).unwrap();
    broker.produce_batches("t", builder.build().unwrap().bytes().clone()).await;
    begins_at(&mut broker, "t", 1).await;
}

#[tokio::test]
async fn what_the_broker_is_told_holds_where_the_topic_says_nothing() {
    let cluster = Cluster::start();
    let config = broker::Config {
        log_retention_check_interval_ms: 10,
        log_retention_ms: Some(-1),
        log_retention_bytes: 0,
        ..cluster.broker_config(1)
    };
    let mut broker = Broker::start(config).await;
    broker.create_topic("t", &[]).await;
    broker.create_topic("kept", &[("retention.bytes", "1000000")]).await;
    for topic in ["t", "kept"] {
        broker.produce_batches(topic, batch(Compression::None, &["of 1970"])).await;
    }
    begins_at(&mut broker, "t", 1).await;
    assert_eq!(broker.fetch("kept", 0, Duration::ZERO).await.log_start_offset, 0);

    let request = DescribeConfigsRequest { topic: "t".to_owned() };
    let described = broker.admin.describe_configs(request).await.unwrap().into_inner().configs;
    let told = |name| {
        let config = described.iter().find(|config| config.name == name).unwrap();
        (config.value.as_str(), config.is_default)
    };
    assert_eq!(told("retention.ms"), ("-1", true));
    assert_eq!(told("retention.bytes"), ("0", true));
    assert_eq!(told("segment.ms"), ("604800000", true));
}

#[tokio::test]
async fn a_fetch_that_wants_much_reads_across_segments_without_waiting() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[("segment.bytes", "1024")]).await;
    let value = "x".repeat(600);
    for _ in 0..5 {
        broker.produce("t", Acks::All, &[&value]).await;
    }
    let request = FetchRequest {
        partitions: vec![partition_at("t", 0)],
        max_wait_ms: 600_000,
        min_bytes: 3_000,
        ..FetchRequest::default()
    };
    let fetched = timeout(PATIENCE, broker.data.fetch(request)).await.unwrap().unwrap();
    let partition = fetched.into_inner().partitions.pop().unwrap();
    assert_eq!(records(&partition.batches).len(), 5);
}
