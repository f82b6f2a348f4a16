//! Which sessions of the tree are alive, as the leading coordinator judges: in memory, by a
//! monotonic clock, as it does for brokers. A new leader gives every session its whole timeout.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tree::SessionId;

/// When each session is over. Times are those of one monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct TreeSessions {
    sessions: BTreeMap<SessionId, Lease>,
    by_deadline: BTreeSet<(Duration, SessionId)>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    timeout: Duration,
    deadline: Duration,
}

impl TreeSessions {
    /// Forgets everyone and gives each of these sessions its whole timeout.
    pub(crate) fn restart(
        &mut self,
        sessions: impl IntoIterator<Item = (SessionId, Duration)>,
        now: Duration,
    ) {
        *self = Self::default();
        for (session, timeout) in sessions {
            self.begin(session, timeout, now);
        }
    }

    /// A session was begun.
    pub(crate) fn begin(&mut self, session: SessionId, timeout: Duration, now: Duration) {
        self.end(session);
        let lease = Lease { timeout, deadline: now + timeout };
        self.by_deadline.insert((lease.deadline, session));
        self.sessions.insert(session, lease);
    }

    /// Its owner was heard of.
    pub(crate) fn renew(&mut self, session: SessionId, now: Duration) {
        if let Some(lease) = self.sessions.get(&session) {
            self.begin(session, lease.timeout, now);
        }
    }

    /// It was closed.
    pub(crate) fn end(&mut self, session: SessionId) {
        if let Some(lease) = self.sessions.remove(&session) {
            self.by_deadline.remove(&(lease.deadline, session));
        }
    }

    /// This process stood still for `gap`, and could hear nobody: that counts against no one.
    pub(crate) fn extend(&mut self, gap: Duration) {
        for lease in self.sessions.values_mut() {
            lease.deadline += gap;
        }
        self.by_deadline =
            self.sessions.iter().map(|(session, lease)| (lease.deadline, *session)).collect();
    }

    /// Which sessions are over at `now`.
    pub(crate) fn expired(&self, now: Duration) -> Vec<SessionId> {
        let over = self.by_deadline.iter().take_while(|(deadline, _)| *deadline <= now);
        over.map(|(_, session)| *session).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ONE: SessionId = SessionId::new(1);
    const OTHER: SessionId = SessionId::new(2);

    #[test]
    fn a_session_lasts_its_own_timeout_from_when_it_was_last_heard_of() {
        let mut sessions = TreeSessions::default();
        sessions.restart([(ONE, 5 * SECOND), (OTHER, 9 * SECOND)], SECOND);
        assert!(sessions.expired(5 * SECOND).is_empty());
        assert_eq!(sessions.expired(6 * SECOND), [ONE]);
        sessions.renew(ONE, 5 * SECOND);
        assert!(sessions.expired(9 * SECOND).is_empty());
        assert_eq!(sessions.expired(10 * SECOND), [ONE, OTHER]);
        sessions.end(ONE);
        sessions.renew(ONE, 10 * SECOND);
        assert_eq!(sessions.expired(60 * SECOND), [OTHER]);
    }

    #[test]
    fn a_pause_of_the_coordinator_counts_against_no_session() {
        let mut sessions = TreeSessions::default();
        sessions.begin(ONE, 5 * SECOND, Duration::ZERO);
        sessions.extend(60 * SECOND);
        assert!(sessions.expired(64 * SECOND).is_empty());
        assert_eq!(sessions.expired(65 * SECOND), [ONE]);
    }
}
