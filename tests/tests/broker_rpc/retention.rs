use std::time::Duration;

use record::Compression;
use tokio::time::timeout;
use wire::v1::broker::{Acks, FetchRequest};

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
    let gone = async {
        while broker.fetch("t", 0, Duration::ZERO).await.log_start_offset == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();

    let fetched = broker.fetch("t", 0, Duration::ZERO).await;
    assert_eq!(fetched.error.unwrap().reason, "OFFSET_OUT_OF_RANGE");
    assert_eq!((fetched.log_start_offset, fetched.high_watermark), (2, 2));
    broker.stop().await;

    let mut broker = Broker::start(config).await;
    let produced = broker.produce("t", Acks::All, &["young"]).await;
    assert_eq!((produced.base_offset, produced.log_start_offset), (Some(2), 2));
    assert_eq!(records(&broker.fetch("kept", 0, Duration::ZERO).await.batches).len(), 2);
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
