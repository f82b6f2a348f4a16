use std::collections::VecDeque;
use std::time::Duration;

use types::Offset;

/// What must hold before a producer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nothing: it is answered before the append.
    None,
    /// The leader's log holds the records, as durably as the topic asks.
    Leader,
    /// The records are committed: every in-sync replica holds them, and enough are in sync.
    All,
}

/// An append the log has not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Writing<R> {
    /// Gone once the producer was answered, be it early (acks none) or for the time it took.
    pub(crate) reply: Option<R>,
    pub(crate) acks: Acks,
    pub(crate) deadline: Duration,
}

/// An append that lies in the log and whose producer waits for more.
#[derive(Clone, Debug)]
pub(crate) struct Written<R> {
    pub(crate) reply: R,
    pub(crate) base_offset: Offset,
    pub(crate) end: Offset,
    pub(crate) deadline: Duration,
}

/// Producers that wait for one and the same end to pass their records; oldest first, and so in
/// the order of their offsets.
#[derive(Clone, Debug)]
pub(crate) struct Waiting<R>(VecDeque<Written<R>>);

impl<R> Waiting<R> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn push(&mut self, written: Written<R>) {
        self.0.push_back(written);
    }

    /// The oldest one whose records all lie before `end`.
    pub(crate) fn pop_before(&mut self, end: Offset) -> Option<Written<R>> {
        self.0.pop_front_if(|oldest| oldest.end <= end)
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.0.iter().map(|written| written.deadline).min()
    }

    /// Takes out those whose time is up, oldest first.
    pub(crate) fn take_due(&mut self, now: Duration) -> Vec<R> {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        let (due, waiting) =
            self.0.drain(..).partition::<VecDeque<_>, _>(|written| written.deadline <= now);
        self.0 = waiting;
        due.into_iter().map(|written| written.reply).collect()
    }
}
