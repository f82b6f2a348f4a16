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
/// How much longer than it was to a sleep may take, as Linux has it.
const OVERSLEEP: Duration = Duration::from_micros(50);
/// The writer does not sleep.
const AWAKE: usize = 0;

/// What wakes the writer once as many requests are queued as it sleeps for. Were it woken by each, or
/// to look again and again, it would keep from their processors those who are to make them.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// How many are to be queued, or [`AWAKE`].
    wanted: AtomicUsize,
    /// The one thread that sleeps.
    writer: OnceLock<Thread>,
}

impl Bell {
    /// Tells that so many are queued, or have their place in the queue.
    pub(super) fn ring(&self, queued: usize) {
        let wanted = self.wanted.load(Ordering::Relaxed);
        if wanted != AWAKE
            && wanted <= queued
            && self.wanted.swap(AWAKE, Ordering::Acquire) != AWAKE
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Sleeps until so many are queued, or for so long. It may be over earlier; and whoever is queued
    /// just when this begins may not be seen, so that `patience` should be short.
    fn sleep(&self, queue: &Receiver<Request>, wanted: usize, patience: Duration) {
        self.writer.get_or_init(thread::current);
        // Whoever sees this knows the thread, too.
        self.wanted.store(wanted, Ordering::Release);
        if queue.len() < wanted {
            thread::park_timeout(patience);
        }
        self.wanted.store(AWAKE, Ordering::Relaxed);
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

    /// Takes what comes, until there are as many as in the last group or it took too long.
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
            if FEW < missing && 2 * OVERSLEEP <= left {
                self.bell.sleep(queue, missing - FEW, left.saturating_sub(OVERSLEEP));
            } else {
                yield_now();
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
    use commit_log::{Append, AppendAt, LogKey};
    use futures::FutureExt as _;
    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::{Sender, channel};
    use types::{LeaderEpoch, PartitionId, TopicId};

    use super::*;
    use crate::directory::{Appending, DirectoryQueue};

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

    /// Far longer than any of these tests takes, and not for ever.
    const AT_MOST: Duration = Duration::from_secs(20);

    /// Has somebody sleep until `wanted` are queued, does something meanwhile, and says whether that
    /// woke him.
    fn wakes(
        bell: &Arc<Bell>,
        queue: Receiver<Request>,
        wanted: usize,
        meanwhile: impl FnOnce(),
    ) -> bool {
        let clock = Clock::new();
        let begun = clock.monotonic();
        let too_late = || AT_MOST <= clock.monotonic().saturating_sub(begun);
        let sleeping = thread::spawn({
            let bell = Arc::clone(bell);
            move || bell.sleep(&queue, wanted, AT_MOST)
        });
        while bell.wanted.load(Ordering::Relaxed) == AWAKE && !too_late() {
            yield_now();
        }
        meanwhile();
        sleeping.join().unwrap();
        assert_eq!(bell.wanted.load(Ordering::Relaxed), AWAKE);
        !too_late()
    }

    #[test]
    fn the_writer_sleeps_until_so_many_are_queued() {
        let (bell, (sender, queue)) = (Arc::new(Bell::default()), queue(1));
        let woken = wakes(&bell, queue, 3, || {
            bell.ring(2);
            assert_eq!(bell.wanted.load(Ordering::Relaxed), 3, "two are not three");
            fill(&sender, 2);
            bell.ring(3);
        });
        assert!(woken);
    }

    #[test]
    fn an_append_wakes_the_writer_if_it_makes_the_number_up() {
        let (bell, (requests, queue)) = (Arc::new(Bell::default()), queue(0));
        let to_writer = DirectoryQueue { requests, bell: Arc::clone(&bell) };
        let append = || {
            let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            let slot = to_writer.slot().now_or_never().unwrap().unwrap();
            let (log, epoch) = (
                LogKey { topic_id: TopicId::from_bytes([7; 16]), partition: PartitionId::new(0) },
                LeaderEpoch::ZERO,
            );
            let append = Append { log, epoch, batches: Vec::new(), at: AppendAt::End };
            slot.append(append, memory, Appending(None));
        };
        let woken = wakes(&bell, queue, 2, || {
            append();
            assert_eq!(bell.wanted.load(Ordering::Relaxed), 2, "one is not two");
            append();
        });
        assert!(woken);
    }

    #[test]
    fn so_does_whatever_else_is_asked() {
        let (bell, (requests, queue)) = (Arc::new(Bell::default()), queue(0));
        let to_writer = DirectoryQueue { requests, bell: Arc::clone(&bell) };
        assert!(wakes(&bell, queue, 1, || to_writer.upkeep().now_or_never().unwrap().unwrap()));
    }

    #[test]
    fn nobody_sleeps_for_what_is_there() {
        let ((_sender, queue), clock) = (queue(3), Clock::new());
        let (bell, begun) = (Bell::default(), clock.monotonic());
        bell.sleep(&queue, 3, AT_MOST);
        assert!(clock.monotonic().saturating_sub(begun) < AT_MOST);
        assert_eq!(bell.wanted.load(Ordering::Relaxed), AWAKE);
    }
}
