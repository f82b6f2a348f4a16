use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::registry::{RegistryClient, RegistryError};
use client::{Client, ClientConfig, ClientError};
use daemon::clock::Clock;
use daemon::http::Door;
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};
use types::{Timestamp, TopicName};

use super::config::{Config, ConfigError, Plan};
use super::tally::{Ended, Tally};
use crate::platform::{RegistrySchemas, TopicSource};
use crate::report::Report;
use crate::run::{Settings, Sink};
use crate::store::{FileStore, HdfsStore, LakePlace, LocalStore};

/// Longest sleep between two looks at the clock: it may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Why a scheduled sink could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Load(#[from] daemon::config::ConfigError),
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The registry's address is none.
    #[error("registry: {0}")]
    Registry(#[from] RegistryError),
    /// The port for health and metrics is taken, or the address is not this host's.
    #[error("cannot tell health and metrics on {listen}: {source}; choose another `http_listen`")]
    Probes {
        /// Where.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Why it ended early.
#[derive(Debug, Error)]
pub enum RunError {
    /// Health and metrics cannot be told any more.
    #[error("the HTTP socket for health and metrics failed: {0}")]
    Probes(#[source] io::Error),
    /// The task that tells them died.
    #[error("the task that tells health and metrics died: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// No run will ever be due.
    #[error("no further run is due by the schedule")]
    Over,
}

/// A sink that holds its port and can run.
#[derive(Debug)]
pub struct App {
    config: Config,
    plan: Plan,
    registry: RegistryClient,
    probes: Door,
    clock: Clock,
}

impl Config {
    /// Checks the configuration and takes the port. Neither brokers, registry nor lake are asked for
    /// anything yet: a run that finds one missing fails, and the next one is due by the schedule.
    ///
    /// # Errors
    ///
    /// [`BuildError`] says what to change.
    pub fn build(self) -> Result<App, BuildError> {
        let plan = self.plan()?;
        let timeout = Duration::from_millis(self.request_timeout_ms.into());
        let registry = RegistryClient::with_timeout(&self.registry, timeout)?;
        let listen = self.http_listen;
        let probes = Door::bind(listen).map_err(|source| BuildError::Probes { listen, source })?;
        Ok(App { config: self, plan, registry, probes, clock: Clock::new() })
    }
}

impl daemon::Service for App {
    type Error = RunError;

    async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        Self::run(self, shutdown).await
    }
}

impl App {
    /// Runs when runs are due, until `shutdown`: a run under way ends before its commit, or
    /// publishes the commit that it has made.
    ///
    /// # Errors
    ///
    /// [`RunError`]: it cannot go on.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self { config, plan, registry, probes, clock } = self;
        let tally = Arc::new(Tally::default());
        info!(
            service = "sink", http = %probes.address(), lake = config.lake,
            schedule = config.schedule, topics = config.topics.join(","), "scheduled"
        );
        let telling = probes.serve("sink", Arc::clone(&tally) as _, shutdown.clone());
        let telling = AbortOnDropHandle::new(tokio::spawn(telling));
        let runs = Runs { config, plan, registry, clock, tally, stop: shutdown.clone() };
        let outcome = runs.keep().await;
        shutdown.cancel();
        telling.await?.map_err(RunError::Probes)?;
        outcome
    }
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The time has come.
    Due,
    /// The clock went back: what is due is to be counted anew.
    SetBack,
    /// The process is to end.
    Stopped,
}

struct Runs {
    config: Config,
    plan: Plan,
    registry: RegistryClient,
    clock: Clock,
    tally: Arc<Tally>,
    stop: CancellationToken,
}

impl Runs {
    async fn keep(&self) -> Result<(), RunError> {
        let mut last = self.clock.now();
        if self.config.run_at_start {
            self.round().await;
        }
        while !self.stop.is_cancelled() {
            // Times that passed during a run are passed over; an interval counts on from the last.
            let now = self.clock.now();
            let mut due = self.plan.schedule.next_after(last).ok_or(RunError::Over)?;
            if due < now {
                due = self.plan.schedule.next_after(now).ok_or(RunError::Over)?;
            }
            last = due;
            let begin = due.as_millis().saturating_add(self.jitter());
            match self.until(Timestamp::from_millis(begin)).await {
                Wait::Due => self.round().await,
                Wait::SetBack => last = self.clock.now(),
                Wait::Stopped => {}
            }
        }
        Ok(())
    }

    /// Some milliseconds within the jitter.
    fn jitter(&self) -> i64 {
        let span = u64::from(self.config.jitter_seconds).saturating_mul(1000);
        // Without random bytes all begin at their time.
        let drawn = getrandom::u64().unwrap_or_default();
        let within = drawn.checked_rem(span.saturating_add(1)).unwrap_or_default();
        i64::try_from(within).unwrap_or_default()
    }

    /// Waits until `due`, unless something else comes first.
    async fn until(&self, due: Timestamp) -> Wait {
        let mut seen = self.clock.now();
        loop {
            let now = self.clock.now();
            if now < seen {
                return Wait::SetBack;
            }
            seen = now;
            let left = Duration::from_millis(due.millis_since(now));
            if self.stop.is_cancelled() {
                return Wait::Stopped;
            }
            if left.is_zero() {
                return Wait::Due;
            }
            // Cut short by the end of the process.
            let _slept = self.stop.run_until_cancelled(sleep(left.min(LOOK_AGAIN))).await;
        }
    }

    /// One run over each topic.
    async fn round(&self) {
        for topic in &self.plan.topics {
            if self.stop.is_cancelled() {
                return;
            }
            let began = self.clock.monotonic();
            let outcome = self.land(topic).await;
            let took = self.clock.monotonic().saturating_sub(began);
            self.note(topic, outcome, took);
        }
    }

    /// How long a first answer is waited for.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.config.request_timeout_ms.into())
    }

    async fn land(&self, topic: &TopicName) -> Result<Report, LandError> {
        let config = ClientConfig {
            request_timeout: self.patience(),
            clock: self.clock,
            ..ClientConfig::new(&self.config.bootstrap_servers)
        };
        let connecting = self.stop.run_until_cancelled(Client::connect(config)).await;
        let client = connecting.ok_or(crate::RunError::Interrupted)??;
        match &self.plan.lake {
            LakePlace::Local(root) => self.land_in(LocalStore::new(root), client, topic).await,
            LakePlace::Hdfs(url) => {
                let connecting = HdfsStore::connect(url.clone(), self.patience());
                let store = self.stop.run_until_cancelled(connecting).await;
                let store = store.ok_or(crate::RunError::Interrupted)?;
                let store = store.map_err(crate::RunError::from)?;
                self.land_in(store, client, topic).await
            }
        }
    }

    async fn land_in<S: FileStore>(
        &self,
        store: S,
        client: Client,
        topic: &TopicName,
    ) -> Result<Report, LandError> {
        let schemas = RegistrySchemas::new(self.registry.clone());
        let settings = Settings::usual(self.plan.partitioner.clone());
        let sink = Sink::new(store, TopicSource::new(client), schemas, settings, self.clock);
        let run_id = sink.new_run_id()?;
        Ok(sink.run(topic, run_id, &self.stop).await?)
    }

    fn note(&self, topic: &TopicName, outcome: Result<Report, LandError>, took: Duration) {
        let ms = took.as_millis();
        match outcome {
            Ok(report) => {
                let ended = self.tally.done(&report, self.clock.now(), took);
                let rows = report.committed.as_ref().map(|committed| committed.totals().rows);
                let run = &report.run_id;
                info!(%topic, %run, rows, ms, ended = ?ended, "run ended");
            }
            Err(LandError::Run(crate::RunError::Interrupted)) => {
                info!(%topic, ms, "run was stopped before its commit; the next one goes on");
            }
            Err(LandError::Run(failure)) if failure.is_fenced() => {
                warn!(%topic, ms, error = %failure, "another run was first");
                self.tally.failed(topic, Ended::Fenced, failure.to_string(), took);
            }
            Err(failure) => {
                let cause = &failure as &dyn std::error::Error;
                error!(%topic, ms, error = cause, "run failed; it is repeated by the schedule");
                self.tally.failed(topic, Ended::Failed, failure.to_string(), took);
            }
        }
    }
}

/// Why a run did not come to its end.
#[derive(Debug, Error)]
enum LandError {
    #[error("no broker can be reached: {0}")]
    Cluster(#[from] ClientError),
    #[error(transparent)]
    Run(#[from] crate::RunError),
}
