//! What happens to a leadership by itself: its end, the loss of the lease, new metadata, deadlines.

use std::sync::Arc;
use std::time::Duration;

use commit_log::LogKey;
use daemon::clock::Clock;
use replication::{Leader, LogEnds, Membership};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::{BrokerId, LeaderEpoch, TopicPartition};

use super::leading::Leading;
use super::{Partition, TopicLimits};
use crate::directory::{DirectoryQueue, Log, WeakDirectoryQueue};
use crate::lease::LeaseView;

/// What the metadata says about a leadership that begins.
#[derive(Debug)]
pub(crate) struct Leadership {
    /// Who leads: this broker.
    pub(crate) broker: BrokerId,
    /// The partition, as its users call it.
    pub(crate) name: TopicPartition,
    /// Its log's place in the directory.
    pub(crate) key: LogKey,
    /// The epoch led.
    pub(crate) epoch: LeaderEpoch,
    /// What the topic allows.
    pub(crate) limits: TopicLimits,
}

/// Attends to one leadership until it ends.
#[derive(Debug)]
pub(crate) struct Attendant {
    leading: Arc<Leading>,
    membership: watch::Receiver<Membership>,
    log: Log,
    directory: WeakDirectoryQueue,
    lease: LeaseView,
    clock: Clock,
}

impl Attendant {
    /// Begins a leadership over `log`. The handle works at once.
    pub(crate) fn new(
        leadership: Leadership,
        membership: watch::Receiver<Membership>,
        log: Log,
        directory: &DirectoryQueue,
        lease: LeaseView,
        clock: Clock,
    ) -> (Partition, Self) {
        let Leadership { broker, name, key, epoch, limits } = leadership;
        let leader = Leader::start(broker, epoch, membership.borrow().clone(), ends(&log));
        let (committed, high_watermark) = watch::channel(leader.high_watermark());
        let leading = Arc::new(Leading::new(leader, name.clone(), key, committed, clock));
        let partition = Partition {
            name,
            epoch,
            key,
            limits,
            leading: Arc::clone(&leading),
            directory: directory.downgrade(),
            committed: high_watermark,
            log: log.clone(),
            lease: lease.clone(),
        };
        let directory = directory.downgrade();
        (partition, Self { leading, membership, log, directory, lease, clock })
    }

    /// Attends until `stop`, then answers everyone who waits and lets the log finish what it was
    /// given, so that the next leadership finds the log at rest.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !self.leading.has_ended() {
            let due = self.leading.next_deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.lease.changed() => {
                    if !self.lease.holds() {
                        self.leading.fenced();
                    }
                }
                Ok(()) = self.membership.changed() => {
                    let membership = self.membership.borrow_and_update().clone();
                    self.leading.reconfigured(membership);
                    // A change of durability may have synced the log.
                    self.leading.durable(self.log.durable_end());
                }
                () = until(self.clock, due) => self.leading.tick(),
                () = self.leading.attention() => {}
            }
        }
        self.leading.end();
        tokio::select! {
            () = self.leading.at_rest() => {}
            // What was queued when there was nobody any more to take it up is never answered.
            () = self.directory.gone() => {}
        }
    }
}

impl Drop for Attendant {
    /// Also if it was not run to its end: nobody leads unattended.
    fn drop(&mut self) {
        self.leading.end();
        self.leading.tell_readers();
    }
}

fn ends(log: &Log) -> LogEnds {
    // In this order: the log may grow meanwhile, and what is durable is never beyond its end.
    let durable_end = log.durable_end();
    LogEnds { start: log.log_start(), end: log.end(), durable_end }
}

async fn until(clock: Clock, due: Option<Duration>) {
    match due {
        Some(due) => sleep(due.saturating_sub(clock.monotonic())).await,
        None => std::future::pending().await,
    }
}
