//! Each client is told the addresses of the listener by which it came.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::{Finished, Process, program, run};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;
use tonic::transport::Channel;
use wire::transport::endpoint;
use wire::v1::broker::broker_service_client::BrokerServiceClient;
use wire::v1::broker::list_offsets_partition::At;
use wire::v1::broker::{
    DescribeClusterRequest, DescribeTopicsRequest, ListOffsetsPartition, ListOffsetsRequest,
    ListedOffset, ProduceStreamRequest,
};
use wire::v1::types::{Broker, BrokerEndpoint};

/// A coordinator and two brokers, each a process of its own.
struct Cluster {
    dir: TempDir,
    coordinator: Process,
    brokers: Vec<Process>,
    /// Of both brokers, on the listener that every broker has.
    inside: Vec<SocketAddr>,
    /// Of both brokers, on the other one.
    outside: Vec<SocketAddr>,
}

/// So that the addresses differ by more than their ports.
const OUTSIDE: &str = "127.0.0.2:0";

fn start(dir: &Path, program: &str, name: &str, text: &str) -> Process {
    let file = dir.join(format!("{name}.toml"));
    let text =
        format!("listen = \"127.0.0.1:0\"\ndata_dir = \"{}\"\n{text}", dir.join(name).display());
    fs::write(&file, text).unwrap();
    let service = program.strip_prefix("dohle-").unwrap();
    Process::start(program, ["--config".as_ref(), file.as_os_str()], &[service])
}

async fn connect(address: SocketAddr) -> BrokerServiceClient<Channel> {
    BrokerServiceClient::new(endpoint(&address.to_string()).unwrap().connect().await.unwrap())
}

fn dohle<'a>(
    at: SocketAddr,
    arguments: impl IntoIterator<Item = &'a str>,
    input: &str,
) -> Finished {
    run(Command::new(program("dohle")).arg("-B").arg(at.to_string()).args(arguments), input)
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = start(dir.path(), "dohle-coordinator", "coordinator", "");
        let at = coordinator.address("coordinator");
        let broker = |id: u32| {
            let text = format!(
                "broker_id = {id}\ncoordinators = [\"{at}\"]\n\
                 [[listeners]]\nname = \"OUTSIDE\"\nlisten = \"{OUTSIDE}\"\n"
            );
            start(dir.path(), "dohle-broker", &format!("broker-{id}"), &text)
        };
        let brokers: Vec<_> = [1, 2].map(broker).into();
        let inside: Vec<_> = brokers.iter().map(|broker| broker.address("broker")).collect();
        let outside = both_serve(&inside).await;
        Self { dir, coordinator, brokers, inside, outside }
    }
}

/// Waits until both brokers know that both serve; returns where they are on the other listener.
async fn both_serve(inside: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut outside = Vec::new();
    for address in inside {
        let mut client = connect(*address).await;
        outside = loop {
            let told = client.describe_cluster(DescribeClusterRequest {}).await.unwrap();
            let told = told.into_inner().brokers;
            if told.len() == 2 && told.iter().all(|broker| !broker.fenced) {
                break told.iter().map(other_address).collect();
            }
            sleep(Duration::from_millis(20)).await;
        };
    }
    outside
}

/// Waits until each broker serves the partition that it leads: one of them made the topic, and the
/// other hears of it by the metadata.
async fn both_lead(inside: &[SocketAddr]) {
    for address in inside {
        let mut client = connect(*address).await;
        loop {
            let request = ListOffsetsRequest { partitions: vec![last_offset(0), last_offset(1)] };
            let listed =
                client.list_offsets(request).await.map(|listed| listed.into_inner().offsets);
            let served = |listed: &Vec<ListedOffset>| {
                listed.iter().filter(|listed| listed.error.is_none()).count() == 1
            };
            if listed.as_ref().is_ok_and(served) {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn other_address(broker: &Broker) -> SocketAddr {
    let [listener] = &broker.listeners[..] else { panic!("{broker:?}") };
    assert_eq!(listener.name, "OUTSIDE");
    format!("{}:{}", listener.host, listener.port).parse().unwrap()
}

fn address(endpoint: Option<&BrokerEndpoint>) -> SocketAddr {
    let endpoint = endpoint.expect("it is told");
    format!("{}:{}", endpoint.host, endpoint.port).parse().unwrap()
}

fn addresses(brokers: &[Broker]) -> Vec<SocketAddr> {
    brokers.iter().map(|broker| address(broker.endpoint.as_ref())).collect()
}

fn last_offset(partition: u32) -> ListOffsetsPartition {
    ListOffsetsPartition { topic: "t".to_owned(), partition, at: Some(At::Latest(true)) }
}

/// Everything that a broker tells a client of addresses, asked at `asked`, is among `expected`.
async fn all_is_told_of(expected: &[SocketAddr], asked: SocketAddr, listener: &str) {
    let mut client = connect(asked).await;
    let cluster = client.describe_cluster(DescribeClusterRequest {}).await.unwrap().into_inner();
    assert_eq!(addresses(&cluster.brokers), expected);
    assert_eq!(cluster.listener, listener);
    let topics = client.describe_topics(DescribeTopicsRequest::default()).await.unwrap();
    let topics = topics.into_inner();
    assert_eq!(addresses(&topics.brokers), expected);
    let leader = |partition: u32| {
        let topic = topics.topics[0].topic.as_ref().unwrap();
        topic.partitions[partition as usize].leader.unwrap() as usize
    };
    assert_ne!(leader(0), leader(1), "one broker leads each");

    // Of partitions that two brokers lead, no request is passed on: the error says where to go.
    let request = ListOffsetsRequest { partitions: vec![last_offset(0), last_offset(1)] };
    let listed = client.list_offsets(request).await.unwrap().into_inner().offsets;
    let refused: Vec<_> = listed.iter().filter(|listed| listed.error.is_some()).collect();
    let [elsewhere] = refused[..] else { panic!("{listed:?}") };
    let error = elsewhere.error.as_ref().unwrap();
    let hinted = expected[leader(elsewhere.partition) - 1];
    assert_eq!(address(error.leader.as_ref()), hinted, "{error:?}");
    assert!(!error.message.contains("127.0.0."), "{error:?}");

    // Nor is what comes in a stream.
    let request = ProduceStreamRequest {
        topic: "t".to_owned(),
        partition: elsewhere.partition,
        ..ProduceStreamRequest::default()
    };
    let answers = client.produce_stream(tokio_stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let error = answer.error.unwrap();
    assert_eq!(address(error.leader.as_ref()), hinted, "{error:?}");
}

#[tokio::test]
async fn a_client_is_told_the_addresses_of_the_listener_by_which_it_came() {
    let cluster = Cluster::start().await;
    let Cluster { inside, outside, .. } = &cluster;
    dohle(inside[0], ["topic", "create", "t", "--partitions", "2"], "").expect_success();
    both_lead(inside).await;
    let everywhere = [(inside, ""), (outside, "OUTSIDE")];
    for (own, listener) in everywhere {
        for asked in own {
            all_is_told_of(own, *asked, listener).await;
        }
    }

    // What one side sends, the other has.
    let ways = [inside[0], outside[0], inside[1], outside[1]];
    for (number, at) in (0..).zip(ways) {
        dohle(at, ["produce", "t"], &format!("record {number}\n")).expect_success();
    }
    for at in ways {
        let read = dohle(at, ["consume", "t", "--from-beginning", "-e"], "").expect_success();
        let mut read: Vec<_> = read.lines().collect();
        read.sort_unstable();
        assert_eq!(read, ["record 0", "record 1", "record 2", "record 3"]);
    }

    let told = dohle(outside[0], ["cluster", "info", "--output", "json"], "").expect_success();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["listener"], "OUTSIDE");
    assert_eq!(told["brokers"][0]["address"], outside[0].to_string());
    let table = dohle(inside[0], ["cluster", "info"], "").expect_success();
    assert!(table.contains("LISTENER") && table.contains(&outside[1].to_string()), "{table}");

    let Cluster { mut brokers, outside, inside, coordinator, dir } = cluster;
    assert!(brokers.pop().unwrap().terminate().success());
    for gone in [inside[1], outside[1]] {
        TcpStream::connect(gone).unwrap_err();
    }
    drop((brokers, coordinator, dir));
}
