use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use cluster::ListenerName;
use futures::task::AtomicWaker;

/// One connection, as those see it who count what it holds.
#[derive(Clone, Debug)]
pub(super) struct Peer(Arc<State>);

#[derive(Debug)]
struct State {
    admitted: Admitted,
    /// By which it came; `None` is the one without a name.
    listener: Option<ListenerName>,
    own_left: AtomicUsize,
    /// Shared bytes of answers that it has not taken yet.
    owed: AtomicUsize,
    /// Requests that hold shared bytes and wait for the rest of a message.
    incomplete: AtomicUsize,
    requests: AtomicUsize,
    read: AtomicU64,
    written: AtomicU64,
    /// The socket took nothing when it was last offered something.
    blocked: AtomicBool,
    cut: AtomicBool,
    io: AtomicWaker,
}

/// How a connection was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// To be served.
    Within,
    /// To be told that there are too many.
    Beyond,
}

/// What a connection does, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Doings {
    /// Bytes read from it so far.
    pub(super) read: u64,
    /// Bytes its socket took so far.
    pub(super) written: u64,
    /// Shared bytes of answers that it has not taken yet.
    pub(super) owed: usize,
    /// Requests that hold shared bytes and wait for the rest of a message.
    pub(super) incomplete: usize,
    /// Requests that are open.
    pub(super) requests: usize,
    /// Whether its socket takes nothing.
    pub(super) blocked: bool,
}

impl Peer {
    pub(super) fn new(
        admitted: Admitted,
        own_bytes: usize,
        listener: Option<ListenerName>,
    ) -> Self {
        Self(Arc::new(State {
            admitted,
            listener,
            own_left: AtomicUsize::new(own_bytes),
            owed: AtomicUsize::new(0),
            incomplete: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            io: AtomicWaker::new(),
        }))
    }

    #[cfg(test)]
    pub(super) fn of_own(bytes: usize) -> Self {
        Self::new(Admitted::Within, bytes, None)
    }

    pub(super) fn admitted(&self) -> Admitted {
        self.0.admitted
    }

    pub(super) fn listener(&self) -> Option<&ListenerName> {
        self.0.listener.as_ref()
    }

    /// Up to `wanted` of its own bytes.
    pub(super) fn own(&self, wanted: usize) -> Own {
        let mut bytes = 0;
        let take = |left: usize| {
            bytes = wanted.min(left);
            left.checked_sub(bytes)
        };
        // The closure always finds an answer.
        self.0.own_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok();
        Own { peer: self.clone(), bytes }
    }

    pub(super) fn doings(&self) -> Doings {
        let State { owed, incomplete, requests, read, written, blocked, .. } = &*self.0;
        Doings {
            read: read.load(Ordering::Relaxed),
            written: written.load(Ordering::Relaxed),
            owed: owed.load(Ordering::Relaxed),
            incomplete: incomplete.load(Ordering::Relaxed),
            requests: requests.load(Ordering::Relaxed),
            blocked: blocked.load(Ordering::Relaxed),
        }
    }

    /// Whether more than one request is open.
    pub(super) fn has_many_requests(&self) -> bool {
        1 < self.0.requests.load(Ordering::Relaxed)
    }

    pub(super) fn note_read(&self, bytes: usize) {
        self.0.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn note_written(&self, bytes: usize) {
        self.0.written.fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.blocked.store(false, Ordering::Relaxed);
    }

    pub(super) fn note_blocked(&self) {
        self.0.blocked.store(true, Ordering::Relaxed);
    }

    /// Counts an open request until the result is dropped. Also tells how many there were before.
    pub(super) fn request(&self) -> (Counted, usize) {
        let before = self.0.requests.load(Ordering::Relaxed);
        (Counted::one(self, |state| &state.requests), before)
    }

    /// Counts a request that waits for the rest of a message, until the result is dropped.
    pub(super) fn incomplete(&self) -> Counted {
        Counted::one(self, |state| &state.incomplete)
    }

    /// Counts shared bytes that it has not taken yet, until the result is dropped.
    pub(super) fn owes(&self, bytes: usize) -> Counted {
        Counted::new(self, |state| &state.owed, bytes)
    }

    /// Ends the connection, whatever it is doing.
    pub(super) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.io.wake();
    }

    /// Whether it was ended. If not, `waker` is woken once it is.
    pub(super) fn is_cut(&self, waker: &Waker) -> bool {
        self.0.io.register(waker);
        self.0.cut.load(Ordering::Acquire)
    }
}

/// Bytes of a connection's own, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Own {
    peer: Peer,
    bytes: usize,
}

impl Own {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Takes `bytes` out of it, no more than there are.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { peer: self.peer.clone(), bytes }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.peer.0.own_left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// Something of a connection that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    peer: Peer,
    counter: fn(&State) -> &AtomicUsize,
    amount: usize,
}

impl Counted {
    fn one(peer: &Peer, counter: fn(&State) -> &AtomicUsize) -> Self {
        Self::new(peer, counter, 1)
    }

    fn new(peer: &Peer, counter: fn(&State) -> &AtomicUsize, amount: usize) -> Self {
        counter(&peer.0).fetch_add(amount, Ordering::Relaxed);
        Self { peer: peer.clone(), counter, amount }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.counter)(&self.peer.0).fetch_sub(self.amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_no_more_than_its_own() {
        let peer = Peer::of_own(10);
        let first = peer.own(8);
        let second = peer.own(8);
        assert_eq!((first.bytes(), second.bytes()), (8, 2));
        assert_eq!(peer.own(1).bytes(), 0);
        drop(first);
        assert_eq!(peer.own(100).bytes(), 8);
    }

    #[test]
    fn what_is_counted_is_counted_until_it_is_dropped() {
        let peer = Peer::of_own(0);
        let counted = (peer.request().0, peer.incomplete(), peer.owes(70));
        let Doings { requests, incomplete, owed, .. } = peer.doings();
        assert_eq!((requests, incomplete, owed), (1, 1, 70));
        drop(counted);
        assert_eq!(peer.doings(), Doings::default());
    }
}
