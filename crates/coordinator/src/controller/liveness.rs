//! Time passes, and brokers fall silent.

use std::time::Duration;

use cluster::{ClusterError, Command, Delta, decision};
use disk::Disk;
use tracing::{info, warn};
use types::Revision;

use super::waiting::Ticket;
use super::{Controller, Now, UPKEEP_INTERVAL};
use crate::raft::{ELECTION_TICKS, RaftError};

impl<D: Disk> Controller<D> {
    /// One tick, if it is due. Ticks that were missed are not made up for: they say nothing about
    /// the others.
    pub(super) fn tick(&mut self, now: Now) -> Result<(), RaftError> {
        let Now { wall, monotonic: now } = now;
        if now < self.next_tick() {
            return Ok(());
        }
        let gap = now.saturating_sub(self.last_tick);
        let pause = self.settings.tick * u32::try_from(ELECTION_TICKS / 2).unwrap_or(1);
        if pause < gap {
            warn!(gap_ms = gap.as_millis(), "the coordinator stood still");
            self.sessions.extend(gap);
            self.tree_sessions.extend(gap);
        }
        self.last_tick = now;
        self.replica.tick();
        if self.readiness().is_ok() {
            self.fence_the_silent(now);
            self.close_the_silent(now);
        }
        if self.next_upkeep <= now {
            self.next_upkeep = now + UPKEEP_INTERVAL;
            self.replica.upkeep(wall)?;
        }
        Ok(())
    }

    fn fence_the_silent(&mut self, now: Duration) {
        for (broker, epoch) in self.sessions.expired(now) {
            if self.fencing.contains_key(&broker) {
                continue;
            }
            match decision::fence(self.state.image(), broker, epoch) {
                None => self.sessions.end(broker),
                Some(command) => {
                    warn!(%broker, "broker was not heard of for a whole session");
                    if let Some(place) = self.propose(&command, Ticket::Internal) {
                        self.fencing.insert(broker, place.index);
                    }
                }
            }
        }
    }

    /// What an applied command means for sessions.
    pub(super) fn note(
        &mut self,
        command: &Command,
        revision: Revision,
        outcome: &Result<Delta, ClusterError>,
        now: Duration,
    ) {
        match command {
            Command::FenceBroker { broker, .. } => {
                self.fencing.remove(broker);
                if outcome.is_ok() {
                    self.sessions.end(*broker);
                    self.fenced_at.insert(*broker, revision);
                    info!(%broker, %revision, "broker was fenced");
                }
            }
            Command::UnfenceBroker { broker, epoch } => {
                if outcome.is_ok() {
                    self.sessions.renew(*broker, *epoch, now);
                    info!(%broker, %revision, "broker was unfenced");
                }
            }
            Command::RegisterBroker(registration) => {
                if outcome.is_ok() {
                    let broker = registration.broker;
                    self.sessions.end(broker);
                    self.fenced_at.insert(broker, revision);
                    info!(%broker, endpoint = %registration.endpoint, %revision, "broker was registered");
                }
            }
            Command::InitCluster { cluster_id } => info!(%cluster_id, "cluster was initialised"),
            Command::CreateTopic { .. }
            | Command::DeleteTopic { .. }
            | Command::CreatePartitions { .. }
            | Command::AlterConfigs { .. }
            | Command::AllocateProducerIds => {}
        }
    }
}
