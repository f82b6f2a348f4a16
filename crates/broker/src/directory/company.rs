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
use super::crowd::{Committed, Crowd, Wanted};
use super::faces::{Faces, Met};

/// So few come in about the time in which a thread is woken: they are waited for awake.
const FEW: usize = 8;
/// For so long. If they take longer, something holds them up, this thread maybe: a processor that it
/// keeps without need is not there for who waits behind others for his own.
const AWAKE: Duration = Duration::from_micros(40);
/// How much longer than it was to a sleep may take, as Linux has it.
const OVERSLEEP: Duration = Duration::from_micros(50);

/// How many are waited for, with the first of a group. A change gains nothing by company.
const fn awaited(first: &Request, wanted: Wanted) -> usize {
    if first.append().is_some() { wanted.least } else { 0 }
}

/// How it waits for some who are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// It lets others have the processor, and looks again.
    Awake,
    /// It sleeps until so many are queued.
    Asleep { until: usize, at_most: Duration },
    /// It does not.
    Over,
}

impl Pause {
    /// For so many, with so much left of the patience, once it has been awake for the last few for
    /// so long.
    fn of(missing: usize, left: Duration, patience: Duration, awake: Duration) -> Self {
        let at_most = left.saturating_sub(OVERSLEEP);
        let may_sleep = OVERSLEEP <= at_most;
        if FEW < missing && may_sleep {
            return Self::Asleep { until: missing - FEW, at_most };
        }
        // Too short a time to sleep in is spent awake.
        let longest = if patience < 2 * OVERSLEEP { patience } else { AWAKE };
        if awake < longest {
            Self::Awake
        } else if may_sleep {
            Self::Asleep { until: missing, at_most }
        } else {
            Self::Over
        }
    }
}

/// Gathers groups.
#[derive(Debug)]
pub(super) struct Company {
    crowd: Crowd,
    faces: Faces,
    /// The group that was gathered last; nobody is in it if nothing is to be learned of it.
    met: Met,
    bell: Arc<Bell>,
    clock: Clock,
}

impl Company {
    /// Before the first group.
    pub(super) fn new(bell: Arc<Bell>, clock: Clock) -> Self {
        let (crowd, faces, met) = (Crowd::default(), Faces::default(), Met::default());
        Self { crowd, faces, met, bell, clock }
    }

    /// Waits for a request, then takes what comes, up to `limit`, until that makes a group or took
    /// too long. `taken` stays empty once nobody can ask any more.
    pub(super) fn gather(
        &mut self,
        queue: &mut Receiver<Request>,
        taken: &mut Vec<Request>,
        limit: usize,
    ) {
        self.wait(queue, taken, limit);
        // With a change among them they may be several groups, of which some are told before others are
        // written, and what they take is not what appends take: nothing is to be learned of them.
        let is_one_group = taken.iter().all(|request| request.append().is_some());
        let group = taken.iter().filter_map(Request::append);
        self.met = if is_one_group { self.faces.meet(group) } else { Met::default() };
    }

    fn wait(&self, queue: &mut Receiver<Request>, taken: &mut Vec<Request>, limit: usize) {
        let Some(first) = queue.blocking_recv() else { return };
        let wanted = self.crowd.wanted(1 + queue.len());
        let least = awaited(&first, wanted).min(limit).min(queue.max_capacity());
        taken.push(first);
        let patience = self.crowd.patience();
        let until = self.clock.monotonic().saturating_add(patience);
        // Since when it is awake for the last few.
        let mut since = None;
        loop {
            while taken.len() < wanted.most.min(limit)
                && let Ok(request) = queue.try_recv()
            {
                taken.push(request);
            }
            let missing = least.saturating_sub(taken.len());
            let now = self.clock.monotonic();
            let left = until.saturating_sub(now);
            if missing == 0 || left.is_zero() || queue.is_closed() {
                return;
            }
            let awake = since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
            match Pause::of(missing, left, patience, awake) {
                Pause::Awake => {
                    since.get_or_insert(now);
                    yield_now();
                }
                Pause::Asleep { until, at_most } => self.bell.sleep(queue, until, at_most),
                Pause::Over => return,
            }
        }
    }

    /// Notes that the group that was gathered last, begun then, is answered, while so many wait. Nobody
    /// may have been told yet: who hears of it may be back at once, on a busy machine before this thread
    /// goes on, and would be taken for somebody else who waited meanwhile.
    pub(super) fn note_answered(&mut self, begun: Duration, waiting: usize) {
        // Changes are made once, and nobody comes back from them.
        if self.met.size == 0 {
            return;
        }
        let (answered, last_came) = (self.clock.monotonic(), self.bell.last_rung());
        self.crowd.note(Committed { met: self.met, begun, answered, waiting, last_came });
    }

    /// Notes that everyone of that group has been told.
    pub(super) fn note_told(&mut self) {
        if self.met.size != 0 {
            self.crowd.note_told(self.clock.monotonic());
        }
    }

    /// How many ask, as far as it knows.
    #[cfg(test)]
    pub(super) const fn everybody(&self) -> usize {
        self.crowd.everybody()
    }

    /// When everyone of the last group had been told.
    #[cfg(test)]
    pub(super) fn told(&self) -> Option<Duration> {
        self.crowd.told()
    }
}

#[cfg(test)]
mod tests {
    use commit_log::{Append, AppendAt, LogKey};
    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::channel;
    use types::{LeaderEpoch, PartitionId, TopicId};

    use super::*;
    use crate::directory::Appending;

    fn append() -> Request {
        let (topic_id, partition) = (TopicId::from_bytes([7; 16]), PartitionId::new(0));
        let (log, epoch, at) = (LogKey { topic_id, partition }, LeaderEpoch::ZERO, AppendAt::End);
        let append = Append { log, epoch, batches: Vec::new(), at };
        let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Request::Append { append, appending: Appending(None), memory }
    }

    /// What a group becomes that follows others of `last`, while so many are queued.
    fn group(last: usize, queued: usize, limit: usize) -> usize {
        let clock = Clock::new();
        let (sender, mut queue) = channel(64);
        for _ in 0..queued {
            sender.try_send(append()).unwrap();
        }
        let mut company = Company::new(Arc::new(Bell::new(clock)), clock);
        for _ in 0..20 {
            company.met = Met { size: last, again: last };
            company.note_answered(Duration::ZERO, 0);
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
    fn a_change_is_not_kept_waiting_for_appends() {
        let wanted = Wanted { least: 60, most: 120 };
        assert_eq!(awaited(&Request::Upkeep, wanted), 0);
        assert_eq!(awaited(&append(), wanted), 60);
    }

    #[test]
    fn those_beyond_the_most_wait_for_the_next_group() {
        let clock = Clock::new();
        let (sender, mut queue) = channel(64);
        let mut company = Company::new(Arc::new(Bell::new(clock)), clock);
        // Ten who travel for as long as a group takes: five and five.
        let (took, mut answered) = (Duration::from_millis(1), Duration::ZERO);
        for _ in 0..20 {
            let (begun, met) = (answered, Met { size: 5, again: 0 });
            answered += took;
            let last_came = answered;
            company.crowd.note(Committed { met, begun, answered, waiting: 5, last_came });
        }
        for _ in 0..8 {
            sender.try_send(append()).unwrap();
        }
        let mut taken = Vec::new();
        company.gather(&mut queue, &mut taken, 64);
        assert_eq!((taken.len(), queue.len()), (5, 3));
        assert_eq!(company.met, Met { size: 5, again: 0 });
        taken.clear();
        company.gather(&mut queue, &mut taken, 64);
        assert_eq!(company.met, Met { size: 3, again: 1 });
    }

    #[test]
    fn who_asks_for_a_change_does_not_come_back() {
        let clock = Clock::new();
        let (sender, mut queue) = channel(64);
        let mut company = Company::new(Arc::new(Bell::new(clock)), clock);
        for _ in 0..20 {
            sender.try_send(Request::Upkeep).unwrap();
        }
        company.gather(&mut queue, &mut Vec::new(), 64);
        company.note_answered(Duration::ZERO, 0);
        assert_eq!(company.crowd.wanted(1).least, 0);
    }

    #[test]
    fn most_are_waited_for_asleep_and_the_last_few_awake_for_a_moment() {
        let micros = Duration::from_micros;
        let pause =
            |missing, left, awake| Pause::of(missing, micros(left), micros(400), micros(awake));
        assert_eq!(pause(60, 400, 0), Pause::Asleep { until: 52, at_most: micros(350) });
        assert_eq!(pause(8, 300, 0), Pause::Awake);
        assert_eq!(pause(8, 261, 39), Pause::Awake);
        assert_eq!(pause(8, 260, 40), Pause::Asleep { until: 8, at_most: micros(210) });
        // Woken too late to sleep once more.
        assert_eq!(pause(8, 50, 250), Pause::Over);
        assert_eq!(pause(60, 50, 0), Pause::Awake);
    }

    #[test]
    fn a_short_wait_is_spent_awake() {
        let micros = Duration::from_micros;
        let pause = |left, awake| Pause::of(20, micros(left), micros(90), micros(awake));
        assert_eq!(pause(90, 0), Pause::Awake);
        assert_eq!(pause(1, 89), Pause::Awake);
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
