//! What is refused, and what the refusal says.

use std::time::Duration;

use bytes::Bytes;
use record::{Batch, Compression, RecordError};
use wire::v1::broker::{Acks, DescribeTopicsRequest, FetchRequest, ProduceRequest};

use crate::cluster::{Broker, Cluster, batch, partition_at, reason};

#[tokio::test]
async fn a_batch_whose_bytes_changed_is_refused_and_leaves_no_trace() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let mut bytes = batch(Compression::None, &["value"]).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let refused = broker.produce_batches("t", bytes.into()).await;
    assert_eq!(reason(refused.error.as_ref()), "CORRUPT_MESSAGE");
    assert_eq!(broker.fetch("t", 0, Duration::ZERO).await.high_watermark, 0);

    let cut = batch(Compression::None, &["value"]).slice(..70);
    let refused = broker.produce_batches("t", cut).await;
    assert_eq!(reason(refused.error.as_ref()), "CORRUPT_MESSAGE");
    let refused = broker
        .produce_batches(
            "t",
            Bytes::from_static(b"no batch at all, but long enough to be the header of one: ......"),
        )
        .await;
    assert_eq!(reason(refused.error.as_ref()), "INVALID_RECORD");
    let refused = broker.produce_batches("t", Bytes::new()).await;
    assert_eq!(reason(refused.error.as_ref()), "INVALID_RECORD");
}

#[tokio::test]
async fn a_batch_beyond_the_topics_limit_is_refused_by_naming_the_limit() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[("max.message.bytes", "200")]).await;
    let large = "x".repeat(200);
    for refused in [
        broker.produce("t", Acks::All, &[&large]).await,
        broker.produce_batches("t", batch(Compression::None, &[&large])).await,
    ] {
        let error = refused.error.unwrap();
        assert_eq!(error.reason, "MESSAGE_TOO_LARGE");
        assert!(error.message.contains("max.message.bytes=200"), "{}", error.message);
    }
    assert_eq!(broker.produce("t", Acks::All, &["small"]).await.base_offset, Some(0));
}

#[tokio::test]
async fn a_codec_that_nobody_knows_is_named() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let mut bytes = batch(Compression::None, &["value"]).to_vec();
    // The lowest bits of the attributes.
    bytes[22] = 5;
    let error = broker.produce_batches("t", bytes.into()).await.error.unwrap();
    assert_eq!(error.reason, "UNSUPPORTED_COMPRESSION_TYPE");
    assert!(error.message.contains("codec 5"), "{}", error.message);
}

#[tokio::test]
async fn what_no_consumer_could_read_is_refused_and_leaves_no_trace() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    // Records of 12 bytes behind a header of 61: the offset delta of the second is not its place.
    let gap = tampered(61 + 12 + 3, 4);
    let error = broker.produce_batches("t", gap).await.error.unwrap();
    assert_eq!(error.reason, "INVALID_RECORD");
    assert!(error.message.contains("t-0 takes no such batch: record 1"), "{}", error.message);
    // What is said to be packed is not.
    for codec in [1, 2, 3, 4] {
        let error = broker.produce_batches("t", tampered(22, codec)).await.error.unwrap();
        assert_eq!(error.reason, "INVALID_RECORD");
        assert!(error.message.contains("fails on the batch"), "{}", error.message);
    }
    assert_eq!(broker.fetch("t", 0, Duration::ZERO).await.high_watermark, 0);
}

/// A batch of two with another byte, and the checksum that it should then have.
fn tampered(at: usize, byte: u8) -> Bytes {
    let mut bytes = batch(Compression::None, &["value", "value"]).to_vec();
    bytes[at] = byte;
    if let Err(RecordError::Checksum { computed, .. }) = Batch::verify(bytes.clone().into()) {
        bytes[17..21].copy_from_slice(&computed.to_be_bytes());
    }
    bytes.into()
}

#[tokio::test]
async fn an_offset_out_of_range_is_answered_with_the_range() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a", "b"]).await;
    let fetched = broker.fetch("t", 3, Duration::from_mins(10)).await;
    let error = fetched.error.unwrap();
    assert_eq!(error.reason, "OFFSET_OUT_OF_RANGE");
    assert!(error.message.contains("0 to 2"), "{}", error.message);
    assert_eq!((fetched.log_start_offset, fetched.high_watermark), (0, 2));
}

#[tokio::test]
async fn an_unknown_topic_stays_unknown_where_topics_are_not_made_by_naming_them() {
    let cluster = Cluster::start();
    let config = broker::Config { auto_create_topics_enable: false, ..cluster.broker_config(1) };
    let mut broker = Broker::start(config).await;
    let error = broker.produce("nobody", Acks::All, &["a"]).await.error.unwrap();
    assert_eq!(error.reason, "UNKNOWN_TOPIC_OR_PARTITION");
    assert!(error.message.contains("auto.create.topics.enable=false"), "{}", error.message);

    let request = DescribeTopicsRequest { topics: vec!["nobody".to_owned()], create_missing: true };
    let described = broker.data.describe_topics(request).await.unwrap().into_inner();
    assert_eq!(reason(described.topics[0].error.as_ref()), "UNKNOWN_TOPIC_OR_PARTITION");
    let fetched = broker.fetch("nobody", 0, Duration::from_mins(10)).await;
    assert_eq!(reason(fetched.error.as_ref()), "UNKNOWN_TOPIC_OR_PARTITION");
}

#[tokio::test]
async fn a_partition_beyond_the_last_is_unknown() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let asked = wire::v1::broker::FetchPartition { partition: 1, ..partition_at("t", 0) };
    let request = FetchRequest { partitions: vec![asked], ..FetchRequest::default() };
    let fetched = broker.data.fetch(request).await.unwrap().into_inner();
    let error = fetched.partitions[0].error.as_ref().unwrap();
    assert_eq!(error.reason, "UNKNOWN_TOPIC_OR_PARTITION");
    assert!(error.message.contains("has 1 partitions"), "{}", error.message);
}

#[tokio::test]
async fn a_malformed_request_fails_as_a_whole() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    let request = ProduceRequest { topic: "a/b".to_owned(), ..ProduceRequest::default() };
    let status = broker.data.produce(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    assert_eq!(wire::from_status(&status).reason, types::Reason::InvalidRequest);
}
