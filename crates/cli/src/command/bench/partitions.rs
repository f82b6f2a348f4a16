//! A broker of many partitions: what it takes to have them, and how soon it is back with all of
//! them after a kill.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use client::{Client, ClientConfig};
use measure::{CpuTime, Resources, Server};
use serde::Serialize;
use tokio::time::{sleep, timeout};
use types::Durability;

use super::load::{Shape, Work};
use super::program::Program;
use super::stage::{Folder, serving};
use super::topic::{Topic, producer_config, unexpected};
use crate::args::bench::Partitions;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Show, Table};
use crate::session::Session;

/// A record of a first batch: what a partition costs is little with it, too.
const VALUE_BYTES: u32 = 100;
/// Partitions of a topic at most.
const OF_A_TOPIC: u32 = 1000;
/// Between two questions to a broker that starts.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// How long it may take to be back, at most.
const GATE: Duration = Duration::from_secs(10);
/// After this it will never be.
const GIVE_UP: Duration = Duration::from_mins(2);
/// A request may ask about very many partitions.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a broker takes at rest.
#[derive(Clone, Copy, Debug, Serialize)]
struct AtRest {
    resident_bytes: u64,
    open_files: u64,
    /// CPU time for each second that passed, of one core.
    cpu_share: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    partitions: u32,
    /// Until all of them could be written to.
    creation_seconds: f64,
    /// With a record in each.
    at_rest: AtRest,
    /// From the start of the process after SIGKILL until every partition is led and tells its end.
    restart_seconds: f64,
    restart_gate_seconds: f64,
    at_rest_again: AtRest,
}

/// Measures and shows it.
///
/// # Errors
///
/// The programs do not start, a record is missing after the kill, or the broker takes longer than
/// its gate to be back.
pub(super) async fn run(
    many: &Partitions,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let folder = Folder::new(&many.dir)?;
    let work = Work::new(
        Shape::of_records(VALUE_BYTES, many.idle),
        session.clock,
        session.interrupted.clone(),
    )?;
    let lab = Lab::start(folder.path(), session)?;
    let measuring = measure(lab, many, &work, session);
    let report = tokio::select! {
        report = measuring => report?,
        () = session.interrupted.cancelled() => return Err(Failure::Told(Exit::Interrupted)),
    };
    output.show(&report)?;
    if report.restart_seconds < report.restart_gate_seconds {
        Ok(())
    } else {
        Err(Failure::new(Exit::Other, "the broker takes longer than its gate to be back"))
    }
}

/// A coordinator and a broker, processes of their own.
struct Lab<'a> {
    folder: &'a Path,
    broker_config: String,
    broker: Program,
    client_config: ClientConfig,
    /// Ends with the lab.
    _coordinator: Program,
}

impl<'a> Lab<'a> {
    fn start(folder: &'a Path, session: &Session) -> Result<Self, Failure> {
        let (coordinator_at, broker_at) = (free_address()?, free_address()?);
        let data = |name: &str| toml(&folder.join(name).display().to_string());
        let coordinator_config = format!(
            "listen = {}\ndata_dir = {}\n",
            toml(&coordinator_at.to_string()),
            data("coordinator"),
        );
        let broker_config = format!(
            "listen = {}\ndata_dir = {}\ncoordinators = [{}]\n",
            toml(&broker_at.to_string()),
            data("broker"),
            toml(&coordinator_at.to_string()),
        );
        let coordinator = Program::start("dohle-coordinator", folder, &coordinator_config)?;
        let broker = Program::start(BROKER, folder, &broker_config)?;
        let client_config = ClientConfig {
            request_timeout: session.common.timeout.max(PATIENCE),
            clock: session.clock,
            ..ClientConfig::new(vec![broker_at.to_string()])
        };
        Ok(Self { folder, broker_config, broker, client_config, _coordinator: coordinator })
    }

    /// A client, once the broker answers and may lead.
    async fn client(&self) -> Result<Client, Failure> {
        let connecting = async {
            loop {
                match Client::connect(self.client_config.clone()).await {
                    Ok(client) => return client,
                    Err(_not_there_yet) => sleep(ASK_AGAIN).await,
                }
            }
        };
        let late = |_elapsed| Failure::new(Exit::Unreachable, "the broker does not answer");
        let client = timeout(GIVE_UP, connecting).await.map_err(late)?;
        serving(client.clone(), GIVE_UP).await?;
        Ok(client)
    }

    /// Kills the broker and starts it again.
    async fn kill_and_start(self) -> Result<Self, Failure> {
        self.broker.kill().await?;
        let broker = Program::start(BROKER, self.folder, &self.broker_config)?;
        Ok(Self { broker, ..self })
    }

    /// What the broker takes while nobody asks it for anything.
    async fn at_rest(&self, idle: Duration, session: &Session) -> Result<AtRest, Failure> {
        let server = Server::Process(self.broker.pid());
        let (begun, before) = (session.clock.monotonic(), CpuTime::read(&server)?);
        sleep(idle).await;
        let spent = CpuTime::read(&server)? - before;
        let passed = session.clock.monotonic().saturating_sub(begun);
        let Resources { resident_bytes, open_files } = Resources::of(self.broker.pid())?;
        let cpu_share = spent.server.unwrap_or_default().as_secs_f64() / passed.as_secs_f64();
        Ok(AtRest { resident_bytes, open_files, cpu_share })
    }
}

const BROKER: &str = "dohle-broker";

async fn measure(
    lab: Lab<'_>,
    many: &Partitions,
    work: &Work,
    session: &Session,
) -> Result<Report, Failure> {
    let clock = session.clock;
    let client = lab.client().await?;
    let begun = clock.monotonic();
    let mut topics = Vec::new();
    let mut left = many.count;
    while 0 < left {
        let partitions = left.min(OF_A_TOPIC);
        let made =
            Topic::of_many(client.clone(), work.clone(), Durability::PageCache, partitions).await?;
        topics.push(made);
        left -= partitions;
    }
    until_all_tell_their_end(&topics, 0).await?;
    let creation_seconds = seconds(clock.monotonic().saturating_sub(begun));
    one_record_each(&client, &topics, work).await?;
    let at_rest = lab.at_rest(many.idle, session).await?;
    let lab = lab.kill_and_start().await?;
    let begun = clock.monotonic();
    until_all_tell_their_end(&topics, many.count.into()).await?;
    let restart_seconds = seconds(clock.monotonic().saturating_sub(begun));
    let at_rest_again = lab.at_rest(many.idle, session).await?;
    Ok(Report {
        partitions: many.count,
        creation_seconds,
        at_rest,
        restart_seconds,
        restart_gate_seconds: seconds(GATE),
        at_rest_again,
    })
}

async fn one_record_each(client: &Client, topics: &[Topic], work: &Work) -> Result<(), Failure> {
    let producer = client.producer(producer_config(work))?;
    for topic in topics {
        for partition in topic.numbers() {
            // What is not delivered shows when everything is flushed.
            drop(producer.send(topic.record_for(partition, work)).await?);
        }
    }
    Ok(producer.flush().await?)
}

/// Waits until every partition is led, and makes sure that together they hold so many records.
async fn until_all_tell_their_end(topics: &[Topic], records: u64) -> Result<(), Failure> {
    let asking = async {
        let mut found = 0;
        for topic in topics {
            found += loop {
                match topic.records().await {
                    Ok(records) => break records,
                    Err(failure) if is_to_come(&failure) => sleep(ASK_AGAIN).await,
                    Err(failure) => return Err(failure),
                }
            };
        }
        Ok(found)
    };
    let late = |_elapsed| Failure::new(Exit::Unreachable, "not every partition is led");
    let found: u64 = timeout(GIVE_UP, asking).await.map_err(late)??;
    if found == records {
        Ok(())
    } else {
        Err(unexpected(&format!("{records} records were acknowledged and {found} are there")))
    }
}

/// A broker that has just started leads nothing yet, and may not have heard of a topic.
fn is_to_come(failure: &Failure) -> bool {
    matches!(failure.exit(), Exit::Unreachable | Exit::NotFound)
}

/// An address that nobody has at the moment: a broker is to have the same one in its next life.
fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A string as TOML writes it. JSON's escapes are among TOML's.
fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

impl Show for Report {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new(["BROKER", "SECONDS", "RESIDENT", "OPEN FILES", "CPU AT REST"]);
        let lives = [
            ("made", self.creation_seconds, self.at_rest),
            ("killed and started", self.restart_seconds, self.at_rest_again),
        ];
        for (life, seconds, AtRest { resident_bytes, open_files, cpu_share }) in lives {
            table.row([
                life.to_owned(),
                format!("{seconds:.2}"),
                format!("{} MiB", resident_bytes >> 20),
                open_files.to_string(),
                format!("{:.1} % of a core", 100.0 * cpu_share),
            ]);
        }
        vec![table]
    }
}
