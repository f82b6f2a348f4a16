//! The coordinator as its callers see it: over gRPC, in this process.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test; its helpers are not marked as such"
)]

use std::path::Path;
use std::time::Duration;

use coordinator::{BuildError, Config, RunError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use types::Reason;
use wire::v1::coordinator as v1;
use wire::v1::coordinator::coordinator_service_client::CoordinatorServiceClient;
use wire::v1::coordinator::watch_metadata_response::Content;
use wire::v1::types::{BrokerEndpoint, ConfigEntry};

type Client = CoordinatorServiceClient<Channel>;

struct Running {
    client: Client,
    channel: Channel,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

fn config(dir: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: dir.join("coordinator"),
        checkpoint_entries: 5,
        ..Config::default()
    }
}

async fn start(dir: &Path) -> Running {
    let app = config(dir).build().unwrap();
    let channel = wire::transport::endpoint(&app.address().to_string()).unwrap().connect_lazy();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(app.run(shutdown.clone()));
    let mut client = Client::new(channel.clone());
    // An election takes a moment; watching waits for nothing but refuses with a typed error.
    while let Err(status) = client.create_topics(v1::CreateTopicsRequest::default()).await {
        let reason = wire::from_status(&status).reason;
        assert!(matches!(reason, Reason::CoordinatorNotAvailable), "{status:?}");
        tokio::task::yield_now().await;
    }
    Running { client, channel, shutdown, task }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    async fn register(&mut self) -> u64 {
        let request = v1::RegisterBrokerRequest {
            endpoint: Some(BrokerEndpoint { broker_id: 1, host: "localhost".into(), port: 9192 }),
            incarnation_id: vec![1; 16].into(),
            directory_id: vec![2; 16].into(),
            rack: String::new(),
            listeners: Vec::new(),
        };
        let response = self.client.register_broker(request).await.unwrap().into_inner();
        assert!(!response.cluster_id.is_empty());
        assert!(response.lease_ms < response.session_timeout_ms);
        response.broker_epoch
    }

    async fn heartbeat(&mut self, broker_epoch: u64, revision: u64) -> v1::HeartbeatResponse {
        let request = v1::HeartbeatRequest {
            broker_id: 1,
            broker_epoch,
            metadata_revision: revision,
            wants_shutdown: false,
        };
        self.client.heartbeat(request).await.unwrap().into_inner()
    }

    /// Registers a broker and lets it serve.
    async fn serve(&mut self) -> u64 {
        let epoch = self.register().await;
        assert!(!self.heartbeat(epoch, epoch).await.fenced);
        epoch
    }

    async fn create(&mut self, names: &[&str]) -> v1::CreateTopicsResponse {
        let topic = |name: &&str| v1::NewTopic {
            name: (*name).to_owned(),
            partitions: 2,
            replication_factor: 1,
            configs: vec![],
        };
        let topics = names.iter().map(topic).collect();
        let request = v1::CreateTopicsRequest { topics, validate_only: false };
        self.client.create_topics(request).await.unwrap().into_inner()
    }

    async fn watch(&mut self, after_revision: u64) -> Streaming<v1::WatchMetadataResponse> {
        let request = v1::WatchMetadataRequest { after_revision };
        self.client.watch_metadata(request).await.unwrap().into_inner()
    }

    async fn snapshot(&mut self) -> (u64, v1::MetadataSnapshot) {
        let first = self.watch(0).await.message().await.unwrap().unwrap();
        let Some(Content::Snapshot(snapshot)) = first.content else { panic!("{first:?}") };
        (first.revision, snapshot)
    }
}

fn reasons(results: &[v1::TopicResult]) -> Vec<Option<&str>> {
    results.iter().map(|result| result.error.as_ref().map(|error| error.reason.as_str())).collect()
}

#[tokio::test]
async fn topics_are_made_once_and_each_result_says_what_became_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.serve().await;
    let made = running.create(&["t", "bad/name", "u"]).await;
    assert_eq!(reasons(&made.topics), [None, Some("INVALID_TOPIC_EXCEPTION"), None]);
    let again = running.create(&["t"]).await;
    assert_eq!(reasons(&again.topics), [Some("TOPIC_ALREADY_EXISTS")]);
    let (revision, snapshot) = running.snapshot().await;
    assert!(made.revision <= revision);
    let names: Vec<_> = snapshot.topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["t", "u"]);
    assert_eq!(snapshot.topics.first().unwrap().partitions.first().unwrap().leader, Some(1));
    running.stop().await;
}

#[tokio::test]
async fn a_restart_continues_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    let mut cluster_ids = Vec::new();
    for life in 0..4 {
        let mut running = start(dir.path()).await;
        let (_, snapshot) = running.snapshot().await;
        let names: Vec<_> = snapshot.topics.iter().map(|topic| topic.name.clone()).collect();
        assert_eq!(names, expected);
        cluster_ids.push(snapshot.cluster_id);
        running.serve().await;
        for n in 0..4 {
            let name = format!("t{life}{n}");
            assert_eq!(reasons(&running.create(&[&name]).await.topics), [None]);
            expected.push(name);
        }
        running.stop().await;
    }
    cluster_ids.dedup();
    assert_eq!(cluster_ids.len(), 1);
}

#[tokio::test]
async fn a_watcher_sees_changes_as_they_come_and_continues_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    let (revision, _) = running.snapshot().await;
    let mut watch = running.watch(revision).await;
    running.serve().await;
    let made = running.create(&["t"]).await.revision;
    let mut last = revision;
    while last < made {
        let change = watch.message().await.unwrap().unwrap();
        assert!(last < change.revision && matches!(change.content, Some(Content::Delta(_))));
        last = change.revision;
    }
    running.stop().await;
    assert!(watch.message().await.is_err(), "the end of a coordinator is no silence");
    let mut running = start(dir.path()).await;
    let next = running.watch(last).await.message().await.unwrap().unwrap();
    assert!(last < next.revision);
    running.stop().await;
}

#[tokio::test]
async fn who_knows_more_than_the_coordinator_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    let request = v1::WatchMetadataRequest { after_revision: 1_000_000 };
    let refused = running.client.watch_metadata(request).await.map(drop).unwrap_err();
    assert_eq!(wire::from_status(&refused).reason, Reason::RevisionOutOfRange);
    running.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.serve().await;
    running.create(&["t"]).await;
    let set = vec![ConfigEntry { name: "retention.msec".into(), value: "1".into() }];
    let request = v1::AlterConfigsRequest { topic: "t".into(), set, ..Default::default() };
    let refused = running.client.alter_configs(request).await.unwrap_err();
    assert_eq!(wire::from_status(&refused).reason, Reason::InvalidConfig);
    assert!(refused.message().contains("retention.msec"), "{refused:?}");

    let request = v1::CreatePartitionsRequest { topic: "t".into(), total: 1 };
    let refused = running.client.create_partitions(request).await.unwrap_err();
    assert_eq!(wire::from_status(&refused).reason, Reason::InvalidPartitions);

    let refused = running.client.register_broker(v1::RegisterBrokerRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);

    let topics = vec![v1::NewTopic::default(); 1001];
    let request = v1::CreateTopicsRequest { topics, validate_only: false };
    let refused = running.client.create_topics(request).await.unwrap_err();
    assert_eq!(wire::from_status(&refused).reason, Reason::InvalidRequest);

    let request = v1::DeleteTopicsRequest { topics: vec!["t".into(), "nope".into()] };
    let deleted = running.client.delete_topics(request).await.unwrap().into_inner();
    assert_eq!(reasons(&deleted.topics), [None, Some("UNKNOWN_TOPIC_OR_PARTITION")]);
    running.stop().await;
}

#[tokio::test]
async fn a_second_process_on_the_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let second = config(dir.path()).build().map(drop);
    let Err(BuildError::Store(error)) = second else { panic!("{second:?}") };
    assert!(error.to_string().contains("in use by another process"), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn the_quorum_describes_itself_and_its_health() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    let request = v1::DescribeQuorumRequest {};
    let quorum = running.client.describe_quorum(request).await.unwrap().into_inner();
    assert_eq!(quorum.leader_raft_id, Some(quorum.raft_id));
    let [member] = quorum.members.as_slice() else { panic!("{quorum:?}") };
    assert!(member.voter && member.raft_id == quorum.raft_id && !member.address.is_empty());

    let service = "dohle.coordinator.v1.CoordinatorService".to_owned();
    let request = tonic_health::pb::HealthCheckRequest { service };
    let mut health = tonic_health::pb::health_client::HealthClient::new(running.channel.clone());
    let mut states = health.watch(request).await.unwrap().into_inner();
    let serving = tonic_health::pb::health_check_response::ServingStatus::Serving;
    let reached =
        async { while states.message().await.unwrap().unwrap().status != i32::from(serving) {} };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
    drop(states);
    running.stop().await;
}

#[tokio::test]
async fn a_stream_that_never_ends_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(running.channel.clone());
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let stream = health.watch(request).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_mins(1), running.stop()).await;
    drop(stream);
    stopped.unwrap();
}

#[test]
fn a_lease_that_outlives_the_session_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { lease_ms: 9_000, ..config(dir.path()) };
    assert!(matches!(config.build(), Err(BuildError::Config(_))));
}
