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

use crate::config::{Config, ConfigError};
use crate::controller::{Controller, Settings};
use crate::driver::{Driver, Mailbox};
use crate::feed::{Duty, Feed};
use crate::raft::{RaftError, Recovery, Replica};
use crate::rpc::{Leases, Rpc};
use crate::vitals::CoordinatorVitals;

/// gRPC's name of the service, for its health.
const SERVICE: &str = "dohle.coordinator.v1.CoordinatorService";

/// How long answers in progress may take once the end was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A coordinator that has recovered and is bound to its port.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    incoming: TcpIncoming,
    probes: Door,
    driver: Driver,
    mailbox: Mailbox,
    feed: Arc<Feed>,
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
        let clock = Clock::new();
        let [raft_id, directory_id, log_id, cluster_id] = random()?;
        let store = Arc::new(SledStore::open(self.data_dir.join("checkpoint"))?);
        let (replica, state) = Replica::open(Recovery {
            disk: RealDisk,
            dir: &self.data_dir,
            store,
            fresh: [raft_id, directory_id, log_id],
            now: clock.now(),
        })?;
        let feed = Arc::new(Feed::new(state.image().clone(), self.feed_bytes));
        let settings = Settings {
            cluster_id: fresh_cluster_id(cluster_id),
            session_timeout: Duration::from_millis(self.session_timeout_ms.into()),
            tick: Duration::from_millis(self.tick_ms.into()),
            checkpoint_entries: self.checkpoint_entries,
        };
        let checkpoints = replica.checkpoints();
        let controller =
            Controller::new(replica, state, Arc::clone(&feed), settings, clock.monotonic());
        let (driver, mailbox) = Driver::start(controller, checkpoints, self.queue, clock)
            .map_err(BuildError::System)?;
        let leases =
            Leases { session_timeout_ms: self.session_timeout_ms, lease_ms: self.lease_ms };
        let advertised = self.advertised.unwrap_or_else(|| address.to_string());
        Ok(App { address, incoming, probes, driver, mailbox, feed, leases, advertised })
    }
}

impl App {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled, then answers what is in progress and returns. The
    /// data directory is free when it has returned.
    ///
    /// # Errors
    ///
    /// [`RunError`]: it ended early.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self { address, incoming, probes, mut driver, mailbox, feed, leases, advertised } =
            self;
        let stop = shutdown.child_token();
        let halted = driver.halt.clone();
        let (health, health_service) = tonic_health::server::health_reporter();
        let rpc = Rpc::new(mailbox, Arc::clone(&feed), leases, advertised, stop.clone());
        let server = wire::transport::server()
            .add_service(CoordinatorServiceServer::new(rpc))
            .add_service(health_service)
            .add_service(wire::transport::reflection())
            .add_service(wire::transport::reflection_v1alpha())
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        info!(service = "coordinator", %address, http = %probes.address(), "listening");
        let vitals = Arc::new(CoordinatorVitals { feed: Arc::clone(&feed) });
        let telling = probes.serve("coordinator", vitals, halted);
        let report_health = async {
            let mut changed = feed.subscribe();
            loop {
                let status = match feed.duty() {
                    Duty::Leading => ServingStatus::Serving,
                    Duty::Resting => ServingStatus::NotServing,
                };
                health.set_service_status(SERVICE, status).await;
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

fn random() -> Result<[[u8; 16]; 4], BuildError> {
    let mut ids = [[0; 16]; 4];
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
