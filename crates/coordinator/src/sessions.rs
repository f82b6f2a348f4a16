//! Which brokers are alive, as the leading coordinator judges: in memory, by a monotonic clock.
//!
//! Nothing of it is replicated. A new leader gives every broker a whole session; only the fencing
//! that follows from a session's end is a command.

use std::collections::BTreeMap;
use std::time::Duration;

use types::{BrokerEpoch, BrokerId};

/// The sessions of unfenced brokers. Times are those of one monotonic clock.
#[derive(Debug)]
pub(crate) struct Sessions {
    timeout: Duration,
    brokers: BTreeMap<BrokerId, Session>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    epoch: BrokerEpoch,
    deadline: Duration,
}

impl Sessions {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, brokers: BTreeMap::new() }
    }

    /// Forgets everyone and gives each of these brokers a whole session.
    pub(crate) fn restart(
        &mut self,
        brokers: impl IntoIterator<Item = (BrokerId, BrokerEpoch)>,
        now: Duration,
    ) {
        self.brokers.clear();
        for (broker, epoch) in brokers {
            self.renew(broker, epoch, now);
        }
    }

    /// A broker was heard of.
    pub(crate) fn renew(&mut self, broker: BrokerId, epoch: BrokerEpoch, now: Duration) {
        self.brokers.insert(broker, Session { epoch, deadline: now + self.timeout });
    }

    /// A broker has no session any more: it was fenced, or is about to be.
    pub(crate) fn end(&mut self, broker: BrokerId) {
        self.brokers.remove(&broker);
    }

    /// This process stood still for `gap`, and could hear nobody: that counts against no one.
    pub(crate) fn extend(&mut self, gap: Duration) {
        for session in self.brokers.values_mut() {
            session.deadline += gap;
        }
    }

    /// Whose session is over at `now`.
    pub(crate) fn expired(&self, now: Duration) -> Vec<(BrokerId, BrokerEpoch)> {
        let over = self.brokers.iter().filter(|(_, session)| session.deadline <= now);
        over.map(|(broker, session)| (*broker, session.epoch)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BROKER: BrokerId = BrokerId::new(1);
    const EPOCH: BrokerEpoch = BrokerEpoch::new(7);

    #[test]
    fn a_session_lasts_from_the_last_heartbeat() {
        let mut sessions = Sessions::new(9 * SECOND);
        sessions.restart([(BROKER, EPOCH)], 10 * SECOND);
        assert!(sessions.expired(18 * SECOND).is_empty());
        assert_eq!(sessions.expired(19 * SECOND), [(BROKER, EPOCH)]);
        sessions.renew(BROKER, EPOCH, 18 * SECOND);
        assert!(sessions.expired(26 * SECOND).is_empty());
        assert_eq!(sessions.expired(27 * SECOND), [(BROKER, EPOCH)]);
    }

    #[test]
    fn a_pause_of_the_coordinator_counts_against_no_broker() {
        let mut sessions = Sessions::new(9 * SECOND);
        sessions.restart([(BROKER, EPOCH)], Duration::ZERO);
        sessions.extend(60 * SECOND);
        assert!(sessions.expired(68 * SECOND).is_empty());
        assert_eq!(sessions.expired(69 * SECOND), [(BROKER, EPOCH)]);
    }

    #[test]
    fn who_was_fenced_has_no_session() {
        let mut sessions = Sessions::new(SECOND);
        sessions.renew(BROKER, EPOCH, Duration::ZERO);
        sessions.end(BROKER);
        assert!(sessions.expired(60 * SECOND).is_empty());
    }
}
