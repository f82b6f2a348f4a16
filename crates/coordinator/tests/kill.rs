//! The coordinator's process, killed while it works: what it answered stays.

#![expect(clippy::unwrap_used, reason = "a test; its helpers are not marked as such")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tonic::transport::Channel;
use types::Reason;
use wire::v1::coordinator as v1;
use wire::v1::coordinator::coordinator_service_client::CoordinatorServiceClient;
use wire::v1::coordinator::watch_metadata_response::Content;
use wire::v1::types::BrokerEndpoint;

type Client = CoordinatorServiceClient<Channel>;

/// Killed when it goes out of scope.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts the program, taking a checkpoint every few entries, and finds its port in its log.
fn start(dir: &Path) -> (Process, Client) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dohle-coordinator"))
        .env("DOHLE_COORDINATOR_LISTEN", "127.0.0.1:0")
        .env("DOHLE_COORDINATOR_DATA_DIR", dir)
        .env("DOHLE_COORDINATOR_CHECKPOINT_ENTRIES", "3")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let process = Process(child);
    let mut lines = log.lines();
    let listening = lines.find(|line| line.as_ref().unwrap().contains("\"listening\""));
    let listening = listening.unwrap().unwrap();
    let (_, address) = listening.split_once("\"address\":\"").unwrap();
    let (address, _) = address.split_once('"').unwrap();
    // Reads on, so that the process never waits for its log to be taken.
    std::thread::spawn(move || lines.for_each(drop));
    let client = Client::new(wire::transport::endpoint(address).unwrap().connect_lazy());
    (process, client)
}

/// Registers a broker once the coordinator leads, and lets it serve.
async fn serve(client: &mut Client) {
    let request = v1::RegisterBrokerRequest {
        endpoint: Some(BrokerEndpoint { broker_id: 1, host: "localhost".into(), port: 9192 }),
        incarnation_id: vec![1; 16].into(),
        directory_id: vec![2; 16].into(),
        rack: String::new(),
        listeners: Vec::new(),
    };
    let epoch = loop {
        match client.register_broker(request.clone()).await {
            Ok(registered) => break registered.into_inner().broker_epoch,
            Err(status) => {
                let reason = wire::from_status(&status).reason;
                assert_eq!(reason, Reason::CoordinatorNotAvailable, "{status:?}");
            }
        }
    };
    let request = v1::HeartbeatRequest {
        broker_id: 1,
        broker_epoch: epoch,
        metadata_revision: epoch,
        wants_shutdown: false,
    };
    assert!(!client.heartbeat(request).await.unwrap().into_inner().fenced);
}

/// One block of producer ids, once the coordinator leads.
async fn allocate(client: &mut Client) -> std::ops::Range<u64> {
    loop {
        match client.allocate_producer_ids(v1::AllocateProducerIdsRequest {}).await {
            Ok(allocated) => {
                let block = allocated.into_inner();
                return block.first_producer_id..block.first_producer_id + u64::from(block.count);
            }
            Err(status) => {
                let reason = wire::from_status(&status).reason;
                assert_eq!(reason, Reason::CoordinatorNotAvailable, "{status:?}");
            }
        }
    }
}

async fn topics(client: &mut Client) -> Vec<String> {
    let request = v1::WatchMetadataRequest { after_revision: 0 };
    let mut watch = client.watch_metadata(request).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    let Some(Content::Snapshot(snapshot)) = first.content else { return Vec::new() };
    snapshot.topics.into_iter().map(|topic| topic.name).collect()
}

#[tokio::test]
async fn what_was_answered_is_there_after_kill_9_also_in_the_midst_of_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..8 {
        let (process, mut client) = start(dir.path());
        serve(&mut client).await;
        assert_eq!(topics(&mut client).await, answered);
        // Ends at another point of the checkpoints' rhythm each time.
        for n in 0..20 + round {
            let name = format!("t{round:02}{n:03}");
            let topic = v1::NewTopic {
                name: name.clone(),
                partitions: 3,
                replication_factor: 1,
                configs: vec![],
            };
            let request = v1::CreateTopicsRequest { topics: vec![topic], validate_only: false };
            let made = client.create_topics(request).await.unwrap().into_inner();
            assert!(made.topics.iter().all(|result| result.error.is_none()), "{made:?}");
            answered.push(name);
        }
        drop(process);
    }
}

#[tokio::test]
async fn no_producer_id_is_given_out_again_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut given = BTreeSet::new();
    for round in 0..8 {
        let (process, mut client) = start(dir.path());
        for _ in 0..2 + round {
            let block = allocate(&mut client).await;
            assert_eq!(block.clone().count(), 1000);
            assert!(block.clone().all(|id| given.insert(id)), "{block:?} was given before");
        }
        drop(process);
    }
}
