//! What is beyond a limit is refused by name.

use e2e::Cluster;
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use wire::transport::endpoint;
use wire::v1::broker::admin_service_client::AdminServiceClient;
use wire::v1::broker::broker_service_client::BrokerServiceClient;
use wire::v1::broker::{DescribeClusterRequest, FetchStreamRequest, FetchStreamResponse};

use crate::healthy::PATIENCE;

fn cluster(settings: &str) -> Cluster {
    let dir = tempfile::tempdir().unwrap();
    block_in_place(|| Cluster::start_in(dir, settings))
}

async fn channel(cluster: &Cluster) -> Channel {
    endpoint(&cluster.broker_address().to_string()).unwrap().connect().await.unwrap()
}

async fn ask(channel: &Channel) -> Result<(), Status> {
    let mut broker = BrokerServiceClient::new(channel.clone());
    let asked = broker.describe_cluster(DescribeClusterRequest {});
    timeout(PATIENCE, asked).await.expect("it is answered").map(drop)
}

#[track_caller]
fn check_busy(refused: &Status, key: &str) {
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().contains(key), "{refused:?}");
    assert_eq!(wire::from_status(refused).reason, types::Reason::Busy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_the_limit_is_told_so_and_one_that_closes_makes_room() {
    let cluster = cluster("[limits]\nconnections = 3\n");
    let mut open = Vec::new();
    let refused = loop {
        let next = channel(&cluster).await;
        match ask(&next).await {
            Ok(()) => open.push(next),
            Err(refused) => break refused,
        }
        assert!(open.len() <= 3);
    };
    assert_eq!(open.len(), 3);
    check_busy(&refused, "limits.connections allows (3)");
    open.pop();
    let came_in = async { while ask(&channel(&cluster).await).await.is_err() {} };
    timeout(PATIENCE, came_in).await.expect("there is room again");
}

/// A stream that is open for as long as the result is held.
async fn stream(
    channel: &Channel,
) -> Result<(mpsc::Sender<FetchStreamRequest>, tonic::Streaming<FetchStreamResponse>), Status> {
    let (requests, to_send) = mpsc::channel(1);
    let mut broker = BrokerServiceClient::new(channel.clone());
    let opening = broker.fetch_stream(ReceiverStream::new(to_send));
    let answers = timeout(PATIENCE, opening).await.expect("it is answered")?;
    Ok((requests, answers.into_inner()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_beyond_the_limit_is_refused_and_health_is_told_all_the_same() {
    let cluster = cluster("[limits]\nrequests = 4\n");
    let channel = channel(&cluster).await;
    let mut open = Vec::new();
    let refused = loop {
        match stream(&channel).await {
            Ok(stream) => open.push(stream),
            Err(refused) => break refused,
        }
        assert!(open.len() <= 8);
    };
    assert_eq!(open.len(), 8, "four of its own, and all four that are shared");
    check_busy(&refused, "limits.requests allows (4,");
    check_busy(&ask(&channel).await.unwrap_err(), "limits.requests allows (4,");
    ask(&self::channel(&cluster).await).await.expect("another connection has its own");
    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.expect("health is told");
    open.clear();
    let came_in = async { while ask(&channel).await.is_err() {} };
    timeout(PATIENCE, came_in).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_message_where_a_short_one_is_expected_is_refused_before_it_has_come() {
    let cluster = cluster("");
    let channel = channel(&cluster).await;
    let mut broker = BrokerServiceClient::new(channel);
    let names = vec!["x".repeat(100); 50_000];
    let request = wire::v1::broker::DescribeTopicsRequest { topics: names, ..Default::default() };
    let refused = timeout(PATIENCE, broker.describe_topics(request)).await.unwrap().unwrap_err();
    assert!(refused.message().contains("this call takes 4194304 at most"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_named_a_million_times_is_described_once() {
    let cluster = cluster("");
    let mut broker = BrokerServiceClient::new(channel(&cluster).await);
    let topics = vec!["t".to_owned(); 1_000_000];
    let request = wire::v1::broker::DescribeTopicsRequest { topics, create_missing: false };
    let described = timeout(PATIENCE, broker.describe_topics(request)).await.unwrap().unwrap();
    assert_eq!(described.into_inner().topics.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_take_more_than_an_answer_may_is_refused_before_it_is_made() {
    let cluster = cluster("");
    let channel = channel(&cluster).await;
    let names: Vec<_> = (0..300_000).map(|number| format!("t{number}")).collect();
    let topics = names.clone();
    let request = wire::v1::broker::DescribeTopicsRequest { topics, create_missing: false };
    let mut broker = BrokerServiceClient::new(channel.clone());
    let refused = timeout(PATIENCE, broker.describe_topics(request)).await.unwrap().unwrap_err();
    assert_eq!(wire::from_status(&refused).reason, types::Reason::MessageTooLarge, "{refused:?}");
    let request = wire::v1::broker::DeleteTopicsRequest { topics: names };
    let mut admin = AdminServiceClient::new(channel);
    let refused = timeout(PATIENCE, admin.delete_topics(request)).await.unwrap().unwrap_err();
    assert!(refused.message().contains("ask for less at a time"), "{refused:?}");
}
