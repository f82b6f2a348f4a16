//! The right to lead, as long as the coordinator is known to know it.
//!
//! A broker that is cut off must stop before the coordinator gives its partitions to others:
//! otherwise it serves stale reads, and acknowledges writes that vanish. So the lease is shorter
//! than the session that the coordinator waits out, and it is counted from the moment a heartbeat
//! was *sent*, since the coordinator cannot have counted from an earlier one.

use std::time::Duration;

use daemon::clock::Clock;
use tokio::sync::watch;

/// How long this broker may lead. All times are those of one monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Exclusive; `None` before the first answered heartbeat.
    until: Option<Duration>,
}

impl Lease {
    /// A heartbeat sent at `sent` was answered, which grants `length` from then on. Answers may
    /// overtake each other: an older one never shortens the lease.
    pub(crate) fn renew(&mut self, sent: Duration, length: Duration) {
        self.until = self.until.max(sent.checked_add(length));
    }

    /// The coordinator said that this broker leads nothing.
    pub(crate) fn revoke(&mut self) {
        self.until = None;
    }

    /// Whether the broker may lead at `now`.
    pub(crate) fn holds(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// How long it still holds.
    pub(crate) fn remaining(&self, now: Duration) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_sub(now))
    }
}

/// The lease as everyone but its owner sees it.
#[derive(Clone, Debug)]
pub(crate) struct LeaseView {
    lease: watch::Receiver<Lease>,
    clock: Clock,
}

impl LeaseView {
    pub(crate) const fn new(lease: watch::Receiver<Lease>, clock: Clock) -> Self {
        Self { lease, clock }
    }

    /// Whether the broker may lead at this moment.
    pub(crate) fn holds(&self) -> bool {
        self.lease.borrow().holds(self.clock.monotonic())
    }

    /// Resolves when the lease was renewed, revoked or found to have run out; never once its
    /// owner is gone, for then nothing changes any more.
    pub(crate) async fn changed(&mut self) {
        if self.lease.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(3);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn nobody_leads_before_the_first_answer() {
        assert!(!Lease::default().holds(Duration::ZERO));
    }

    #[test]
    fn the_lease_counts_from_sending_and_its_end_is_exclusive() {
        let mut lease = Lease::default();
        // Sent at 10, answered whenever: it ends at 13.
        lease.renew(secs(10), LENGTH);
        assert!(lease.holds(Duration::from_millis(12_999)));
        assert!(!lease.holds(secs(13)));
        assert_eq!(lease.remaining(secs(12)), secs(1));
        assert_eq!(lease.remaining(secs(14)), Duration::ZERO);
    }

    #[test]
    fn an_answer_that_was_overtaken_does_not_shorten_it() {
        let mut lease = Lease::default();
        lease.renew(secs(12), LENGTH);
        lease.renew(secs(10), LENGTH);
        assert!(lease.holds(secs(14)));
    }

    #[test]
    fn a_revoked_lease_ends_at_once() {
        let mut lease = Lease::default();
        lease.renew(secs(10), LENGTH);
        lease.revoke();
        assert!(!lease.holds(secs(10)));
    }
}
