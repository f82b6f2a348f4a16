//! Carries out what the metadata says: makes and removes logs, begins and ends leaderships, and
//! then lets requests see the new view.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use cluster::MetadataImage;
use cluster::config::TopicConfigs;
use commit_log::{LogConfig, LogKey};
use daemon::clock::Clock;
use futures::{StreamExt, stream};
use replication::Membership;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};
use types::{BrokerId, LeaderEpoch, Offset, Revision};

use crate::causes::with_causes;
use crate::directory::{DirectoryQueue, Log, LogChangeError};
use crate::lease::LeaseView;
use crate::partition::{Attendant, Leadership, Partition};
use crate::partitions::View;

mod duties;
mod watching;

use duties::{Duty, Lead, duties};
pub(crate) use watching::watch_metadata;

/// Owns what this broker holds and leads.
#[derive(Debug)]
pub(crate) struct Follower {
    own_id: BrokerId,
    directory: DirectoryQueue,
    lease: LeaseView,
    clock: Clock,
    topic_defaults: TopicConfigs,
    held: BTreeMap<LogKey, Held>,
    /// Logs that recovery found damaged. They are not touched until their topics are deleted.
    damaged: BTreeMap<LogKey, Lost>,
    followed: Followed,
    view: watch::Sender<Arc<View>>,
}

/// How much of the metadata was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    /// All of it.
    Wholly,
    /// All but what the disk refused.
    Partly,
}

/// What recovery found in the directory.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Logs that can be used.
    pub(crate) usable: Vec<(LogKey, Log)>,
    /// Logs that cannot.
    pub(crate) damaged: BTreeMap<LogKey, Lost>,
}

/// Where a log is damaged.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    /// The file, or the folder if a file is missing.
    pub(crate) path: PathBuf,
    /// First offset that is not there.
    pub(crate) from: Offset,
}

/// Logs that are made or removed together: enough to keep the disk busy, few enough to leave the
/// writer's queue to producers.
const CHANGED_AT_ONCE: usize = 256;

/// One log in the directory.
#[derive(Debug)]
struct Held {
    log: Log,
    /// As the writer was last told; `None` for a log that was found at the start.
    config: Option<LogConfig>,
    running: Option<Running>,
}

/// A leadership and its attendant.
#[derive(Debug)]
struct Running {
    partition: Arc<Partition>,
    lead: Lead,
    membership: watch::Sender<Membership>,
    stop: CancellationToken,
    attendant: AbortOnDropHandle<()>,
}

/// What a follower needs from the rest of the broker.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) own_id: BrokerId,
    pub(crate) directory: DirectoryQueue,
    pub(crate) lease: LeaseView,
    pub(crate) clock: Clock,
    /// What the broker was told for topics that do not say otherwise.
    pub(crate) topic_defaults: TopicConfigs,
}

impl Follower {
    /// Begins with the logs that were found in the directory.
    pub(crate) fn new(
        surroundings: Surroundings,
        found: Found,
        view: watch::Sender<Arc<View>>,
    ) -> Self {
        let Found { usable, damaged } = found;
        let Surroundings { own_id, directory, lease, clock, topic_defaults } = surroundings;
        let held = |log| Held { log, config: None, running: None };
        let held = usable.into_iter().map(|(key, log)| (key, held(log))).collect();
        let followed = Followed::Wholly;
        Self { own_id, directory, lease, clock, topic_defaults, held, damaged, followed, view }
    }

    /// The metadata that was last carried out.
    fn image(&self) -> MetadataImage {
        self.view.borrow().image.clone()
    }

    /// How much of it was.
    const fn followed(&self) -> Followed {
        self.followed
    }

    /// Its revision.
    fn revision(&self) -> Revision {
        self.view.borrow().image.revision()
    }

    /// Does what `image` asks of this broker, then publishes it. What the disk refuses is logged
    /// and left undone: follow the same metadata again, later.
    async fn follow(&mut self, image: MetadataImage) {
        let mut unusable = BTreeMap::new();
        let duties = duties(&image, self.own_id, &self.topic_defaults);
        self.followed = self.remove_all_but(&duties).await;
        let mut not_made = self.make_missing(&duties).await;
        for (key, duty) in duties {
            let done = match not_made.remove(&key) {
                Some(failure) => Err(failure),
                None => self.fulfil(key, &duty).await,
            };
            if let Err(failure) = done {
                error!(
                    error = &failure as &dyn std::error::Error,
                    topic = %duty.name.topic,
                    partition = %duty.name.partition,
                    "log could not be made or changed"
                );
                unusable.insert(duty.name, with_causes(&failure));
                self.followed = Followed::Partly;
            }
        }
        let led = self.held.values().filter_map(|held| held.running.as_ref());
        let led = led
            .map(|running| (running.partition.name().clone(), Arc::clone(&running.partition)))
            .collect();
        let before = self.view.send_replace(Arc::new(View { image, led, unusable }));
        // It may have the last hands on the files of logs that were deleted: once they are closed
        // the system frees all that they held, which takes long.
        spawn_blocking(move || drop(before)).await.ok();
    }

    /// Ends every leadership; all who wait are answered.
    async fn resign(mut self) {
        for held in self.held.values_mut() {
            end(held.running.take()).await;
        }
    }

    /// Removes the logs of topics that were deleted and of replicas that went elsewhere, many at a
    /// time: the disk takes the removal of all of them for one.
    async fn remove_all_but(&mut self, duties: &BTreeMap<LogKey, Duty>) -> Followed {
        let known = self.held.keys().chain(self.damaged.keys());
        let gone = known.filter(|key| !duties.contains_key(key)).copied();
        let mut removing = Vec::new();
        for key in gone.collect::<Vec<_>>() {
            let running = self.held.get_mut(&key).and_then(|held| held.running.take());
            removing.push(remove(self.directory.clone(), key, running));
        }
        let removed: Vec<_> =
            stream::iter(removing).buffer_unordered(CHANGED_AT_ONCE).collect().await;
        let mut followed = Followed::Wholly;
        for (key, removed) in removed {
            match removed {
                Ok(()) => {
                    info!(log = %key, "log deleted");
                    self.held.remove(&key);
                    self.damaged.remove(&key);
                }
                Err(failure) => {
                    error!(error = &failure as &dyn std::error::Error, log = %key, "log was not deleted");
                    followed = Followed::Partly;
                }
            }
        }
        followed
    }

    /// Makes the logs that are missing, many at a time: the disk takes their syncs together.
    async fn make_missing(
        &mut self,
        duties: &BTreeMap<LogKey, Duty>,
    ) -> BTreeMap<LogKey, LogChangeError> {
        let mut making = Vec::new();
        for (key, duty) in duties {
            if !self.held.contains_key(key) && !self.damaged.contains_key(key) {
                making.push(make(self.directory.clone(), *key, duty.config.clone()));
            }
        }
        let made: Vec<_> = stream::iter(making).buffer_unordered(CHANGED_AT_ONCE).collect().await;
        let mut not_made = BTreeMap::new();
        for (key, config, made) in made {
            match made {
                Ok(log) => {
                    let held = Held { log, config: Some(config), running: None };
                    self.held.insert(key, held);
                }
                Err(failure) => {
                    not_made.insert(key, failure);
                }
            }
        }
        not_made
    }

    async fn fulfil(&mut self, key: LogKey, duty: &Duty) -> Result<(), LogChangeError> {
        // Before anything that the disk can refuse: what is over is over.
        if let Some(held) = self.held.get_mut(&key) {
            let going_on = held.running.as_ref().map(|running| running.lead.epoch);
            if going_on != duty.lead.as_ref().map(|lead| lead.epoch) {
                end(held.running.take()).await;
            }
        }
        self.keep_log(key, &duty.config).await?;
        let Some(held) = self.held.get_mut(&key) else { return Ok(()) };
        match (&duty.lead, &mut held.running) {
            (Some(lead), Some(running)) => running.reconfigure(lead),
            (Some(lead), running @ None) => {
                let leadership = Leadership {
                    broker: self.own_id,
                    name: duty.name.clone(),
                    key,
                    epoch: lead.epoch,
                    limits: lead.limits,
                };
                let (membership, follow) = watch::channel(lead.membership.clone());
                let (partition, attendant) = Attendant::new(
                    leadership,
                    follow,
                    held.log.clone(),
                    &self.directory,
                    self.lease.clone(),
                    self.clock,
                );
                let stop = CancellationToken::new();
                *running = Some(Running {
                    partition: Arc::new(partition),
                    lead: lead.clone(),
                    membership,
                    attendant: AbortOnDropHandle::new(tokio::spawn(attendant.run(stop.clone()))),
                    stop,
                });
                log_beginning(duty, lead.epoch);
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// Has a log kept as it is configured now.
    async fn keep_log(&mut self, key: LogKey, config: &LogConfig) -> Result<(), LogChangeError> {
        if let Some(Lost { path, from }) = self.damaged.get(&key).cloned() {
            return Err(LogChangeError::Damaged { path, lost_from: from });
        }
        match self.held.get_mut(&key) {
            Some(held) if held.config.as_ref() != Some(config) => {
                self.directory.configure(key, config.clone()).await?;
                held.config = Some(config.clone());
            }
            Some(_) | None => {}
        }
        Ok(())
    }
}

impl Running {
    /// Takes over what changed within the epoch.
    fn reconfigure(&mut self, lead: &Lead) {
        if self.lead.membership != lead.membership {
            self.membership.send_replace(lead.membership.clone());
        }
        if self.lead.limits != lead.limits {
            self.partition = Arc::new(self.partition.with_limits(lead.limits));
        }
        self.lead = lead.clone();
    }
}

async fn make(
    directory: DirectoryQueue,
    key: LogKey,
    config: LogConfig,
) -> (LogKey, LogConfig, Result<Log, LogChangeError>) {
    let made = directory.create_log(key, config.clone()).await;
    (key, config, made)
}

async fn remove(
    directory: DirectoryQueue,
    key: LogKey,
    running: Option<Running>,
) -> (LogKey, Result<(), LogChangeError>) {
    end(running).await;
    (key, directory.delete_log(key).await)
}

async fn end(running: Option<Running>) {
    let Some(Running { partition, attendant, stop, .. }) = running else { return };
    stop.cancel();
    match attendant.await {
        Ok(()) => info!(
            topic = %partition.name().topic,
            partition = %partition.name().partition,
            epoch = %partition.epoch(),
            "leadership ended"
        ),
        Err(failure) => error!(error = %failure, "a leadership's attendant died"),
    }
}

fn log_beginning(duty: &Duty, epoch: LeaderEpoch) {
    info!(
        topic = %duty.name.topic,
        partition = %duty.name.partition,
        epoch = %epoch,
        "leadership began"
    );
}

#[cfg(test)]
mod tests;
