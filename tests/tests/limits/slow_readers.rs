use e2e::Cluster;
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use wire::transport::endpoint;
use wire::v1::broker::broker_service_client::BrokerServiceClient;
use wire::v1::broker::{FetchPartition, FetchStreamRequest, FetchStreamResponse};

use crate::healthy::{PATIENCE, Pair, connect, create, fill};
use crate::memory::resident;

const MIB: usize = 1024 * 1024;
const SETTINGS: &str = "[limits]\nanswer_bytes = 69206016\nstall_ms = 600000\n";
/// Each makes the broker hold two or three answers of one MiB.
const READERS: usize = 200;

/// A reader that grants all and takes nothing. Its library answers for it that it lives.
struct SlowReader {
    _requests: mpsc::Sender<FetchStreamRequest>,
    answers: Streaming<FetchStreamResponse>,
}

impl SlowReader {
    async fn open(cluster: &Cluster) -> Self {
        let endpoint = endpoint(&cluster.broker_address().to_string()).unwrap();
        let windows = endpoint.initial_stream_window_size(65_535);
        let channel = windows.connect().await.unwrap();
        let (requests, to_send) = mpsc::channel(1);
        let all = FetchStreamRequest {
            assign: vec![FetchPartition { topic: "large".to_owned(), ..Default::default() }],
            credit_bytes: u64::MAX,
            ..FetchStreamRequest::default()
        };
        requests.send(all).await.unwrap();
        let mut broker = BrokerServiceClient::new(channel);
        let answers = broker.fetch_stream(ReceiverStream::new(to_send)).await.unwrap();
        Self { _requests: requests, answers: answers.into_inner() }
    }
}

/// `stall_ms` is beyond what the test waits for: it is the want of others that ends them.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_nothing_give_way_to_those_who_need_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = block_in_place(|| Cluster::start_in(dir, SETTINGS));
    let client = connect(&cluster).await;
    fill(&client, &create(&cluster, "large"), 8, MIB - 1_000).await;
    let before = resident(cluster.broker_id());
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(SlowReader::open(&cluster).await);
    }
    // Records that do not fit into what each connection has for itself.
    let mut pair = Pair::new(&client, create(&cluster, "t")).await;
    for _ in 0..10 {
        pair.round(MIB / 2).await;
    }
    let held = resident(cluster.broker_id()).saturating_sub(before);
    assert!(held < READERS * MIB, "{held} bytes: each reader holds what it was not given");
    let cut_off = async {
        let mut cut_off = 0;
        for mut reader in readers {
            while let Some(answer) = reader.answers.message().await.transpose() {
                if answer.is_err() {
                    cut_off += 1;
                    break;
                }
                // It takes what it is given at last: nobody ends it now.
                if cut_off != 0 {
                    break;
                }
            }
        }
        cut_off
    };
    let cut_off = timeout(PATIENCE, cut_off).await.expect("no reader waits for ever");
    assert_ne!(cut_off, 0, "somebody had to give way");
}
