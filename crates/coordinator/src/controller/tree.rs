//! The tree: its commands, and the sessions that its ephemeral nodes go with.

use std::time::Duration;

use disk::Disk;
use tracing::{info, warn};
use tree::{Applied, Command, Refused, SessionId, TreeError};
use types::Revision;
use wire::convert::tree_command_to_bytes;

use super::waiting::{Read, Ticket};
use super::{Controller, Now, answer};
use crate::request::{Reply, TreeChanged};

impl<D: Disk> Controller<D> {
    /// Proposes a command that can be done as things stand. One that cannot never enters the log.
    pub(super) fn change_tree(&mut self, command: &Command, reply: Reply<TreeChanged>) {
        let revision = self.state.image().revision();
        let may_be_done = command.validate().and_then(|()| self.tree.check_room(command));
        let tried = may_be_done
            .map_err(|cause| Refused { operation: 0, cause })
            .and_then(|()| self.tree.clone().apply(Revision::new(revision.get() + 1), command));
        if let Err(refused) = tried {
            let changed = TreeChanged { revision, outcome: Err(refused) };
            return self.waiting.gather(Read::TreeRefused { changed, reply });
        }
        match self.replica.propose(vec![tree_command_to_bytes(command)]) {
            Ok(places) => self.waiting.expect(&[0], &places, Ticket::Tree { reply }),
            Err(error) => answer(reply, Err(error.into())),
        }
    }

    /// By the time a sign of life is judged, a round that began after it came in has proved that
    /// this coordinator still leads.
    pub(super) fn keep_alive(&mut self, session: SessionId, reply: Reply<()>, now: Now) {
        if let Some(index) = self.closing.get(&session) {
            return self.waiting.due_at(*index, Read::KeepAlive { session, reply });
        }
        if self.tree.session(session).is_none() {
            return answer(reply, Err(TreeError::NoSession { session }.into()));
        }
        self.tree_sessions.renew(session, now.monotonic);
        answer(reply, Ok(()));
    }

    /// Gives every session its whole timeout.
    pub(super) fn restart_tree_sessions(&mut self, now: Duration) {
        self.closing.clear();
        let sessions = self.tree.sessions().map(|(id, session)| (id, timeout(session.timeout_ms)));
        self.tree_sessions.restart(sessions, now);
    }

    pub(super) fn close_the_silent(&mut self, now: Duration) {
        for session in self.tree_sessions.expired(now) {
            if self.closing.contains_key(&session) {
                continue;
            }
            warn!(%session, "session was not heard of for its whole timeout");
            let close = tree_command_to_bytes(&Command::CloseSession { session });
            // Busy: the next tick tries again.
            let Ok(places) = self.replica.propose(vec![close]) else { return };
            self.waiting.expect(&[0], &places, Ticket::Internal);
            self.closing.extend(places.first().map(|place| (session, place.index)));
        }
    }

    /// What an applied command means for sessions.
    pub(super) fn note_tree(
        &mut self,
        command: &Command,
        outcome: &Result<Applied, Refused>,
        now: Duration,
    ) {
        match command {
            Command::CreateSession { timeout_ms } => {
                if let Ok(Applied { session: Some(session), .. }) = outcome {
                    self.tree_sessions.begin(*session, timeout(*timeout_ms), now);
                    info!(%session, timeout_ms, "session was begun");
                }
            }
            Command::CloseSession { session } => {
                self.closing.remove(session);
                self.tree_sessions.end(*session);
                if let Ok(applied) = outcome {
                    info!(%session, ephemerals = applied.events.len(), "session was closed");
                }
            }
            Command::Transact { .. } => {}
        }
    }
}

fn timeout(timeout_ms: u32) -> Duration {
    Duration::from_millis(timeout_ms.into())
}
