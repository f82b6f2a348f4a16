use std::net::SocketAddr;

use e2e::Cluster;
use futures::future::join_all;
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::healthy::{PATIENCE, Pair, connect, create, fill};
use crate::memory::high_water;
use crate::raw::{FRAME, RawConnection, Windows, message};

const MIB: usize = 1024 * 1024;
const CONNECTIONS: usize = 10_000;
/// The least that each may be, so that what is measured is not only these.
const SHARED: usize = 66 * MIB;
const WINDOWS: usize = 64 * MIB;
const OWN: usize = 64 * 1024;

/// As `docs/limits.md` has it: what one connection takes at worst, beside what is its own.
const CONNECTION: usize = 192 * 1024;
const REQUEST: usize = 16 * 1024;
const REQUESTS: usize = 16_384;
/// And what a broker takes without any.
const PROGRAM: usize = 128 * MIB;

const PRODUCE: &str = "/dohle.broker.v1.BrokerService/Produce";
const FETCH: &str = "/dohle.broker.v1.BrokerService/Fetch";

fn settings() -> String {
    format!(
        "[limits]\nconnections = {CONNECTIONS}\nreceived_bytes = {SHARED}\n\
         answer_bytes = {SHARED}\nproduce_bytes = {SHARED}\nwindow_bytes = {WINDOWS}\n\
         connection_bytes = {OWN}\nrequests = {REQUESTS}\n"
    )
}

/// Asks for all of topic `large` that one fetch may return.
fn fetch_request() -> Vec<u8> {
    // partitions = [{ topic: "large" }]
    let partition = b"\x0a\x05large";
    let mut request = vec![0x0a, u8::try_from(partition.len()).unwrap()];
    request.extend(partition);
    message(request.len(), &request)
}

/// What a bad client does before it falls silent and stops reading.
#[derive(Clone, Copy)]
enum Bad {
    Silent,
    HalfFrame,
    HalfMessage,
    SlowReader(Windows),
    ManyCalls,
}

const BAD: [Bad; 10] = [
    Bad::Silent,
    Bad::HalfFrame,
    Bad::HalfFrame,
    Bad::HalfFrame,
    Bad::HalfMessage,
    Bad::HalfMessage,
    Bad::SlowReader(Windows::Least),
    Bad::SlowReader(Windows::Largest),
    Bad::SlowReader(Windows::Largest),
    Bad::ManyCalls,
];

async fn misbehave(to: SocketAddr, how: Bad) -> RawConnection {
    let windows = match how {
        Bad::Silent => return RawConnection::silent(to).await,
        Bad::HalfFrame | Bad::HalfMessage | Bad::ManyCalls => Windows::Least,
        Bad::SlowReader(windows) => windows,
    };
    let mut connection = RawConnection::open(to, windows).await;
    match how {
        Bad::Silent => {}
        Bad::HalfFrame => {
            connection.call(1, PRODUCE).await;
            connection.half_frame(1, &message(MIB, &vec![1; FRAME - 6])).await;
        }
        Bad::HalfMessage => {
            connection.call(1, PRODUCE).await;
            connection.data(1, &message(64 * MIB, &vec![1; 60_000])).await;
        }
        Bad::SlowReader(_) => {
            for stream in [1, 3, 5] {
                connection.call(stream, FETCH).await;
                connection.last_data(stream, &fetch_request()).await;
            }
        }
        Bad::ManyCalls => {
            for stream in 0..100 {
                connection.call(2 * stream + 1, PRODUCE).await;
            }
        }
    }
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_bad_clients_take_no_more_memory_than_they_may_and_others_are_served() {
    // As many as this process and the broker may have open, all but some for themselves.
    let open_files = daemon::open_files::raise().unwrap().unwrap_or(u64::MAX);
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    let bad = CONNECTIONS.min(open_files / 4 * 3) - 100;
    let dir = tempfile::tempdir().unwrap();
    let cluster = block_in_place(|| Cluster::start_in(dir, &settings()));
    let client = connect(&cluster).await;
    let large = create(&cluster, "large");
    fill(&client, &large, 16, MIB - 1_000).await;
    let mut pair = Pair::new(&client, create(&cluster, "small")).await;
    pair.round(1_000).await;

    let to = cluster.broker_address();
    let mut connections = Vec::with_capacity(bad);
    let kinds: Vec<Bad> = BAD.into_iter().cycle().take(bad).collect();
    for some in kinds.chunks(100) {
        let opened = join_all(some.iter().map(|how| misbehave(to, *how)));
        connections.extend(timeout(PATIENCE, opened).await.expect("the broker accepts"));
        pair.round(1_000).await;
    }
    // New ones are served as well as those who were there before.
    let late = connect(&cluster).await;
    let mut late = Pair::new(&late, create(&cluster, "late")).await;
    for _ in 0..50 {
        pair.round(1_000).await;
        late.round(1_000).await;
    }

    let by_number = CONNECTIONS * (CONNECTION + OWN) + REQUESTS * REQUEST;
    let bound = PROGRAM + by_number + WINDOWS + 4 * SHARED;
    let high_water = high_water(cluster.broker_id());
    say(&format!("{bad} connections: {} of {} MiB", high_water / MIB, bound / MIB));
    assert!(high_water < bound, "{high_water} bytes, of {bound}");
    // None of them keeps what it holds: the transport asks after them, and they do not answer.
    let ended = join_all(connections.into_iter().map(RawConnection::ended));
    timeout(3 * PATIENCE, ended).await.expect("the broker ends them all");
    pair.round(1_000).await;
}

#[expect(clippy::print_stdout, reason = "how near the bound was")]
fn say(what: &str) {
    println!("{what}");
}
