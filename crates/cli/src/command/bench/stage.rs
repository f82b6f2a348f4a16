//! Where both sides perform: a folder on disk, and runtimes of their own for who asks and who
//! serves, so that each side's CPU time can be told apart.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{Client, ClientConfig};
use daemon::threads::beside_a_writer;
use measure::Server;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use types::Durability;

use super::plain::PlainServer;
use super::topic::Topic;
use crate::args::bench::Cluster;
use crate::exit::{Exit, Failure, with_causes};
use crate::session::Session;

/// The name of the threads whose CPU time is the client's. Linux keeps 15 bytes.
pub(super) const CLIENT_THREADS: &str = "bench-client";
const SERVER_THREADS: &str = "bench-server";

/// Between two looks at a cluster that starts.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// How long the removal of a topic may take, of a thousand partitions too.
const REMOVAL: Duration = Duration::from_mins(2);

/// How long a request may take at least: a disk that is kept busy on purpose answers late.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder that is removed at the end.
pub(super) struct Folder(TempDir);

impl Folder {
    /// Makes one in `parent`.
    ///
    /// # Errors
    ///
    /// `parent` does not exist or cannot be written to.
    pub(super) fn new(parent: &Path) -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix("dohle-bench-").tempdir_in(parent);
        made.map(Self).map_err(|error| {
            let message = format!("no data can be put in {}", parent.display());
            Failure::from(error).within(&message).next("bench append --dir /var/tmp")
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A runtime as a broker has it, which may be dropped anywhere.
struct Threads(Option<Runtime>);

impl Threads {
    fn new(name: &'static str) -> io::Result<Self> {
        Ok(Self(Some(beside_a_writer(name)?)))
    }

    /// Begins at once.
    fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T, Failure>> + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let running = self.0.as_ref().map(|runtime| runtime.spawn(work));
        async {
            let running =
                running.ok_or_else(|| Failure::new(Exit::Other, "the bench has ended"))?;
            running.await.map_err(|died| Failure::new(Exit::Other, died.to_string()))?
        }
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

/// A cluster, and room for a plain server.
pub(super) struct Stage {
    client: Client,
    client_config: ClientConfig,
    client_threads: Threads,
    server_threads: Threads,
    own: Option<OwnCluster>,
    server: Server,
    folder: PathBuf,
}

impl Stage {
    /// Starts a coordinator and a broker below `folder`, or finds the cluster that is running.
    ///
    /// # Errors
    ///
    /// They cannot start, or it cannot be reached.
    pub(super) async fn new(
        cluster: &Cluster,
        session: &Session,
        folder: &Folder,
    ) -> Result<Self, Failure> {
        let client_threads = Threads::new(CLIENT_THREADS)?;
        let server_threads = Threads::new(SERVER_THREADS)?;
        let (own, bootstrap) = if cluster.running {
            (None, session.common.bootstrap_server.clone())
        } else {
            let own = server_threads.run(OwnCluster::start(folder.path().to_owned())).await?;
            let bootstrap = vec![own.broker.to_string()];
            (Some(own), bootstrap)
        };
        let server = match (cluster.running, cluster.server_pid) {
            (false, _) => Server::BesideClient(CLIENT_THREADS),
            (true, Some(pid)) => Server::Process(pid),
            (true, None) => Server::Elsewhere,
        };
        let least = if cluster.running { Duration::ZERO } else { PATIENCE };
        let config = ClientConfig {
            request_timeout: session.common.timeout.max(least),
            clock: session.clock,
            ..ClientConfig::new(bootstrap)
        };
        let client_config = config.clone();
        let connecting = async { Ok(Client::connect(config).await?) };
        let client = client_threads
            .run(connecting)
            .await
            .map_err(|failure| failure.next_if(Exit::Unreachable, || "bench produce".to_owned()))?;
        let serving = serving(client.clone(), session.common.timeout);
        client_threads.run(serving).await?;
        let folder = folder.path().to_owned();
        Ok(Self { client, client_config, client_threads, server_threads, own, server, folder })
    }

    /// A client of the cluster, for use in [`on_client`](Self::on_client).
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// How to reach the cluster with another client.
    pub(super) const fn client_config(&self) -> &ClientConfig {
        &self.client_config
    }

    /// Whose CPU time the cluster's is.
    pub(super) fn server(&self) -> Server {
        self.server.clone()
    }

    /// Does something on the client's threads.
    ///
    /// # Errors
    ///
    /// What it returns, or that it died.
    pub(super) fn on_client<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, Failure>> + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.client_threads.run(work)
    }

    /// A plain server with an empty file, on the server's threads.
    ///
    /// # Errors
    ///
    /// It has no port or no file.
    pub(super) async fn plain_server(
        &self,
        durability: Durability,
    ) -> Result<PlainServer, Failure> {
        let file = self.folder.join("plain");
        self.server_threads.run(PlainServer::start(file, durability)).await
    }

    /// Removes a topic and waits until nothing is left of it, nor any file of it open: to remove a
    /// large file keeps a disk busy, and to free what the system holds of it a processor; neither must
    /// fall into the turn to come. Of a running cluster that cannot be seen.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer, the data directory cannot be read, or something stays
    /// in it.
    pub(super) async fn remove(&self, topic: Topic) -> Result<(), Failure> {
        let id = topic.id.to_string();
        self.on_client(topic.delete()).await?;
        let Some(own) = &self.own else { return Ok(()) };
        let emptying = async {
            while holds(&own.data, &id)? || is_open(&id)? {
                sleep(ASK_AGAIN).await;
            }
            Ok(())
        };
        let late = |_elapsed| Failure::new(Exit::Other, "a deleted topic stays on the disk");
        timeout(REMOVAL, emptying).await.map_err(late)?
    }

    /// Stops what was started.
    ///
    /// # Errors
    ///
    /// It did not end well.
    pub(super) async fn end(self) -> Result<(), Failure> {
        match self.own {
            Some(own) => own.stop().await,
            None => Ok(()),
        }
    }
}

/// Waits until a broker may lead: one that has just started is not known to the coordinator yet.
pub(super) async fn serving(client: Client, limit: Duration) -> Result<(), Failure> {
    let admin = client.admin();
    let asking = async {
        while !admin.describe_cluster().await?.brokers.iter().any(cluster::Broker::is_alive) {
            sleep(ASK_AGAIN).await;
        }
        Ok(())
    };
    let late =
        |_elapsed| Failure::new(Exit::Unreachable, "no broker serves").next("cluster health");
    timeout(limit, asking).await.map_err(late)?
}

/// A coordinator and a broker in this process.
struct OwnCluster {
    broker: SocketAddr,
    /// Where the broker keeps a folder for each partition.
    data: PathBuf,
    /// The broker's first: it tells the coordinator that it leaves.
    running: [(CancellationToken, JoinHandle<Result<(), String>>); 2],
}

impl OwnCluster {
    async fn start(folder: PathBuf) -> Result<Self, Failure> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let coordinator = coordinator::Config {
            listen,
            data_dir: folder.join("coordinator"),
            ..coordinator::Config::default()
        };
        let coordinator = coordinator.build().map_err(|error| refused(&error))?;
        let data = folder.join("broker");
        let broker = broker::Config {
            listen,
            data_dir: data.clone(),
            coordinators: vec![coordinator.address().to_string()],
            ..broker::Config::default()
        };
        let broker = broker.build().await.map_err(|error| refused(&error))?;
        let address = broker.address();
        let running = [spawn(|stop| broker.run(stop)), spawn(|stop| coordinator.run(stop))];
        Ok(Self { broker: address, data, running })
    }

    async fn stop(self) -> Result<(), Failure> {
        let mut first = Ok(());
        for (stop, task) in self.running {
            stop.cancel();
            let ended = task.await.unwrap_or_else(|died| Err(died.to_string()));
            first = first.and(ended);
        }
        first.map_err(|error| Failure::new(Exit::Other, error))
    }
}

/// Whether a folder is there that is named for this topic, put aside to be removed or not.
fn holds(directory: &Path, topic_id: &str) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        if entry?.file_name().to_string_lossy().contains(topic_id) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether this process has a file open that is named for this topic: the broker is a part of it, and
/// lets go of removed files last. Where a system does not tell, nothing is known to be.
fn is_open(topic_id: &str) -> io::Result<bool> {
    let descriptors = match fs::read_dir("/proc/self/fd") {
        Ok(descriptors) => descriptors,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for descriptor in descriptors {
        // One may be closed meanwhile.
        if let Ok(file) = fs::read_link(descriptor?.path())
            && file.to_string_lossy().contains(topic_id)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn spawn<E, F>(
    run: impl FnOnce(CancellationToken) -> F,
) -> (CancellationToken, JoinHandle<Result<(), String>>)
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    let stop = CancellationToken::new();
    let serving = run(stop.clone());
    let task = tokio::spawn(async move { serving.await.map_err(|error| with_causes(&error)) });
    (stop, task)
}

fn refused(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Other, format!("no cluster could be started: {}", with_causes(error)))
}
