//! How a group waits for those who are about to ask, too.
//!
//! Whoever was answered together asks again at about the same time, but not at once: the first of
//! them would be synced alone while all others wait. So a group that is smaller than the one before
//! waits for the rest, for a small part of what it would cost them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread, yield_now};
use std::time::Duration;

use daemon::clock::Clock;
use tokio::sync::mpsc::Receiver;

use super::Request;

/// So few come in about the time in which a thread is woken: they are waited for awake.
const FEW: usize = 8;
/// Of nobody.
const NONE: usize = 0;

/// What wakes the writer once as many requests are queued as it sleeps for. Were it woken by each, or
/// to look again and again, it would keep from their processors those who are to make them.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// How many are to be queued; [`NONE`] while the writer does not sleep.
    wanted: AtomicUsize,
    writer: OnceLock<Thread>,
}

impl Bell {
    /// Tells that so many are queued.
    pub(super) fn ring(&self, queued: usize) {
        let wanted = self.wanted.load(Ordering::Relaxed);
        if wanted != NONE
            && wanted <= queued
            && self.wanted.swap(NONE, Ordering::Relaxed) != NONE
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Sleeps until so many are queued, or for as long. It may be over earlier; and whoever is queued
    /// just when this begins may not be seen, so that `patience` should be short.
    fn sleep(&self, queue: &Receiver<Request>, wanted: usize, patience: Duration) {
        self.writer.get_or_init(thread::current);
        self.wanted.store(wanted, Ordering::Relaxed);
        if queue.len() < wanted {
            thread::park_timeout(patience);
        }
        self.wanted.store(NONE, Ordering::Relaxed);
    }
}

/// What a group knows of the one before.
#[derive(Debug)]
pub(super) struct Company {
    /// Requests of the last group.
    last: usize,
    /// How long it took.
    took: Duration,
    bell: Arc<Bell>,
}

impl Company {
    /// What waiting may cost is the last group's time through this.
    const PART: u32 = 4;
    /// However long that took.
    const LONGEST: Duration = Duration::from_micros(200);

    /// Before the first group.
    pub(super) const fn new(bell: Arc<Bell>) -> Self {
        Self { last: 0, took: Duration::ZERO, bell }
    }

    /// Takes what comes, until there are as many as in the last group or it took too long. Only ever
    /// called by one thread.
    pub(super) fn await_in(
        &self,
        queue: &mut Receiver<Request>,
        taken: &mut Vec<Request>,
        clock: Clock,
    ) {
        let patience = (self.took / Self::PART).min(Self::LONGEST);
        let until = clock.monotonic().saturating_add(patience);
        loop {
            while taken.len() < self.last
                && let Ok(request) = queue.try_recv()
            {
                taken.push(request);
            }
            let missing = self.last.saturating_sub(taken.len());
            let left = until.saturating_sub(clock.monotonic());
            if missing == 0 || left.is_zero() || queue.is_closed() {
                return;
            }
            match missing.checked_sub(FEW) {
                None | Some(0) => yield_now(),
                Some(many) => self.bell.sleep(queue, many, left),
            }
        }
    }

    /// Notes what the last group was.
    pub(super) const fn note(&mut self, requests: usize, took: Duration) {
        self.last = requests;
        self.took = took;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn queue(requests: usize) -> (Sender<Request>, Receiver<Request>) {
        let (sender, queue) = channel(64);
        fill(&sender, requests);
        (sender, queue)
    }

    fn fill(queue: &Sender<Request>, requests: usize) {
        for _ in 0..requests {
            queue.try_send(Request::Upkeep).unwrap();
        }
    }

    /// What a group of `first` becomes that follows one of `last`, while `more` are in the queue.
    fn group(first: usize, last: usize, more: usize) -> usize {
        let (_sender, mut queue) = queue(more);
        let mut taken: Vec<Request> = (0..first).map(|_| Request::Upkeep).collect();
        let mut company = Company::new(Arc::new(Bell::default()));
        company.note(last, LONG);
        company.await_in(&mut queue, &mut taken, Clock::new());
        taken.len()
    }

    #[test]
    fn a_group_becomes_as_large_as_the_one_before_and_no_larger() {
        assert_eq!(group(1, 3, 5), 3);
        assert_eq!(group(4, 3, 5), 4);
        assert_eq!(group(1, 30, 40), 30);
    }

    #[test]
    fn whoever_does_not_come_is_not_waited_for_long() {
        assert_eq!(group(1, 3, 1), 2);
        assert_eq!(group(1, 60, 1), 2);
    }

    /// Until the writer sleeps.
    fn asleep(bell: &Bell) {
        while bell.wanted.load(Ordering::Relaxed) == NONE {
            yield_now();
        }
    }

    #[test]
    fn the_writer_sleeps_until_so_many_are_queued() {
        let (bell, (sender, queue)) = (Arc::new(Bell::default()), queue(1));
        let sleeping = thread::spawn({
            let bell = Arc::clone(&bell);
            move || bell.sleep(&queue, 3, LONG)
        });
        asleep(&bell);
        bell.ring(2);
        assert_eq!(bell.wanted.load(Ordering::Relaxed), 3, "two are not three");
        fill(&sender, 2);
        bell.ring(3);
        sleeping.join().unwrap();
    }

    #[test]
    fn nobody_sleeps_for_what_is_there() {
        let (_sender, queue) = queue(3);
        let bell = Bell::default();
        bell.sleep(&queue, 3, LONG);
        bell.ring(3);
    }
}
