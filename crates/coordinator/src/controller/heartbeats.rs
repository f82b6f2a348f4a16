//! What a heartbeat brings about. By the time it is judged, a round that began after it came in
//! has proved that this coordinator still leads (rule R7).

use cluster::{Command, decision};
use disk::Disk;
use types::Revision;

use super::waiting::{Read, Ticket};
use super::{Controller, Now, answer};
use crate::request::{Heartbeat, HeartbeatAnswer, Reply, Wish};

impl<D: Disk> Controller<D> {
    pub(super) fn heartbeat(
        &mut self,
        heartbeat: Heartbeat,
        reply: Reply<HeartbeatAnswer>,
        now: Now,
    ) {
        let Heartbeat { broker, epoch, .. } = heartbeat;
        // An answer now would renew the lease of a leader that is being replaced.
        if let Some(index) = self.fencing.get(&broker) {
            return self.waiting.due_at(*index, Read::Heartbeat { heartbeat, reply });
        }
        let unfence = match decision::unfence(self.state.image(), broker, epoch) {
            Ok(unfence) => unfence,
            Err(error) => return answer(reply, Err(error.into())),
        };
        match (heartbeat.wish, unfence) {
            (Wish::Serve, None) => {
                self.sessions.renew(broker, epoch, now.monotonic);
                answer(reply, Ok(self.heartbeat_answer(heartbeat)));
            }
            (Wish::Serve, Some(unfence)) if self.has_caught_up(heartbeat) => {
                self.propose(&unfence, Ticket::Heartbeat { heartbeat, reply });
            }
            (Wish::ShutDown, None) => {
                let fence = Command::FenceBroker { broker, epoch };
                let place = self.propose(&fence, Ticket::Heartbeat { heartbeat, reply });
                self.fencing.extend(place.map(|place| (broker, place.index)));
            }
            (Wish::Serve | Wish::ShutDown, Some(_)) => {
                answer(reply, Ok(self.heartbeat_answer(heartbeat)));
            }
        }
    }

    /// Whether a fenced broker knows what it lost. Before, it might take its old leadership for
    /// the new one.
    fn has_caught_up(&self, heartbeat: Heartbeat) -> bool {
        let registered = Revision::new(heartbeat.epoch.get());
        let fenced = self.fenced_at.get(&heartbeat.broker).copied().unwrap_or(registered);
        registered.max(fenced) <= heartbeat.revision
    }

    pub(super) fn heartbeat_answer(&self, heartbeat: Heartbeat) -> HeartbeatAnswer {
        let fenced = !self.state.image().is_alive(heartbeat.broker);
        HeartbeatAnswer { fenced, may_shut_down: fenced && heartbeat.wish == Wish::ShutDown }
    }
}
