use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::config::TopicConfigs;
use cluster::{Endpoint, Incarnation, ListenerName, Registration};
use commit_log::{
    Damage, Directory, DirectoryConfig, Fresh, JournalFound, Recovered, RecoveredLog,
};
use daemon::clock::Clock;
use daemon::http::Door;
use disk::RealDisk;
use futures::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};
use types::BrokerId;
use wire::bounds::Entrance;

use crate::config::Config;
use crate::coordinator::Coordinators;
use crate::directory::{DirectoryQueue, Ended, Signals, Writer, WriterGone};
use crate::disk_space::{DiskKeeper, DiskState, full_seen};
use crate::failure::{BuildError, RunError};
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

/// A broker that holds its port and its data directory, and can run.
#[derive(Debug)]
pub struct App {
    config: Config,
    address: SocketAddr,
    entrances: Vec<Entrance>,
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
        let Bound { entrances, address, endpoint, listeners } = self.bind()?;
        let listen = self.http_listen();
        let probes = Door::bind(listen).map_err(|source| BuildError::Probes { listen, source })?;
        let clock = Clock::new();
        let directory = open(self.data_dir.clone(), self.directory_config()?, clock).await?;
        let registration = Registration {
            broker: BrokerId::new(self.broker_id),
            endpoint,
            listeners,
            rack: self.rack.clone(),
            incarnation: Incarnation::from_bytes(random_id().map_err(BuildError::Random)?),
            directory: directory.id(),
        };
        let config = self;
        Ok(App {
            config,
            address,
            entrances,
            probes,
            registration,
            directory,
            topic_defaults,
            clock,
        })
    }
}

/// The ports of a broker, and what others are told of them.
struct Bound {
    entrances: Vec<Entrance>,
    /// Of the first.
    address: SocketAddr,
    endpoint: Endpoint,
    listeners: BTreeMap<ListenerName, Endpoint>,
}

impl Config {
    fn bind(&self) -> Result<Bound, BuildError> {
        let listen = self.listen;
        let bind_error = |source| BuildError::Bind { listen, source };
        let incoming = wire::transport::bind(listen).map_err(bind_error)?;
        let address = incoming.local_addr().map_err(bind_error)?;
        let endpoint = self.advertised(address)?;
        let mut entrances = vec![Entrance { listener: None, incoming }];
        let mut listeners = BTreeMap::new();
        for (name, listener) in self.named_listeners()? {
            let listen = listener.listen;
            let bind_error =
                |source| BuildError::BindListener { name: name.clone(), listen, source };
            let incoming = wire::transport::bind(listen).map_err(bind_error)?;
            let told = listener.advertised(incoming.local_addr().map_err(bind_error)?)?;
            listeners.insert(name.clone(), told);
            entrances.push(Entrance { listener: Some(name), incoming });
        }
        Ok(Bound { entrances, address, endpoint, listeners })
    }
}

async fn open(
    path: PathBuf,
    config: DirectoryConfig,
    clock: Clock,
) -> Result<Directory<RealDisk>, BuildError> {
    let random = || random_id().map_err(BuildError::Random);
    let fresh = Fresh::from_random([random()?, random()?]);
    let recovery = move || Ok(Directory::open(RealDisk, &path, config, fresh, clock.now())?);
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
        let mut directory = self.directory;
        let found = found(&directory);
        let (ballast, full_seen) = (directory.ballast(), full_seen());
        let (tell_fence, fenced) = oneshot::channel();
        let signals = Signals { full_seen: full_seen.clone(), fenced: tell_fence };
        // Before the first record: a disk that is full already should not be filled to its end.
        let disk = DiskState::first(&ballast, &self.config.disk);
        directory.set_room(disk.room());
        let limits = &self.config.limits;
        let (queue, group) = (limits.directory_queue, limits.group_commit);
        let (queue, writer) = Writer::start(directory, self.clock, queue, group, signals)
            .map_err(RunError::Writer)?;
        let (state, disk) = watch::channel(disk);
        let keeper = DiskKeeper {
            ballast,
            limits: self.config.disk.clone(),
            directory: queue.downgrade(),
            state,
            seen: full_seen,
        };
        let storage = Storage { queue, found, keeper, disk };
        let address = self.address;
        info!(service = "broker", broker = %self.registration.broker, %address, http = %self.probes.address(), "listening");
        for (listener, advertised) in &self.registration.listeners {
            info!(service = "broker", %listener, %advertised, "listening as well");
        }
        let Self { config, entrances, probes, registration, clock, topic_defaults, .. } = self;
        let running = Running::start(&config, topic_defaults, registration, clock, storage);
        let served = running.serve(entrances, probes, fenced, shutdown).await;
        // Every queue is dropped by now, or will be once its place in it is used: the writer finishes
        // what it has and ends.
        match writer.join().await {
            // Whenever it happened, also while the broker stopped: nothing weighs more.
            Ok(Ended::Fenced(cause)) => Err(RunError::Fenced { directory: config.data_dir, cause }),
            Ok(Ended::Closed) => served,
            Ok(Ended::WithoutUpkeep | Ended::Untold) | Err(WriterGone) => {
                served.and(Err(RunError::WriterDied))
            }
        }
    }
}

/// What goes on until it is told to end, whatever is asked for.
fn in_background(
    metadata: impl Future<Output = ()> + Send + 'static,
    scrubbing: impl Future<Output = ()> + Send + 'static,
) -> JoinSet<&'static str> {
    let mut background = JoinSet::new();
    background.spawn(metadata.map(|()| "what follows the metadata"));
    background.spawn(scrubbing.map(|()| "what scrubs the logs"));
    background
}

/// What recovery found. What it had to cut, or found missing, is reported.
fn found(directory: &Directory<RealDisk>) -> Found {
    let mut found = Found::default();
    let journal = directory.journal_found();
    if 0 < journal.lost {
        let JournalFound { entries, lost } = journal;
        error!(entries, lost, "journal of the data directory lost entries that had been synced");
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

/// The data directory, as the tasks of a broker use it.
struct Storage {
    queue: DirectoryQueue,
    found: Found,
    keeper: DiskKeeper,
    disk: watch::Receiver<DiskState>,
}

/// The tasks of a broker, and what ends them.
struct Running {
    server: Server,
    session: AbortOnDropHandle<Result<(), SessionError>>,
    housekeeping: AbortOnDropHandle<()>,
    vitals: BrokerVitals,
    disk: AbortOnDropHandle<()>,
    /// What else goes on until it is told to end; each tells what it was.
    background: JoinSet<&'static str>,
    /// Begins first: requests end.
    drain: Drain,
    /// Cancelled once requests have ended: leaderships end, the coordinator is told.
    leaving: CancellationToken,
    /// Cancelled when the data directory is fenced: the broker is not well from then on.
    fenced: CancellationToken,
}

impl Running {
    fn start(
        config: &Config,
        topic_defaults: TopicConfigs,
        registration: Registration,
        clock: Clock,
        storage: Storage,
    ) -> Self {
        let Storage { queue: directory, found, keeper, disk } = storage;
        let drain = Drain::default();
        let (leaving, fenced) = (CancellationToken::new(), CancellationToken::new());
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
            topic_defaults: topic_defaults.clone(),
        };
        let follower = Follower::new(surroundings, found, view);
        let for_requests = directory.downgrade();
        let scrubs = Scrubs::new(clock, for_requests.clone(), config.log_scrub_bytes_per_second);
        let scrubbing = Background::new(
            scrubs.clone(),
            partitions.clone(),
            config.data_dir.clone(),
            config.scrub_interval(),
        );
        let house = Housekeeping { directory, partitions: partitions.clone(), clock };
        let housekeeping = house.keep(config.retention_interval(), leaving.clone());
        let resources = Resources {
            partitions,
            coordinators: Arc::clone(&coordinators),
            directory: for_requests,
            lease: lease_view,
            disk,
            fenced: fenced.clone(),
            clock,
            topic_defaults,
            scrubs,
        };
        let vitals = BrokerVitals {
            partitions: resources.partitions.clone(),
            lease: resources.lease.clone(),
            draining: drain.draining.clone(),
            fenced: fenced.clone(),
        };
        let server = Server::new(config, resources, drain.clone());
        let metadata = watch_metadata(follower, coordinators, floor, leaving.clone());
        let background = in_background(metadata, scrubbing.keep(leaving.clone()));
        Self {
            server,
            session: AbortOnDropHandle::new(tokio::spawn(session.run(leaving.clone()))),
            background,
            housekeeping: AbortOnDropHandle::new(tokio::spawn(housekeeping)),
            vitals,
            disk: AbortOnDropHandle::new(tokio::spawn(keeper.keep(leaving.clone()))),
            drain,
            leaving,
            fenced,
        }
    }

    async fn serve(
        mut self,
        entrances: Vec<Entrance>,
        probes: Door,
        fenced: oneshot::Receiver<()>,
        shutdown: CancellationToken,
    ) -> Result<(), RunError> {
        let Drain { draining, tasks } = self.drain;
        let mut serving = Box::pin(self.server.run(entrances));
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
            told = fenced => {
                if told.is_ok() {
                    self.fenced.cancel();
                }
                // What it was is known for certain once the writer has ended.
                Err(RunError::WriterDied)
            }
            // They go on for as long as there is a writer.
            _ = &mut self.housekeeping => Err(RunError::WriterDied),
            _ = &mut self.disk => Err(RunError::DiskKeeperDied),
            Some(over) = self.background.join_next() => Err(match over {
                Ok(task) => RunError::Ended { task },
                Err(died) => died.into(),
            }),
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
            self.housekeeping.await?;
            self.disk.await?;
        }
        // The scrubber notes down where it is: before the directory may be another process's.
        while let Some(over) = self.background.join_next().await {
            over?;
        }
        ended
    }
}
