use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::ClusterId;
use daemon::clock::Clock;
use daemon::http::Door;
use disk::RealDisk;
use kv_store::{KvError, SledStore};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tracing::info;
use uuid::Uuid;
use wire::v1::coordinator::coordinator_service_server::CoordinatorServiceServer;
use wire::v1::tree::tree_service_server::TreeServiceServer;

use crate::config::{Config, ConfigError};
use crate::controller::{Controller, Feeds, Settings};
use crate::driver::{Driver, Mailbox};
use crate::feed::Duty;
use crate::raft::{RaftError, Recovery, Replica};
use crate::rpc::{Leases, Rpc, TreeRpc};
use crate::tree_feed::TreeFeed;
use crate::vitals::CoordinatorVitals;
use crate::words::WordsDoor;

/// gRPC's names of the services, for their health.
const SERVICES: [&str; 2] =
    ["dohle.coordinator.v1.CoordinatorService", "dohle.tree.v1.TreeService"];

/// How long answers in progress may take once the end was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A coordinator that has recovered and is bound to its port.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    incoming: TcpIncoming,
    probes: Door,
    words: Option<WordsDoor>,
    driver: Driver,
    mailbox: Mailbox,
    feeds: Feeds,
    leases: Leases,
    advertised: String,
}

/// Why a coordinator could not start.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port is taken, or the address is not this host's.
    #[error("cannot listen on {address}: {source}; choose another address with `listen`")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// The port for health and metrics is taken, or the address is not this host's.
    #[error("cannot tell health and metrics on {address}: {source}; choose another `http_listen`")]
    Probes {
        /// Where it was to be.
        address: SocketAddr,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// The port for four-letter words is taken.
    #[error(
        "cannot answer four-letter words on {address}: {source}; choose another `zookeeper_port`"
    )]
    Words {
        /// Where it was to be.
        address: SocketAddr,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// The checkpoint store cannot be opened.
    #[error(transparent)]
    Store(#[from] KvError),
    /// The data directory does not make a member of a quorum.
    #[error(transparent)]
    Raft(#[from] RaftError),
    /// The system has no randomness, or no thread, to give.
    #[error("the system refuses what a coordinator needs")]
    System(#[source] io::Error),
}

/// Why a coordinator ended early.
#[derive(Debug, Error)]
pub enum RunError {
    /// It can take no further part in the quorum.
    #[error("the metadata log failed; nothing more is acknowledged")]
    Raft(#[from] RaftError),
    /// The loop panicked.
    #[error("the coordinator's loop panicked; this is a bug, restart it")]
    Panicked,
    /// Health and metrics cannot be told any more.
    #[error("the HTTP socket for health and metrics failed: {0}")]
    Probes(#[source] io::Error),
    /// Four-letter words cannot be answered any more.
    #[error("the socket for four-letter words failed: {0}")]
    Words(#[source] io::Error),
    /// The gRPC server failed.
    #[error("the gRPC server failed")]
    Server(#[from] tonic::transport::Error),
}

impl Config {
    /// Recovers the data directory, starts the loop and binds the port; nothing is answered yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`] says what stands in the way.
    pub fn build(self) -> Result<App, BuildError> {
        self.validate()?;
        let incoming = wire::transport::bind(self.listen)
            .map_err(|source| BuildError::Listen { address: self.listen, source })?;
        let address = incoming.local_addr().map_err(BuildError::System)?;
        let http_listen = self.http_listen();
        let probes = Door::bind(http_listen)
            .map_err(|source| BuildError::Probes { address: http_listen, source })?;
        let words = self.zookeeper_port.map(|port| {
            let address = SocketAddr::new(self.listen.ip(), port);
            WordsDoor::bind(address).map_err(|source| BuildError::Words { address, source })
        });
        let words = words.transpose()?;
        let clock = Clock::new();
        let [raft_id, directory_id, journal_mark, log_id, cluster_id] = random()?;
        let store = Arc::new(SledStore::open(self.data_dir.join("checkpoint"))?);
        let (replica, state) = Replica::open(Recovery {
            disk: RealDisk,
            dir: &self.data_dir,
            store,
            fresh: [raft_id, directory_id, journal_mark, log_id],
            now: clock.now(),
        })?;
        let feeds = Feeds::new(&state, self.feed_bytes);
        let settings = Settings {
            cluster_id: fresh_cluster_id(cluster_id),
            session_timeout: Duration::from_millis(self.session_timeout_ms.into()),
            tick: Duration::from_millis(self.tick_ms.into()),
            checkpoint_entries: self.checkpoint_entries,
        };
        let checkpoints = replica.checkpoints();
        let controller =
            Controller::new(replica, state, feeds.clone(), settings, clock.monotonic());
        let (driver, mailbox) = Driver::start(controller, checkpoints, self.queue, clock)
            .map_err(BuildError::System)?;
        let leases =
            Leases { session_timeout_ms: self.session_timeout_ms, lease_ms: self.lease_ms };
        let advertised = self.advertised.unwrap_or_else(|| address.to_string());
        Ok(App { address, incoming, probes, words, driver, mailbox, feeds, leases, advertised })
    }
}

impl App {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers four-letter words, if it does.
    pub fn zookeeper_address(&self) -> Option<SocketAddr> {
        self.words.as_ref().map(WordsDoor::address)
    }

    /// Serves until `shutdown` is cancelled, then answers what is in progress and returns. The
    /// data directory is free when it has returned.
    ///
    /// # Errors
    ///
    /// [`RunError`]: it ended early.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self {
            address,
            incoming,
            probes,
            words,
            mut driver,
            mailbox,
            feeds,
            leases,
            advertised,
        } = self;
        let Feeds { metadata: feed, tree } = feeds;
        let stop = shutdown.child_token();
        let halted = driver.halt.clone();
        let (health, health_service) = tonic_health::server::health_reporter();
        let answering = answer_words(words, mailbox.clone(), Arc::clone(&tree), halted.clone());
        let tree_rpc = TreeRpc::new(mailbox.clone(), Arc::clone(&tree), stop.clone());
        let rpc = Rpc::new(mailbox, Arc::clone(&feed), leases, advertised, stop.clone());
        let server = wire::transport::server()
            .add_service(CoordinatorServiceServer::new(rpc))
            .add_service(TreeServiceServer::new(tree_rpc))
            .add_service(health_service)
            .add_service(wire::transport::reflection())
            .add_service(wire::transport::reflection_v1alpha())
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        info!(service = "coordinator", %address, http = %probes.address(), "listening");
        let vitals = Arc::new(CoordinatorVitals { feed: Arc::clone(&feed), tree });
        let telling = probes.serve("coordinator", vitals, halted);
        let report_health = async {
            let mut changed = feed.subscribe();
            loop {
                let status = match feed.duty() {
                    Duty::Leading => ServingStatus::Serving,
                    Duty::Resting => ServingStatus::NotServing,
                };
                for service in SERVICES {
                    health.set_service_status(service, status).await;
                }
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let (ended, halt) = (&mut driver.ended, driver.halt.clone());
        let stop_with_driver = async {
            let outcome = ended.await;
            stop.cancel();
            outcome
        };
        // A client may hold a stream that never ends, such as a watch of the health.
        let drained = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        let serve_then_halt = async {
            let outcome = tokio::select! {
                outcome = server => outcome.map_err(RunError::from),
                () = report_health => Ok(()),
                () = drained => Ok(()),
                told = telling => told.map_err(RunError::Probes),
                told = answering => told.map_err(RunError::Words),
            };
            halt.cancel();
            outcome
        };
        let (transport, driven) = tokio::join!(serve_then_halt, stop_with_driver);
        // It has ended; what is left is to let go of its files. A panic has been seen above.
        tokio::task::spawn_blocking(|| driver.join()).await.ok();
        driven.map_err(|_gone| RunError::Panicked)??;
        transport
    }
}

impl daemon::Service for App {
    type Error = RunError;

    async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        Self::run(self, shutdown).await
    }
}

/// Answers four-letter words until `stop`, if there is a port for them.
async fn answer_words(
    door: Option<WordsDoor>,
    mailbox: Mailbox,
    tree: Arc<TreeFeed>,
    stop: CancellationToken,
) -> io::Result<()> {
    match door {
        Some(door) => {
            // Four-letter words, where ZooKeeper has them.
            info!(service = "zookeeper", address = %door.address(), "listening");
            door.serve(mailbox, tree, stop).await
        }
        None => std::future::pending().await,
    }
}

fn random() -> Result<[[u8; 16]; 5], BuildError> {
    let mut ids = [[0; 16]; 5];
    getrandom::fill(ids.as_flattened_mut())
        .map_err(|error| BuildError::System(io::Error::other(error)))?;
    Ok(ids)
}

/// A name that no other cluster has.
fn fresh_cluster_id(random: [u8; 16]) -> ClusterId {
    let text = Uuid::from_bytes(random).simple().to_string();
    #[expect(clippy::expect_used, reason = "32 hexadecimal digits are a cluster id")]
    ClusterId::new(&text).expect("hexadecimal digits are printable")
}
