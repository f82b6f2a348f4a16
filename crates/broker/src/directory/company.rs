//! How a group waits for those who are about to ask, too.
//!
//! Whoever was answered together asks again at about the same time, but not at once: the first of
//! them would be synced alone while all others wait. So a group that is smaller than
//! [it should be](super::crowd) waits for the rest, for a small part of what it would cost them.

use std::sync::Arc;
use std::thread::yield_now;
use std::time::Duration;

use daemon::clock::Clock;
use tokio::sync::mpsc::Receiver;

use super::Request;
use super::bell::Bell;
use super::crowd::{Committed, Crowd};

/// So few come in about the time in which a thread is woken: they are waited for awake.
const FEW: usize = 8;
/// How much longer than it was to a sleep may take, as Linux has it.
const OVERSLEEP: Duration = Duration::from_micros(50);

/// Gathers groups.
#[derive(Debug)]
pub(super) struct Company {
    crowd: Crowd,
    bell: Arc<Bell>,
    clock: Clock,
}

impl Company {
    /// Before the first group.
    pub(super) fn new(bell: Arc<Bell>, clock: Clock) -> Self {
        Self { crowd: Crowd::default(), bell, clock }
    }

    /// Waits for a request, then takes what comes, up to `limit`, until that makes a group or took
    /// too long. `taken` stays empty once nobody can ask any more.
    pub(super) fn gather(
        &self,
        queue: &mut Receiver<Request>,
        taken: &mut Vec<Request>,
        limit: usize,
    ) {
        let Some(first) = queue.blocking_recv() else { return };
        taken.push(first);
        let wanted = self.crowd.wanted(taken.len() + queue.len());
        let until = self.clock.monotonic().saturating_add(self.crowd.patience());
        loop {
            while taken.len() < wanted.most.min(limit)
                && let Ok(request) = queue.try_recv()
            {
                taken.push(request);
            }
            let missing = wanted.least.min(limit).saturating_sub(taken.len());
            let left = until.saturating_sub(self.clock.monotonic());
            if missing == 0 || left.is_zero() || queue.is_closed() {
                return;
            }
            if FEW < missing && 2 * OVERSLEEP <= left {
                self.bell.sleep(queue, missing - FEW, left.saturating_sub(OVERSLEEP));
            } else {
                yield_now();
            }
        }
    }

    /// Notes that a group of so many, begun then, was answered, while so many wait.
    pub(super) fn note(&mut self, size: usize, begun: Duration, waiting: usize) {
        let (answered, last_came) = (self.clock.monotonic(), self.bell.last_rung());
        self.crowd.note(Committed { size, begun, answered, waiting, last_came });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;

    /// What a group becomes that follows others of `last`, while so many are queued.
    fn group(last: usize, queued: usize, limit: usize) -> usize {
        let clock = Clock::new();
        let (sender, mut queue) = channel(64);
        for _ in 0..queued {
            sender.try_send(Request::Upkeep).unwrap();
        }
        let mut company = Company::new(Arc::new(Bell::new(clock)), clock);
        for _ in 0..20 {
            company.note(last, Duration::ZERO, 0);
        }
        let mut taken = Vec::new();
        company.gather(&mut queue, &mut taken, limit);
        taken.len()
    }

    #[test]
    fn a_group_takes_what_is_there_within_its_limit() {
        assert_eq!(group(3, 5, 64), 5);
        assert_eq!(group(3, 5, 4), 4);
        assert_eq!(group(1, 1, 64), 1);
    }

    #[test]
    fn whoever_does_not_come_is_not_waited_for_long() {
        assert_eq!(group(3, 2, 64), 2);
        assert_eq!(group(60, 2, 64), 2);
    }

    #[test]
    fn nobody_is_gathered_once_nobody_can_ask() {
        let (clock, (sender, mut queue)) = (Clock::new(), channel::<Request>(1));
        drop(sender);
        let mut taken = Vec::new();
        Company::new(Arc::new(Bell::new(clock)), clock).gather(&mut queue, &mut taken, 64);
        assert!(taken.is_empty());
    }
}
