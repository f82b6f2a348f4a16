use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::config::TopicConfigs;
use cluster::{Endpoint, Incarnation, Registration};
use commit_log::{
    Damage, Directory, DirectoryConfig, DirectoryError, JournalConfig, Recovered, RecoveredLog,
};
use daemon::clock::Clock;
use daemon::http::Door;
use disk::RealDisk;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::TcpIncoming;
use tracing::{error, info, warn};
use types::{BrokerId, DirectoryId};

use crate::config::{Config, ConfigError};
use crate::coordinator::Coordinators;
use crate::directory::{DirectoryQueue, Writer, WriterGone};
use crate::home::Home;
use crate::housekeeping::Housekeeping;
use crate::identity::random_id;
use crate::lease::{Lease, LeaseView};
use crate::metadata::{Follower, Found, Lost, Surroundings, watch_metadata};
use crate::open_files;
use crate::partitions::{Partitions, View};
use crate::scrubbing::{Background, Scrubs};
use crate::server::{Drain, Resources, Server};
use crate::session::{Session, SessionError};
use crate::vitals::BrokerVitals;

/// How long requests that are under way may take to finish when the broker stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Why a broker could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Load(#[from] daemon::config::ConfigError),
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port is taken, or the address is not this host's.
    #[error("cannot listen on {listen}: {source}; choose another address with `listen`")]
    Bind {
        /// Where.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The port for health and metrics is taken, or the address is not this host's.
    #[error("cannot tell health and metrics on {listen}: {source}; choose another `http_listen`")]
    Probes {
        /// Where.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The system has no random numbers to give.
    #[error("no random bytes: {0}")]
    Random(#[source] io::Error),
    /// Recovery of the data directory died.
    #[error("recovery of the data directory died: {0}")]
    Recovery(#[source] JoinError),
}

/// Why a broker ended early.
#[derive(Debug, Error)]
pub enum RunError {
    /// It cannot be part of the cluster.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The server failed.
    #[error("the server failed: {0}")]
    Server(#[from] tonic::transport::Error),
    /// Health and metrics cannot be told any more.
    #[error("the HTTP socket for health and metrics failed: {0}")]
    Probes(#[source] io::Error),
    /// There is no thread for the writer.
    #[error("the writer of the data directory could not be started: {0}")]
    Writer(#[source] io::Error),
    /// The writer died.
    #[error("the writer of the data directory died; its last words are in the log")]
    WriterDied,
    /// A task died.
    #[error("a task of the broker died: {0}")]
    Task(#[from] JoinError),
}

/// A broker that holds its port and its data directory, and can run.
#[derive(Debug)]
pub struct App {
    config: Config,
    address: SocketAddr,
    incoming: TcpIncoming,
    probes: Door,
    registration: Registration,
    directory: Directory<RealDisk>,
    /// What holds for topics that do not say otherwise.
    topic_defaults: TopicConfigs,
    clock: Clock,
}

impl Config {
    /// Takes the port and the data directory, and recovers what lies there.
    ///
    /// # Errors
    ///
    /// [`BuildError`] says what to change.
    pub async fn build(mut self) -> Result<App, BuildError> {
        self.validate()?;
        let topic_defaults = self.topic_defaults()?;
        open_files::prepare(&mut self.limits);
        let listen = self.listen;
        let bind_error = |source| BuildError::Bind { listen, source };
        let incoming = wire::transport::bind(listen).map_err(bind_error)?;
        let address = incoming.local_addr().map_err(bind_error)?;
        let (host, port) = self.advertised(address)?;
        let listen = self.http_listen();
        let probes = Door::bind(listen).map_err(|source| BuildError::Probes { listen, source })?;
        let clock = Clock::new();
        let directory = open(self.data_dir.clone(), self.journal(), clock).await?;
        let registration = Registration {
            broker: BrokerId::new(self.broker_id),
            endpoint: Endpoint { host, port },
            rack: self.rack.clone(),
            incarnation: Incarnation::from_bytes(random_id().map_err(BuildError::Random)?),
            directory: directory.id(),
        };
        let config = self;
        Ok(App {
            config,
            address,
            incoming,
            probes,
            registration,
            directory,
            topic_defaults,
            clock,
        })
    }
}

async fn open(
    path: PathBuf,
    journal: Option<JournalConfig>,
    clock: Clock,
) -> Result<Directory<RealDisk>, BuildError> {
    let fresh_id = DirectoryId::from_bytes(random_id().map_err(BuildError::Random)?);
    let recovery = move || {
        let config = DirectoryConfig { journal, ..DirectoryConfig::default() };
        Ok(Directory::open(RealDisk, &path, config, fresh_id, clock.now())?)
    };
    tokio::task::spawn_blocking(recovery).await.map_err(BuildError::Recovery)?
}

impl daemon::Service for App {
    type Error = RunError;

    async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        Self::run(self, shutdown).await
    }
}

impl App {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then drains: no new connections, requests under way finish, the
    /// coordinator is told, the log is synced and the directory's lock released.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the broker could not go on.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let found = found(&self.directory);
        let limits = &self.config.limits;
        let (directory, writer) =
            Writer::start(self.directory, self.clock, limits.directory_queue, limits.group_commit)
                .map_err(RunError::Writer)?;
        let address = self.address;
        info!(service = "broker", broker = %self.registration.broker, %address, http = %self.probes.address(), "listening");
        let Self { config, incoming, probes, registration, clock, topic_defaults, .. } = self;
        let running =
            Running::start(&config, topic_defaults, registration, clock, directory, found);
        let served = running.serve(incoming, probes, shutdown).await;
        // Every queue is dropped by now: the writer finishes what it has and ends.
        let joined = tokio::task::spawn_blocking(|| writer.join()).await?;
        served?;
        joined.map_err(|WriterGone| RunError::WriterDied)
    }
}

/// What recovery found. What it had to cut, or found missing, is reported.
fn found(directory: &Directory<RealDisk>) -> Found {
    let mut found = Found::default();
    let journal = directory.journal_found();
    if journal.is_damaged {
        error!(entries = journal.entries, "journal of the data directory is damaged");
    }
    for RecoveredLog { log, outcome } in directory.recovered() {
        match outcome {
            Recovered::Usable { torn_tail, end, replayed, .. } => {
                if *replayed > 0 {
                    info!(log = %log, batches = replayed, end = %end, "journal was replayed");
                }
                if let Some(tail) = torn_tail {
                    warn!(log = %log, bytes = tail.bytes, end = %end, "torn tail was cut");
                }
                found.usable.extend(directory.reader(*log).map(|reader| (*log, reader)));
            }
            Recovered::Damaged(damage) => {
                let Damage { path, lost_from, .. } = damage;
                error!(log = %log, file = %path.display(), lost_from = %lost_from, "log is damaged");
                found.damaged.insert(*log, Lost { path: path.clone(), from: *lost_from });
            }
        }
    }
    found
}

/// The tasks of a broker, and what ends them.
struct Running {
    server: Server,
    session: AbortOnDropHandle<Result<(), SessionError>>,
    metadata: AbortOnDropHandle<()>,
    housekeeping: AbortOnDropHandle<()>,
    vitals: BrokerVitals,
    scrubbing: AbortOnDropHandle<()>,
    /// Begins first: requests end.
    drain: Drain,
    /// Cancelled once requests have ended: leaderships end, the coordinator is told.
    leaving: CancellationToken,
}

impl Running {
    fn start(
        config: &Config,
        topic_defaults: TopicConfigs,
        registration: Registration,
        clock: Clock,
        directory: DirectoryQueue,
        found: Found,
    ) -> Self {
        let drain = Drain::default();
        let leaving = CancellationToken::new();
        let coordinators = Arc::new(Coordinators::new(config.coordinators.clone()));
        let (lease, lease_seen) = watch::channel(Lease::default());
        let (registered, floor) = watch::channel(None);
        let (view, view_seen) = watch::channel(Arc::new(View::default()));
        let lease_view = LeaseView::new(lease_seen, clock);
        let own_id = registration.broker;
        let partitions = Partitions::new(own_id, view_seen.clone(), lease_view.clone());
        let session = Session {
            coordinators: Arc::clone(&coordinators),
            registration,
            home: Home::new(config.data_dir.clone()),
            lease,
            registered,
            view: view_seen,
            clock,
        };
        let surroundings = Surroundings {
            own_id,
            directory: directory.clone(),
            lease: lease_view.clone(),
            clock,
            partition_queue: config.limits.partition_queue,
            topic_defaults: topic_defaults.clone(),
        };
        let follower = Follower::new(surroundings, found, view);
        let retention_interval =
            Duration::from_millis(u64::from(config.log_retention_check_interval_ms));
        let for_requests = directory.downgrade();
        let scrubs = Scrubs::new(clock, for_requests.clone(), config.log_scrub_bytes_per_second);
        let scrubbing = Background::new(
            scrubs.clone(),
            partitions.clone(),
            config.data_dir.clone(),
            config.scrub_interval(),
        );
        let house = Housekeeping { directory, partitions: partitions.clone(), clock };
        let housekeeping = house.keep(retention_interval, leaving.clone());
        let resources = Resources {
            partitions,
            coordinators: Arc::clone(&coordinators),
            directory: for_requests,
            lease: lease_view,
            clock,
            topic_defaults,
            scrubs,
        };
        let vitals = BrokerVitals {
            partitions: resources.partitions.clone(),
            lease: resources.lease.clone(),
            draining: drain.draining.clone(),
        };
        let server = Server::new(config, resources, drain.clone());
        let metadata = watch_metadata(follower, coordinators, floor, leaving.clone());
        Self {
            server,
            session: AbortOnDropHandle::new(tokio::spawn(session.run(leaving.clone()))),
            metadata: AbortOnDropHandle::new(tokio::spawn(metadata)),
            housekeeping: AbortOnDropHandle::new(tokio::spawn(housekeeping)),
            vitals,
            scrubbing: AbortOnDropHandle::new(tokio::spawn(scrubbing.keep(leaving.clone()))),
            drain,
            leaving,
        }
    }

    async fn serve(
        mut self,
        incoming: TcpIncoming,
        probes: Door,
        shutdown: CancellationToken,
    ) -> Result<(), RunError> {
        let Drain { draining, tasks } = self.drain;
        let mut serving = Box::pin(self.server.run(incoming));
        // To the end, so that whoever probes hears that the broker is going away.
        let probes = probes.serve("broker", Arc::new(self.vitals), self.leaving.clone());
        let mut probes = AbortOnDropHandle::new(tokio::spawn(probes));
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = &mut serving => ended.map_err(RunError::from),
            session = &mut self.session => match session {
                Ok(ended) => ended.map_err(RunError::from),
                Err(died) => Err(died.into()),
            },
            told = &mut probes => Err(match told {
                Ok(ended) => RunError::Probes(ended.err().unwrap_or_else(|| {
                    io::Error::other("it ended by itself")
                })),
                Err(died) => died.into(),
            }),
            // It goes on for as long as there is a writer.
            _ = &mut self.housekeeping => Err(RunError::WriterDied),
        };
        draining.cancel();
        tasks.close();
        let drained = async {
            if ended.is_ok() {
                serving.await?;
            }
            tasks.wait().await;
            Ok::<(), tonic::transport::Error>(())
        };
        match timeout(DRAIN, drained).await {
            Ok(drained) => drained?,
            Err(_elapsed) => warn!("requests were cut off: they did not finish in time"),
        }
        self.leaving.cancel();
        if ended.is_ok() {
            self.session.await??;
        }
        // It notes down where it is: before the directory may be another process's.
        self.scrubbing.await?;
        if ended.is_ok() {
            self.housekeeping.await?;
        }
        self.metadata.await?;
        ended
    }
}
