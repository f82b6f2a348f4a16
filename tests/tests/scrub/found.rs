use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::block_in_place;
use tokio::time::timeout;
use wire::transport::endpoint;
use wire::v1::broker::broker_service_client::BrokerServiceClient;
use wire::v1::broker::{FetchPartition, FetchRequest, FetchedPartition};

use crate::rotten::{Lies, RECORDS, Rotten, flip, time_of};

const PATIENCE: Duration = Duration::from_mins(1);
/// Only what is asked for, and what was damaged before a start.
const NEVER: &str = "log_scrub_interval_ms = 0\n";
/// Bytes in the body of a batch, and in its length.
const BODY: u64 = 70;
const LENGTH: u64 = 10;

fn scrub(rotten: &Rotten, code: i32) -> Value {
    let run = rotten.cluster.run("broker scrub t --rate 1g --output json".split(' '), "");
    assert_eq!(run.status.code(), Some(code), "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

fn health(rotten: &Rotten) -> (Option<i32>, Value) {
    let run = rotten.cluster.run("cluster health --output json".split(' '), "");
    (run.status.code(), serde_json::from_str(&run.stdout).unwrap())
}

async fn fetch(rotten: &Rotten, offset: u64) -> FetchedPartition {
    let address = rotten.cluster.broker_address().to_string();
    let mut broker = BrokerServiceClient::new(endpoint(&address).unwrap().connect_lazy());
    let partition =
        FetchPartition { topic: "t".to_owned(), fetch_offset: offset, ..FetchPartition::default() };
    let request = FetchRequest { partitions: vec![partition], ..FetchRequest::default() };
    let fetched = timeout(PATIENCE, broker.fetch(request)).await.unwrap().unwrap().into_inner();
    fetched.partitions.into_iter().next().unwrap()
}

#[track_caller]
fn check_row(row: &Value, batch: &Lies) {
    let found = json!([
        row["topic"],
        row["partition"],
        row["broker"],
        row["first_offset"],
        row["end_offset"],
        row["file"],
        row["first_byte"],
        row["end_byte"],
    ]);
    let end = batch.position + batch.len;
    let expected =
        json!(["t", 0, 1, batch.first, batch.end, batch.file.to_str(), batch.position, end]);
    assert_eq!(found, expected);
    assert!(!row["problem"].as_str().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rot_is_found_named_and_read_around_and_is_not_forgotten() {
    let mut rotten = Rotten::start(NEVER).await;
    let sound = block_in_place(|| scrub(&rotten, 0));
    assert_eq!(sound["damage"], json!([]));
    assert!(sound["segments"].as_u64().unwrap() > 5, "{sound}");

    let batches = rotten.batches();
    let third = batches.len() / 3;
    let [one, other] = [&batches[third], &batches[batches.len() / 2]];
    flip(one, BODY);
    flip(other, LENGTH);
    // Before any scrub: the consumer notices the one, the broker the other.
    let (read, damaged) = rotten.read_around().await;
    let lost = [(one.first, one.end), (other.first, other.end)];
    assert_eq!(damaged, lost);
    let is_lost = |number: &u64| lost.iter().any(|(first, end)| (*first..*end).contains(number));
    let expected: Vec<u64> = (0..RECORDS).filter(|number| !is_lost(number)).collect();
    assert_eq!(read, expected);

    let found = block_in_place(|| scrub(&rotten, 1));
    let rows = found["damage"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{found}");
    check_row(&rows[0], one);
    check_row(&rows[1], other);
    // Times are told by whole batches of the same file; how many there are in one, and so whether it
    // is the first or the last, is up to how busy the producer was.
    if batches[third - 1].file == one.file {
        assert_eq!(rows[0]["after_ms"], json!(time_of(one.first - 1)));
    }
    if batches[third + 1].file == one.file {
        assert_eq!(rows[0]["before_ms"], json!(time_of(one.end)));
    }
    let line = block_in_place(|| rotten.cluster.await_broker_line("damage found"));
    assert!(line.contains("ERROR") && line.contains(one.file.to_str().unwrap()), "{line}");

    // From now on the broker itself tells.
    for asked in one.first..one.end {
        let refused = fetch(&rotten, asked).await;
        let error = refused.error.unwrap();
        assert_eq!(
            (error.reason.as_str(), refused.resume_offset),
            ("CORRUPT_MESSAGE", Some(one.end))
        );
        let range = format!("offsets {} to {} (exclusive) of t-0", one.first, one.end);
        assert!(error.message.contains(&range), "{}", error.message);
    }
    let before = fetch(&rotten, 0).await;
    assert_eq!(before.error, None, "what lies before it is given");
    assert_eq!(rotten.read_around().await.0, expected);

    // After a kill it is known again without a pass.
    block_in_place(|| rotten.restart_broker());
    let known = async { while block_in_place(|| health(&rotten)).0 != Some(1) {} };
    timeout(PATIENCE, known).await.expect("damage is not forgotten");
    assert_eq!(block_in_place(|| health(&rotten)).1["damaged_partitions"], json!(["t-0"]));
    let described = "topic describe t --partitions --output json".split(' ');
    let described = block_in_place(|| rotten.cluster.run(described, "").expect_success());
    let described: Value = serde_json::from_str(&described).unwrap();
    check_row(&described["damage"][0], one);

    // A copy from before, put in its place.
    flip(one, BODY);
    flip(other, LENGTH);
    assert_eq!(block_in_place(|| scrub(&rotten, 0))["damage"], json!([]));
    assert_eq!(block_in_place(|| health(&rotten)).0, Some(0));
    assert_eq!(rotten.read_around().await.0, (0..RECORDS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_background_finds_rot_by_itself() {
    let mut rotten = Rotten::start("log_scrub_interval_ms = 50\n").await;
    let batches = rotten.batches();
    let batch = &batches[batches.len() / 2];
    flip(batch, BODY);
    let line = block_in_place(|| rotten.cluster.await_broker_line("damage found"));
    let line: Value = serde_json::from_str(&line).unwrap();
    let fields = &line["fields"];
    assert_eq!(fields["first_offset"], json!(batch.first.to_string()));
    assert_eq!(fields["end_offset"], json!(batch.end.to_string()));
    assert_eq!((&fields["topic"], &fields["partition"]), (&json!("t"), &json!("0")));
    // Mended, it is forgotten by the next pass.
    assert_eq!(block_in_place(|| health(&rotten)).0, Some(1));
    flip(batch, BODY);
    let well = async { while block_in_place(|| health(&rotten)).0 != Some(0) {} };
    timeout(PATIENCE, well).await.expect("what is sound again is not reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_and_is_not_there_is_refused() {
    let rotten = Rotten::start(NEVER).await;
    let refused = |line: &str, code, word: &str| {
        let said = block_in_place(|| rotten.cluster.run(line.split(' '), "")).expect_code(code);
        assert!(said.contains(word), "{line}: {said}");
    };
    refused("broker scrub nowhere", 3, "nowhere");
    refused("broker scrub --broker 7", 3, "no broker 7");
    refused("broker scrub --rate 0", 2, "1 or more");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_deleted_are_not_reported() {
    let rotten = Rotten::start(NEVER).await;
    let batches = rotten.batches();
    let batch = &batches[batches.len() / 2];
    flip(batch, BODY);
    block_in_place(|| {
        assert_eq!(scrub(&rotten, 1)["damage"].as_array().unwrap().len(), 1);
        assert_eq!(health(&rotten).0, Some(1));
        let delete = format!("topic delete-records t -p 0 --before-offset {} --yes", batch.end);
        rotten.cluster.run(delete.split(' '), "").expect_success();
        assert_eq!(health(&rotten).0, Some(0), "nobody misses them");
        assert_eq!(scrub(&rotten, 0)["damage"], json!([]));
    });
}
