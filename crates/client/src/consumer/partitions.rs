//! Where each partition's reader stands and what it needs next. Pure: time is told, and asking
//! brokers is someone else's.

use std::collections::BTreeMap;
use std::time::Duration;

use types::{Offset, TopicPartition};

use super::config::StartAt;
use crate::backoff::wait;

/// One stream in the life of a consumer; never used again, so that what arrives late is known.
pub(crate) type StreamId = u64;

#[derive(Debug)]
struct Partition {
    state: State,
    failures: u32,
    failing_since: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its offset has to be asked for.
    Unresolved { start: StartAt, not_before: Duration },
    /// It has to be asked of its leader.
    Unrouted { next: Offset, not_before: Duration },
    /// It arrives by a stream.
    Streaming { next: Offset, stream: StreamId, since: Duration },
    /// Its reader was told of an error and has to seek.
    Halted { next: Option<Offset> },
}

/// Whether a failure is to be kept from the reader yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Left,
    Exhausted,
}

/// All partitions assigned.
#[derive(Debug)]
pub(crate) struct Partitions {
    retry_timeout: Duration,
    assigned: BTreeMap<TopicPartition, Partition>,
}

impl Partitions {
    pub(crate) const fn new(retry_timeout: Duration) -> Self {
        Self { retry_timeout, assigned: BTreeMap::new() }
    }

    /// Whether nothing can arrive, however long one waits.
    pub(crate) fn rest(&self) -> bool {
        let halted = |partition: &Partition| matches!(partition.state, State::Halted { .. });
        self.assigned.values().all(halted)
    }

    /// Reads (from now on) a partition from `start`.
    pub(crate) fn seek(&mut self, of: TopicPartition, start: StartAt) {
        let not_before = Duration::ZERO;
        let state = match start {
            StartAt::Offset(next) => State::Unrouted { next, not_before },
            StartAt::Earliest | StartAt::Latest | StartAt::Timestamp(_) => {
                State::Unresolved { start, not_before }
            }
        };
        self.assigned.insert(of, Partition { state, failures: 0, failing_since: None });
    }

    pub(crate) fn unassign(&mut self, of: &TopicPartition) {
        self.assigned.remove(of);
    }

    /// The next offset that a partition's reader gets; `None` until it is known.
    pub(crate) fn position(&self, of: &TopicPartition) -> Option<Offset> {
        match self.assigned.get(of)?.state {
            State::Unresolved { .. } => None,
            State::Unrouted { next, .. } | State::Streaming { next, .. } => Some(next),
            State::Halted { next } => next,
        }
    }

    /// Partitions whose start has to be asked for now.
    pub(crate) fn unresolved(&self, now: Duration) -> Vec<(TopicPartition, StartAt)> {
        let due = |(of, partition): (&TopicPartition, &Partition)| match partition.state {
            State::Unresolved { start, not_before } if not_before <= now => {
                Some((of.clone(), start))
            }
            State::Unresolved { .. }
            | State::Unrouted { .. }
            | State::Streaming { .. }
            | State::Halted { .. } => None,
        };
        self.assigned.iter().filter_map(due).collect()
    }

    /// The start that was asked for is known.
    pub(crate) fn resolved(&mut self, of: &TopicPartition, next: Offset) {
        if let Some(partition) = self.assigned.get_mut(of)
            && matches!(partition.state, State::Unresolved { .. })
        {
            partition.state = State::Unrouted { next, not_before: Duration::ZERO };
        }
    }

    /// Partitions to be asked of their leaders now, and from where.
    pub(crate) fn unrouted(&self, now: Duration) -> Vec<(TopicPartition, Offset)> {
        let due = |(of, partition): (&TopicPartition, &Partition)| match partition.state {
            State::Unrouted { next, not_before } if not_before <= now => Some((of.clone(), next)),
            State::Unresolved { .. }
            | State::Unrouted { .. }
            | State::Streaming { .. }
            | State::Halted { .. } => None,
        };
        self.assigned.iter().filter_map(due).collect()
    }

    /// The partition was asked for on a stream.
    pub(crate) fn routed(&mut self, of: &TopicPartition, stream: StreamId, now: Duration) {
        if let Some(partition) = self.assigned.get_mut(of)
            && let State::Unrouted { next, .. } = partition.state
        {
            partition.state = State::Streaming { next, stream, since: now };
        }
    }

    /// The next offset wanted of a partition, if what this stream brings is still wanted.
    pub(crate) fn wanted(&self, of: &TopicPartition, stream: StreamId) -> Option<Offset> {
        match self.assigned.get(of)?.state {
            State::Streaming { next, stream: current, .. } if current == stream => Some(next),
            State::Unresolved { .. }
            | State::Unrouted { .. }
            | State::Streaming { .. }
            | State::Halted { .. } => None,
        }
    }

    /// The reader has got everything before `end`.
    pub(crate) fn advance(&mut self, of: &TopicPartition, end: Offset) {
        if let Some(partition) = self.assigned.get_mut(of)
            && let State::Streaming { next, .. } = &mut partition.state
        {
            *next = end.max(*next);
            partition.failures = 0;
            partition.failing_since = None;
        }
    }

    /// Asking for a partition, or reading it, failed in a way that may pass.
    pub(crate) fn failed(&mut self, of: &TopicPartition, now: Duration, random: u32) -> Patience {
        let Some(partition) = self.assigned.get_mut(of) else { return Patience::Left };
        if let State::Streaming { since, .. } = partition.state
            && self.retry_timeout <= now.saturating_sub(since)
        {
            // It was served for all that time, although there may have been no record.
            partition.failures = 0;
            partition.failing_since = None;
        }
        partition.failures = partition.failures.saturating_add(1);
        let later = now + wait(partition.failures, random);
        partition.state = match partition.state {
            State::Unresolved { start, .. } => State::Unresolved { start, not_before: later },
            State::Unrouted { next, .. } | State::Streaming { next, .. } => {
                State::Unrouted { next, not_before: later }
            }
            State::Halted { next } => State::Halted { next },
        };
        let since = *partition.failing_since.get_or_insert(now);
        if self.retry_timeout <= now.saturating_sub(since) {
            partition.failing_since = None;
            return Patience::Exhausted;
        }
        Patience::Left
    }

    /// The partition's reader was told of an error and decides.
    pub(crate) fn halt(&mut self, of: &TopicPartition) {
        let next = self.position(of);
        if let Some(partition) = self.assigned.get_mut(of) {
            partition.state = State::Halted { next };
        }
    }

    /// The partitions that arrive by a stream.
    pub(crate) fn of_stream(&self, stream: StreamId) -> Vec<TopicPartition> {
        let on_it = |partition: &Partition| matches!(partition.state, State::Streaming { stream: its, .. } if its == stream);
        let on_it = self.assigned.iter().filter(|(_, partition)| on_it(partition));
        on_it.map(|(of, _)| of.clone()).collect()
    }

    /// The stream was given up for another one; nothing failed.
    pub(crate) fn reroute(&mut self, stream: StreamId) {
        for partition in self.assigned.values_mut() {
            if let State::Streaming { next, stream: its, .. } = partition.state
                && its == stream
            {
                partition.state = State::Unrouted { next, not_before: Duration::ZERO };
            }
        }
    }

    /// When there is something to ask for if nothing else happens.
    pub(crate) fn next_wakeup(&self) -> Option<Duration> {
        let due = |partition: &Partition| match partition.state {
            State::Unresolved { not_before, .. } | State::Unrouted { not_before, .. } => {
                Some(not_before)
            }
            State::Streaming { .. } | State::Halted { .. } => None,
        };
        self.assigned.values().filter_map(due).min()
    }
}

#[cfg(test)]
mod tests {
    use types::{PartitionId, TopicName};

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn of() -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0))
    }

    fn streaming(next: u64, stream: StreamId) -> Partitions {
        let mut partitions = Partitions::new(Duration::from_secs(10));
        partitions.seek(of(), StartAt::Offset(Offset::new(next)));
        partitions.routed(&of(), stream, NOW);
        partitions
    }

    #[test]
    fn a_start_is_resolved_before_it_is_asked_for() {
        let mut partitions = Partitions::new(Duration::from_secs(10));
        partitions.seek(of(), StartAt::Latest);
        assert_eq!(partitions.unresolved(NOW), [(of(), StartAt::Latest)]);
        assert_eq!(partitions.unrouted(NOW), []);
        partitions.resolved(&of(), Offset::new(7));
        assert_eq!(partitions.unrouted(NOW), [(of(), Offset::new(7))]);
    }

    #[test]
    fn a_lost_stream_resumes_at_the_position_after_a_pause() {
        let mut partitions = streaming(5, 1);
        partitions.advance(&of(), Offset::new(9));
        assert_eq!(partitions.failed(&of(), NOW, 0), Patience::Left);
        assert_eq!(partitions.unrouted(NOW), []);
        let due = partitions.next_wakeup().unwrap();
        assert!(NOW < due);
        assert_eq!(partitions.unrouted(due), [(of(), Offset::new(9))]);
    }

    #[test]
    fn what_an_old_stream_brings_is_not_wanted() {
        let mut partitions = streaming(5, 1);
        assert_eq!(partitions.wanted(&of(), 1), Some(Offset::new(5)));
        partitions.seek(of(), StartAt::Offset(Offset::new(2)));
        assert_eq!(partitions.wanted(&of(), 1), None);
        partitions.routed(&of(), 2, NOW);
        assert_eq!(partitions.wanted(&of(), 1), None);
        assert_eq!(partitions.wanted(&of(), 2), Some(Offset::new(2)));
    }

    #[test]
    fn a_position_never_goes_back_unless_sought() {
        let mut partitions = streaming(5, 1);
        partitions.advance(&of(), Offset::new(3));
        assert_eq!(partitions.position(&of()), Some(Offset::new(5)));
    }

    #[test]
    fn a_failure_that_lasts_is_told_again_and_again() {
        let mut partitions = streaming(5, 1);
        let after = |seconds| NOW + Duration::from_secs(seconds);
        assert_eq!(partitions.failed(&of(), NOW, 0), Patience::Left);
        assert_eq!(partitions.failed(&of(), after(9), 0), Patience::Left);
        assert_eq!(partitions.failed(&of(), after(10), 0), Patience::Exhausted);
        assert_eq!(partitions.failed(&of(), after(11), 0), Patience::Left);
        assert_eq!(partitions.failed(&of(), after(21), 0), Patience::Exhausted);
    }

    #[test]
    fn a_partition_that_was_served_for_long_has_stopped_failing_even_without_a_record() {
        let mut partitions = streaming(5, 1);
        assert_eq!(partitions.failed(&of(), NOW, 0), Patience::Left);
        let again = NOW + Duration::from_secs(1);
        partitions.routed(&of(), 2, again);
        let much_later = again + Duration::from_mins(10);
        assert_eq!(partitions.failed(&of(), much_later, 0), Patience::Left);
    }

    #[test]
    fn a_record_read_ends_the_failing() {
        let mut partitions = streaming(5, 1);
        partitions.failed(&of(), NOW, 0);
        partitions.routed(&of(), 2, NOW);
        partitions.advance(&of(), Offset::new(6));
        let later = NOW + Duration::from_mins(1);
        assert_eq!(partitions.failed(&of(), later, 0), Patience::Left);
    }

    #[test]
    fn a_halted_partition_rests_until_it_is_sought() {
        let mut partitions = streaming(5, 1);
        partitions.halt(&of());
        assert!(partitions.rest());
        assert_eq!(partitions.position(&of()), Some(Offset::new(5)));
        assert_eq!(partitions.next_wakeup(), None);
        partitions.seek(of(), StartAt::Offset(Offset::new(6)));
        assert!(!partitions.rest());
    }
}
