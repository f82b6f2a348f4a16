//! Requests that must be refused.

use std::time::Duration;

use bytes::Bytes;
use e2e::{Cluster, Process};
use record::{BatchBuilder, Compression};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tonic::transport::Channel;
use types::Timestamp;
use wire::transport::{MAX_MESSAGE_BYTES, endpoint};
use wire::v1::broker::broker_service_client::BrokerServiceClient;
use wire::v1::broker::produce_request::Payload;
use wire::v1::broker::{
    Acks, FetchPartition, FetchRequest, FetchedPartition, ProduceRequest, ProduceResponse,
};

use crate::tool::{done, refused};

const PATIENCE: Duration = Duration::from_secs(20);
/// Outside the checksum, because the broker sets them: base offset and leader epoch.
const UNCHECKED: [std::ops::Range<usize>; 2] = [0..8, 12..16];

fn connect(cluster: &Cluster) -> BrokerServiceClient<Channel> {
    let channel = endpoint(&cluster.broker_address().to_string()).unwrap().connect_lazy();
    BrokerServiceClient::new(channel)
}

fn batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in ["one", "two", "three"] {
        builder
            .push(Timestamp::from_millis(1_000), Some(b"key"), Some(value.as_bytes()), &[])
            .unwrap();
    }
    builder.build().unwrap().bytes().to_vec()
}

fn produce_request(batches: impl Into<Bytes>) -> ProduceRequest {
    ProduceRequest {
        topic: "t".to_owned(),
        partition: Some(0),
        acks: Acks::All.into(),
        timeout_ms: 10_000,
        payload: Some(Payload::Batches(batches.into())),
    }
}

async fn produce(
    broker: &mut BrokerServiceClient<Channel>,
    batches: impl Into<Bytes>,
) -> ProduceResponse {
    let answer = timeout(PATIENCE, broker.produce(produce_request(batches))).await;
    answer.unwrap().unwrap().into_inner()
}

async fn fetch(broker: &mut BrokerServiceClient<Channel>, offset: u64) -> FetchedPartition {
    let partition = FetchPartition {
        topic: "t".to_owned(),
        partition: 0,
        fetch_offset: offset,
        ..FetchPartition::default()
    };
    let request = FetchRequest { partitions: vec![partition], ..FetchRequest::default() };
    let answer = timeout(PATIENCE, broker.fetch(request)).await.unwrap().unwrap();
    answer.into_inner().partitions.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_any_byte_changed_or_missing_is_refused_and_leaves_no_trace() {
    let cluster = block_in_place(Cluster::start);
    block_in_place(|| done(&cluster, "topic create t", ""));
    let mut broker = connect(&cluster);
    let whole = batch();
    let changed = (0..whole.len()).filter(|at| !UNCHECKED.iter().any(|range| range.contains(at)));
    let changed = changed.map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        (format!("byte {at} changed"), bytes)
    });
    let cut = (1..whole.len()).map(|len| (format!("cut at {len}"), whole[..len].to_vec()));
    for (what, bytes) in changed.chain(cut) {
        let error = produce(&mut broker, bytes).await.error;
        let error = error.unwrap_or_else(|| panic!("{what}: taken"));
        // A changed length may be beyond the limit, and a changed attribute name another codec.
        let reasons = [
            "CORRUPT_MESSAGE",
            "INVALID_RECORD",
            "MESSAGE_TOO_LARGE",
            "UNSUPPORTED_COMPRESSION_TYPE",
        ];
        assert!(reasons.contains(&error.reason.as_str()), "{what}: {error:?}");
        assert!(error.message.contains("t-0"), "{what}: {error:?}");
    }
    assert_eq!(fetch(&mut broker, 0).await.high_watermark, 0);
    assert_eq!(produce(&mut broker, whole).await.base_offset, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_above_the_topics_limit_is_told_the_limit() {
    let cluster = block_in_place(Cluster::start);
    block_in_place(|| {
        done(&cluster, "topic create t -c max.message.bytes=2000", "");
        let words = ["line 2", "t-0", "max.message.bytes=2000", "raise the topic's limit"];
        let input = format!("small\n{}\nsmall\n", "x".repeat(5_000));
        refused(&cluster, "produce t", &input, 1, &words);
        assert_eq!(done(&cluster, "consume t --from-beginning -e", ""), "small\nsmall\n");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_what_the_edge_takes_is_refused_and_the_broker_goes_on() {
    let cluster = block_in_place(Cluster::start);
    block_in_place(|| done(&cluster, "topic create t", ""));
    let mut broker = connect(&cluster);
    let huge = vec![0; MAX_MESSAGE_BYTES + 1];
    let status = timeout(PATIENCE, broker.produce(produce_request(huge))).await.unwrap();
    let status = status.unwrap_err();
    assert!(status.message().contains("at most"), "{status:?}");
    assert_eq!(produce(&mut broker, batch()).await.base_offset, Some(0));

    let line = format!("{}\n", "x".repeat(MAX_MESSAGE_BYTES + 1));
    block_in_place(|| refused(&cluster, "produce t", &line, 1, &["line 1", "longer than 64 MiB"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_out_of_range_is_answered_with_the_range() {
    let cluster = block_in_place(Cluster::start);
    block_in_place(|| done(&cluster, "produce t", "one\ntwo\n"));
    let fetched = fetch(&mut connect(&cluster), 77).await;
    let error = fetched.error.unwrap();
    assert_eq!(error.reason, "OFFSET_OUT_OF_RANGE");
    for word in ["offset 77 of t-0", "0 to 2", "begin at one of these"] {
        assert!(error.message.contains(word), "{}", error.message);
    }
    assert_eq!((fetched.log_start_offset, fetched.high_watermark), (0, 2));
    let words = ["offset 77 of t-0 is outside 0..2", "dohle consume t -o start"];
    block_in_place(|| refused(&cluster, "consume t -o 77 -n 1", "", 1, &words));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_made_is_missing_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = block_in_place(|| Cluster::start_in(dir, "auto_create_topics_enable = false\n"));
    let words =
        ["topic nope does not exist", "auto.create.topics.enable=false", "topic create nope"];
    block_in_place(|| {
        refused(&cluster, "produce nope", "one\n", 3, &words);
        refused(&cluster, "consume nope -e", "", 3, &words);
        let words = ["topic nope does not exist", "topic create nope"];
        let lake = cluster.dir().join("lake");
        refused(&cluster, &format!("sink run nope --lake {}", lake.display()), "", 3, &words);
        assert_eq!(done(&cluster, "topic list --output json", "").trim(), "[]");
    });
}

#[test]
fn a_broker_that_has_not_heard_of_any_topic_denies_none() {
    let mut cluster = Cluster::start();
    done(&cluster, "produce t", "one\n");
    cluster.kill_coordinator();
    cluster.kill_broker();
    let config = cluster.dir().join("broker.toml");
    let broker =
        Process::start("dohle-broker", ["--config".as_ref(), config.as_os_str()], &["broker"]);
    let at = broker.address("broker");
    let words = ["knows no topics yet", "no coordinator answers", "retry"];
    for line in ["topic list", "topic describe t", "consume t -e", "consume t -o start -e"] {
        refused(&cluster, &format!("{line} -B {at}"), "", 4, &words);
    }
}
