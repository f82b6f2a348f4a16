use std::sync::Arc;
use std::time::Duration;

use commit_log::{Ballast, StorageFault};
use disk::{RealDisk, Space};
use tokio::sync::{Notify, watch};
use tokio::task::JoinError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{DiskState, Level};
use crate::config::DiskLimits;
use crate::directory::WeakDirectoryQueue;

/// How often the disk is looked at: what can be written meanwhile is less than the limits leave.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Tells that the disk refused something for want of room.
#[derive(Clone, Debug)]
pub(crate) struct FullSeen(Arc<Notify>);

impl FullSeen {
    /// Has the disk looked at now.
    pub(crate) fn tell(&self) {
        self.0.notify_one();
    }
}

/// For whoever may see a full disk.
pub(crate) fn full_seen() -> FullSeen {
    FullSeen(Arc::new(Notify::new()))
}

/// Looks at the disk, and minds the ballast.
#[derive(Debug)]
pub(crate) struct DiskKeeper {
    pub(crate) ballast: Arc<Ballast<RealDisk>>,
    pub(crate) limits: DiskLimits,
    pub(crate) directory: WeakDirectoryQueue,
    pub(crate) state: watch::Sender<DiskState>,
    pub(crate) seen: FullSeen,
}

/// Whether a look, or the ballast, failed when last tried. It is said once: the next look comes in a
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    Told,
}

impl DiskKeeper {
    /// Goes round until `leaving`. An earlier end means that it died, and must be that of the broker:
    /// nobody would notice when the disk is full, or is no more.
    pub(crate) async fn keep(self, leaving: CancellationToken) {
        leaving.run_until_cancelled(self.look_again_and_again()).await;
    }

    async fn look_again_and_again(self) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = Trouble::None;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = self.seen.0.notified() => {}
            }
            let done = match self.on_disk(look).await {
                Ok(Ok((space, missing))) => self.take_in(space, missing).await,
                Ok(Err(fault)) => Ok(Err(fault)),
                Err(died) => Err(died),
            };
            match done {
                Ok(Ok(())) => trouble = Trouble::None,
                Ok(Err(fault)) if trouble == Trouble::None => {
                    warn!(
                        error = &fault as &dyn std::error::Error,
                        "the disk's room is not minded"
                    );
                    trouble = Trouble::Told;
                }
                Ok(Err(_told)) => {}
                Err(died) => return error!(error = %died, "looking at the disk died"),
            }
        }
    }

    /// Off the runtime: it may hang where the disk is another machine's.
    async fn on_disk<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Ballast<RealDisk>) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let ballast = Arc::clone(&self.ballast);
        tokio::task::spawn_blocking(move || act(&ballast)).await
    }

    async fn take_in(
        &self,
        space: Space,
        missing: u64,
    ) -> Result<Result<(), StorageFault>, JoinError> {
        let last = *self.state.borrow();
        let next = last.next(space, missing, &self.limits);
        if last.level != next.level {
            log_change(next);
        }
        // Each time: the directory itself takes it for full once it gave up the ballast.
        if let Some(directory) = self.directory.upgrade() {
            // An error means that the broker ends.
            directory.set_room(next.room()).await.ok();
        }
        self.state.send_if_modified(|state| {
            *state = next;
            last.level != next.level
        });
        match next.level {
            Level::Critical if missing < self.ballast.bytes() => {
                warn!(bytes = self.ballast.bytes(), "the ballast was given up for what deletes");
                self.on_disk(|ballast| ballast.release().map(drop)).await
            }
            Level::Ample if 0 < missing => self.on_disk(Ballast::restore).await,
            Level::Critical | Level::Low | Level::Ample => Ok(Ok(())),
        }
    }
}

fn look(ballast: &Ballast<RealDisk>) -> Result<(Space, u64), StorageFault> {
    Ok((ballast.space()?, ballast.missing()?))
}

fn log_change(state: DiskState) {
    let DiskState { level, free, thresholds } = state;
    let needed = thresholds.ample_again();
    match level {
        Level::Ample => info!(free, "the disk has room: records are taken"),
        Level::Low => warn!(free, needed, "the disk is too full: no records are taken"),
        Level::Critical => error!(
            free,
            needed, "the disk is all but full: neither records nor new partitions are taken"
        ),
    }
}
