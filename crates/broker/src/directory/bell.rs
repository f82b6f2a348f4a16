//! What wakes the writer when enough has been asked.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use daemon::clock::Clock;
use tokio::sync::mpsc::Receiver;

use super::Request;

/// The writer does not sleep.
const AWAKE: usize = 0;

/// What wakes the writer once as many requests are queued as it sleeps for. Were it woken by each, or
/// to look again and again, it would keep from their processors those who are to make them.
#[derive(Debug)]
pub(super) struct Bell {
    clock: Clock,
    /// How many are to be queued, or [`AWAKE`].
    wanted: AtomicUsize,
    /// The one thread that sleeps.
    writer: OnceLock<Thread>,
    /// When it was last rung, in nanoseconds of the clock.
    rung: AtomicU64,
}

impl Bell {
    pub(super) const fn new(clock: Clock) -> Self {
        let (wanted, rung) = (AtomicUsize::new(AWAKE), AtomicU64::new(0));
        Self { clock, wanted, writer: OnceLock::new(), rung }
    }

    /// Tells that so many are queued, or have their place in the queue.
    pub(super) fn ring(&self, queued: usize) {
        let now = u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        self.rung.store(now, Ordering::Relaxed);
        let wanted = self.wanted.load(Ordering::Relaxed);
        if wanted != AWAKE
            && wanted <= queued
            && self.wanted.swap(AWAKE, Ordering::Acquire) != AWAKE
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// When somebody was queued last, about.
    pub(super) fn last_rung(&self) -> Duration {
        Duration::from_nanos(self.rung.load(Ordering::Relaxed))
    }

    /// Sleeps until so many are queued, or for so long. It may be over earlier; and whoever is queued
    /// just when this begins may not be seen, so that `patience` should be short.
    pub(super) fn sleep(&self, queue: &Receiver<Request>, wanted: usize, patience: Duration) {
        self.writer.get_or_init(thread::current);
        // Whoever sees this knows the thread, too.
        self.wanted.store(wanted, Ordering::Release);
        if queue.len() < wanted {
            thread::park_timeout(patience);
        }
        self.wanted.store(AWAKE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread::yield_now;

    use commit_log::{Append, AppendAt, LogKey};
    use futures::FutureExt as _;
    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::{Sender, channel};
    use types::{LeaderEpoch, PartitionId, TopicId};

    use super::*;
    use crate::directory::{Appending, DirectoryQueue};

    fn bell() -> Arc<Bell> {
        Arc::new(Bell::new(Clock::new()))
    }

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
        let (bell, (sender, queue)) = (bell(), queue(1));
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
        let (bell, (requests, queue)) = (bell(), queue(0));
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
        let (bell, (requests, queue)) = (bell(), queue(0));
        let to_writer = DirectoryQueue { requests, bell: Arc::clone(&bell) };
        assert!(wakes(&bell, queue, 1, || to_writer.upkeep().now_or_never().unwrap().unwrap()));
    }

    #[test]
    fn nobody_sleeps_for_what_is_there() {
        let ((_sender, queue), clock) = (queue(3), Clock::new());
        let (bell, begun) = (bell(), clock.monotonic());
        bell.sleep(&queue, 3, AT_MOST);
        assert!(clock.monotonic().saturating_sub(begun) < AT_MOST);
        assert_eq!(bell.wanted.load(Ordering::Relaxed), AWAKE);
    }

    #[test]
    fn it_knows_when_it_was_rung_last() {
        let bell = bell();
        let before = bell.clock.monotonic();
        bell.ring(1);
        assert!((before..=bell.clock.monotonic()).contains(&bell.last_rung()));
    }
}
