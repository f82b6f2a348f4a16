//! What no request reminds anyone of: segments that are old enough to be closed, and records that
//! their topics no longer keep.

use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::directory::DirectoryQueue;
use crate::partition::Partition;
use crate::partitions::Partitions;

/// How often the writer looks after its segments.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the data directory in order.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    pub(crate) directory: DirectoryQueue,
    pub(crate) partitions: Partitions,
    pub(crate) clock: Clock,
}

impl Housekeeping {
    /// Goes round until `leaving`.
    pub(crate) async fn keep(self, retention_interval: Duration, leaving: CancellationToken) {
        let mut upkeep = interval(UPKEEP_INTERVAL);
        let mut retention = interval(retention_interval);
        retention.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = leaving.cancelled() => return,
                _ = upkeep.tick() => {
                    if self.directory.upkeep().await.is_err() {
                        return;
                    }
                }
                _ = retention.tick() => self.retain().await,
            }
        }
    }

    /// Removes what the topics no longer keep from the partitions that this broker leads.
    async fn retain(&self) {
        for name in self.partitions.view().led.keys() {
            if let Ok(partition) = self.partitions.led(name) {
                self.retain_in(&partition).await;
            }
        }
    }

    async fn retain_in(&self, partition: &Arc<Partition>) {
        let log = partition.log();
        let up_to = partition.high_watermark().min(log.durable_end());
        let retention = partition.limits().retention;
        let Some(start) = retention.new_start(&log.segments(), self.clock.now(), up_to) else {
            return;
        };
        let topic = &partition.name().topic;
        let number = partition.name().partition;
        match self.directory.advance_log_start(partition.key(), start).await {
            Ok(()) => info!(%topic, partition = %number, offset = %start, "old records deleted"),
            Err(failure) => error!(
                error = &failure as &dyn std::error::Error,
                %topic,
                partition = %number,
                "old records were not deleted"
            ),
        }
    }
}
