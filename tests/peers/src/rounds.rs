//! Both sides by turns, round after round.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use daemon::clock::Clock;
use measure::{Comparison, Condition, CpuTime, Score, Server, Task, Turn, Unit};
use tokio::runtime::{Builder, Runtime};

use crate::error::PeerError;
use crate::nats::{NatsServer, Stream};
use crate::ours::{Cluster, Topic, connect};

/// Threads whose CPU time is the client's, on either side.
const CLIENT_THREADS: &str = "peers-client";
const SERVER_THREADS: &str = "peers-server";

const BESIDE: &str = "NATS JetStream, file storage";

const PRODUCE: Task = Task {
    name: "peers-produce",
    beside: BESIDE,
    gate: &[Condition::RatioAtLeast(10.0)],
    moonshot: &[Condition::RatioAtLeast(30.0)],
};
const CONSUME: Task = Task {
    name: "peers-consume",
    beside: BESIDE,
    gate: &[Condition::RatioAtLeast(10.0)],
    moonshot: &[Condition::RatioAtLeast(20.0)],
};

/// What is measured, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) clock: Clock,
    pub(crate) rounds: u32,
    pub(crate) turn: Duration,
    pub(crate) record_bytes: u32,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Scores {
    pub(crate) nats_version: String,
    pub(crate) rows: [Score; 2],
}

/// One side's turns of a round.
struct Turns {
    produce: Turn,
    consume: Turn,
}

/// Measures both sides below `folder`.
///
/// # Errors
///
/// One of them does not start, fails, or loses a record.
pub(crate) async fn measure(
    plan: &Plan,
    nats_server: &Path,
    folder: &Path,
) -> Result<Scores, PeerError> {
    let nats = NatsServer::start(nats_server, &folder.join("nats"))?;
    let client_threads = Threads::new(CLIENT_THREADS)?;
    let server_threads = Threads::new(SERVER_THREADS)?;
    let below = folder.to_owned();
    let cluster = server_threads.run(async move { Cluster::start(&below).await }).await?;
    let address = cluster.address;
    let client = client_threads.run(connect(address)).await?;
    let (mut produced, mut consumed) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let theirs = || client_threads.run(nats_turns(*plan, nats.address, nats.process()));
        let ours = || client_threads.run(our_turns(*plan, client.clone(), round));
        // Whoever is second finds what the first has left.
        let (ours, theirs) = if round % 2 == 0 {
            let theirs = theirs().await?;
            (ours().await?, theirs)
        } else {
            let ours = ours().await?;
            (ours, theirs().await?)
        };
        produced.push((ours.produce, theirs.produce));
        consumed.push((ours.consume, theirs.consume));
    }
    server_threads.run(cluster.end()).await?;
    let score = |task, rounds: &[(Turn, Turn)]| {
        let compared = Comparison::of(rounds).ok_or(PeerError::Unmeasured)?;
        Ok::<_, PeerError>(Score::of_speed(task, Unit::Records, &compared))
    };
    let rows = [score(&PRODUCE, &produced)?, score(&CONSUME, &consumed)?];
    Ok(Scores { nats_version: nats.version.clone(), rows })
}

async fn nats_turns(
    plan: Plan,
    address: std::net::SocketAddr,
    server: Server,
) -> Result<Turns, PeerError> {
    let stream = Stream::create(address).await?;
    let value = plan.value();
    let produce = plan.turn(&server, async |until| {
        Ok(stream.publish(&value, |_sent| plan.clock.monotonic() < until).await?)
    });
    let produce = produce.await?;
    let stored = stream.messages().await?;
    check("NATS", produce.records, stored)?;
    let consume = plan.turn(&server, async |until| {
        Ok(stream.consume(|read| read < stored && plan.clock.monotonic() < until).await?)
    });
    let consume = consume.await?;
    stream.delete().await?;
    Ok(Turns { produce, consume })
}

async fn our_turns(plan: Plan, client: client::Client, round: u32) -> Result<Turns, PeerError> {
    let server = Server::BesideClient(CLIENT_THREADS);
    let topic = Topic::create(client, round).await?;
    let value = plan.value();
    let produce = plan.turn(&server, async |until| {
        topic.produce(&value, |_sent| plan.clock.monotonic() < until).await
    });
    let produce = produce.await?;
    let stored = topic.records().await?;
    check("Dohle", produce.records, stored)?;
    let consume = plan.turn(&server, async |until| {
        topic.consume(|read| read < stored && plan.clock.monotonic() < until).await
    });
    let consume = consume.await?;
    topic.delete().await?;
    Ok(Turns { produce, consume })
}

impl Plan {
    fn value(&self) -> Bytes {
        Bytes::from(vec![b'x'; self.record_bytes as usize])
    }

    /// Measures what `work` does until the turn is over.
    async fn turn(
        &self,
        server: &Server,
        work: impl AsyncFnOnce(Duration) -> Result<u64, PeerError>,
    ) -> Result<Turn, PeerError> {
        let cpu = CpuTime::read(server)?;
        let start = self.clock.monotonic();
        let records = work(start + self.turn).await?;
        let took = self.clock.monotonic().saturating_sub(start);
        let cpu = CpuTime::read(server)? - cpu;
        Ok(Turn { records, bytes: records * u64::from(self.record_bytes), took, cpu })
    }
}

/// Whether a server holds all that it acknowledged.
fn check(side: &'static str, sent: u64, stored: u64) -> Result<(), PeerError> {
    if sent == stored { Ok(()) } else { Err(PeerError::Lost { side, sent, stored }) }
}

/// A runtime that may be dropped anywhere.
struct Threads(Option<Runtime>);

impl Threads {
    fn new(name: &'static str) -> Result<Self, PeerError> {
        Ok(Self(Some(Builder::new_multi_thread().thread_name(name).enable_all().build()?)))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, PeerError>> + Send + 'static,
    ) -> Result<T, PeerError> {
        let runtime = self.0.as_ref().ok_or(PeerError::Unmeasured)?;
        runtime.spawn(work).await?
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // To wait for its threads would block the runtime that drops it.
            runtime.shutdown_background();
        }
    }
}
