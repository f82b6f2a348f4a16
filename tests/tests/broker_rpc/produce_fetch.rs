use std::time::Duration;

use bytes::Bytes;
use record::Compression;
use tokio::time::timeout;
use types::TimestampType;
use wire::v1::broker::list_offsets_partition::At;
use wire::v1::broker::produce_request::Payload;
use wire::v1::broker::{
    Acks, DescribeTopicsRequest, ListOffsetsPartition, ListOffsetsRequest, ProduceRequest, Records,
};
use wire::v1::types::{Header, Record};

use crate::cluster::{Broker, Cluster, PATIENCE, batch, records};

const NO_WAIT: Duration = Duration::ZERO;

#[tokio::test]
async fn records_and_batches_come_back_in_order_with_their_offsets() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;

    let first = broker.produce("t", Acks::All, &["a", "b"]).await;
    assert_eq!((first.error, first.base_offset), (None, Some(0)));
    let words = Compression::ALL.iter().map(Compression::to_string).collect::<Vec<_>>();
    let batches = Compression::ALL.iter().zip(&words);
    let all = batches.flat_map(|(codec, word)| batch(*codec, &[word, word]).to_vec());
    let second = broker.produce_batches("t", all.collect::<Vec<_>>().into()).await;
    assert_eq!((second.error, second.base_offset), (None, Some(2)));

    let fetched = broker.fetch("t", 0, NO_WAIT).await;
    assert_eq!(fetched.high_watermark, 12);
    let twice = words.into_iter().flat_map(|word| [word.clone(), word]);
    let expected = ["a", "b"].map(str::to_owned).into_iter().chain(twice);
    assert_eq!(records(&fetched.batches), (0..).zip(expected).collect::<Vec<_>>());
    broker.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn records_have_the_time_of_their_append_where_the_topic_says_so_and_as_soon_as_it_does() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[("message.timestamp.type", "LogAppendTime")]).await;
    let sent = batch(Compression::Zstd, &["a", "b"]);
    let before = daemon::clock::Clock::new().now();
    broker.produce_batches("t", sent.clone()).await;
    broker.alter_config("t", "message.timestamp.type", "CreateTime").await;
    broker.produce_batches("t", sent.clone()).await;

    let fetched = broker.fetch("t", 0, NO_WAIT).await.batches;
    let batches = record::Batches::new(fetched).map(Result::unwrap).collect::<Vec<_>>();
    let [stamped, as_sent] = batches.as_slice() else { panic!("{batches:?}") };
    assert_eq!(stamped.header().timestamp_type, TimestampType::LogAppend);
    for record in stamped.records().unwrap() {
        assert!(before <= record.unwrap().timestamp);
    }
    assert_eq!(as_sent.header().timestamp_type, TimestampType::Create);
    assert_eq!([stamped.body(), as_sent.body()], [sent.slice(61..), sent.slice(61..)]);
}

#[tokio::test]
async fn a_fetch_in_the_middle_of_a_batch_gives_the_whole_batch() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a", "b", "c"]).await;
    let fetched = broker.fetch("t", 1, NO_WAIT).await;
    assert_eq!(records(&fetched.batches).len(), 3);
}

#[tokio::test]
async fn a_long_poll_wakes_when_a_record_is_appended() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;

    let mut reader = broker.data.clone();
    let waiting = tokio::spawn(async move {
        let request = wire::v1::broker::FetchRequest {
            partitions: vec![crate::cluster::partition_at("t", 0)],
            max_wait_ms: 600_000,
            ..wire::v1::broker::FetchRequest::default()
        };
        reader.fetch(request).await.unwrap().into_inner()
    });
    broker.produce("t", Acks::Leader, &["a"]).await;
    let mut fetched = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(records(&fetched.partitions.pop().unwrap().batches), [(0, "a".to_owned())]);
}

#[tokio::test]
async fn acks_say_when_and_what_is_answered() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let none = broker.produce("t", Acks::None, &["a"]).await;
    assert_eq!((none.error, none.base_offset), (None, None));
    for (acks, offset) in [(Acks::Leader, 1), (Acks::All, 2), (Acks::Unspecified, 3)] {
        let answer = broker.produce("t", acks, &["b"]).await;
        assert_eq!((answer.error, answer.base_offset), (None, Some(offset)), "{acks:?}");
    }
}

#[tokio::test]
async fn records_of_one_key_stay_in_the_partition_that_kafka_gives_them() {
    let cluster = Cluster::start();
    let config = broker::Config { num_partitions: 3, ..cluster.broker_config(1) };
    let mut broker = Broker::start(config).await;
    let mut partition_of = async |key: &'static str| {
        let record = Record { key: Some(key.into()), ..Record::default() };
        let request = ProduceRequest {
            topic: "t".to_owned(),
            payload: Some(Payload::Records(Records { records: vec![record] })),
            ..ProduceRequest::default()
        };
        broker.data.produce(request).await.unwrap().into_inner().partition
    };
    for key in ["foobar", "a-little-bit-long-string", "21"] {
        let expected = record::partition_for_key(key.as_bytes(), 3).unwrap();
        assert_eq!(partition_of(key).await, expected, "{key}");
        assert_eq!(partition_of(key).await, expected, "{key}");
    }
}

#[tokio::test]
async fn headers_stay_as_they_were_sent() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    let header = |key: &str, value: Option<&'static [u8]>| Header {
        key: key.to_owned(),
        value: value.map(Bytes::from_static),
    };
    let sent = [
        header("trace", Some(b"\x00\xff")),
        header("trace", None),
        header("", Some(b"")),
        header("größe", Some(b"1")),
    ];
    let record = Record { headers: sent.to_vec(), ..Record::default() };
    let request = ProduceRequest {
        topic: "t".to_owned(),
        payload: Some(Payload::Records(Records { records: vec![record] })),
        ..ProduceRequest::default()
    };
    let produced = broker.data.produce(request).await.unwrap().into_inner();
    assert_eq!(produced.error, None);

    let fetched = broker.fetch("t", 0, NO_WAIT).await.batches;
    let batch = record::Batch::verify(fetched).unwrap();
    let read = batch.records().unwrap().next().unwrap().unwrap().headers;
    let read = read
        .iter()
        .map(|header| Header { key: header.name().into_owned(), value: header.value.clone() });
    assert_eq!(read.collect::<Vec<_>>(), sent);
}

#[tokio::test]
async fn a_topic_that_nobody_made_is_made_when_it_is_produced_or_subscribed_to() {
    let cluster = Cluster::start();
    let config = broker::Config { num_partitions: 2, ..cluster.broker_config(1) };
    let mut broker = Broker::start(config).await;
    let produced = broker.produce("by-produce", Acks::All, &["a"]).await;
    assert_eq!((produced.error, produced.base_offset), (None, Some(0)));

    let request =
        DescribeTopicsRequest { topics: vec!["by-name".to_owned()], create_missing: true };
    let described = broker.data.describe_topics(request).await.unwrap().into_inner();
    let topic = described.topics.into_iter().next().unwrap().topic.unwrap();
    let leaders = topic.partitions.iter().map(|partition| partition.leader);
    assert_eq!(leaders.collect::<Vec<_>>(), [Some(1), Some(1)]);
    let fetched = broker.fetch("by-name", 0, NO_WAIT).await;
    assert_eq!(fetched.error, None, "it is led as soon as it is described");
}

#[tokio::test]
async fn offsets_are_found_by_their_place_and_by_time() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    // One batch at 1,000 ms, one at the time of arrival.
    broker.create_topic("t", &[]).await;
    broker.produce_batches("t", batch(Compression::None, &["old", "old"])).await;
    broker.produce("t", Acks::All, &["new"]).await;

    let mut list = async |at: At| {
        let partition = ListOffsetsPartition { topic: "t".to_owned(), partition: 0, at: Some(at) };
        let request = ListOffsetsRequest { partitions: vec![partition] };
        let listed = broker.data.list_offsets(request).await.unwrap().into_inner();
        let listed = listed.offsets.into_iter().next().unwrap();
        assert_eq!(listed.error, None);
        listed.offset
    };
    assert_eq!(list(At::Earliest(true)).await, Some(0));
    assert_eq!(list(At::Latest(true)).await, Some(3));
    assert_eq!(list(At::TimestampMs(1_000)).await, Some(0));
    assert_eq!(list(At::TimestampMs(1_001)).await, Some(2));
    assert_eq!(list(At::TimestampMs(i64::MAX)).await, None);
}
