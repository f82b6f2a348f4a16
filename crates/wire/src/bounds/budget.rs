use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::Own;

/// Bytes that all connections share. Whoever wants more than are free waits in line.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    total: usize,
    waiting: Arc<AtomicUsize>,
}

impl Budget {
    pub(super) fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(total));
        Self { free, total, waiting: Arc::new(AtomicUsize::new(0)) }
    }

    /// So many bytes, if they are free and nobody waits before us.
    pub(super) fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_many_owned(self.permits(bytes)).ok()
    }

    /// So many bytes, once they are free. More than there are at all means all of them.
    pub(super) async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let _waiting = Waiting::new(&self.waiting);
        // It is never closed.
        Arc::clone(&self.free).acquire_many_owned(self.permits(bytes)).await.ok()
    }

    /// How many there are, free or not.
    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// Whether somebody waits.
    pub(super) fn is_wanted(&self) -> bool {
        0 < self.waiting.load(Ordering::Relaxed)
    }

    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }
}

/// Counts one who waits, also if it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that are counted until this is dropped: the connection's own, and shared ones.
#[derive(Debug, Default)]
pub struct Held {
    own: Option<Own>,
    shared: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(super) const fn new(own: Option<Own>, shared: Option<OwnedSemaphorePermit>) -> Self {
        Self { own, shared }
    }

    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.own_bytes().saturating_add(self.shared_bytes())
    }

    fn own_bytes(&self) -> usize {
        self.own.as_ref().map_or(0, Own::bytes)
    }

    pub(super) fn shared_bytes(&self) -> usize {
        self.shared.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Takes over what `other` holds, of the same connection and budget.
    pub fn absorb(&mut self, other: Self) {
        self.own = match (self.own.take(), other.own) {
            (Some(mut own), Some(more)) => {
                own.absorb(more);
                Some(own)
            }
            (own, more) => own.or(more),
        };
        self.shared = match (self.shared.take(), other.shared) {
            (Some(mut shared), Some(more)) => {
                shared.merge(more);
                Some(shared)
            }
            (shared, more) => shared.or(more),
        };
    }

    /// Takes up to `bytes` out of it. Shared ones first: others may want them.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let from_shared = bytes.min(self.shared_bytes());
        let shared = self.shared.as_mut().and_then(|shared| shared.split(from_shared));
        let from_own = bytes.saturating_sub(from_shared).min(self.own_bytes());
        let own = self.own.as_mut().map(|own| own.split(from_own));
        Self { own, shared }
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        drop(self.split(self.bytes().saturating_sub(bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::Peer;
    use super::*;

    fn held(peer: &Peer, own: usize, budget: &Budget, shared: usize) -> Held {
        Held::new(Some(peer.own(own)), budget.try_take(shared))
    }

    #[test]
    fn what_is_dropped_is_free_again() {
        let budget = Budget::new(10);
        let taken = budget.try_take(8).unwrap();
        assert!(budget.try_take(3).is_none());
        drop(taken);
        assert!(budget.try_take(10).is_some());
    }

    #[test]
    fn more_than_there_is_means_all_there_is() {
        let budget = Budget::new(10);
        let _all = budget.try_take(1_000).unwrap();
        assert!(budget.try_take(1).is_none());
    }

    #[tokio::test]
    async fn it_is_wanted_while_somebody_waits() {
        let budget = Budget::new(10);
        let taken = budget.try_take(8);
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(5).await.map(|permit| permit.num_permits()) }
        });
        while !budget.is_wanted() {
            tokio::task::yield_now().await;
        }
        assert!(budget.try_take(1).is_none(), "the line is kept");
        drop(taken);
        assert_eq!(waiting.await.unwrap(), Some(5));
        assert!(!budget.is_wanted());
    }

    #[test]
    fn shared_bytes_are_given_back_before_the_connections_own() {
        let budget = Budget::new(100);
        let peer = Peer::of_own(50);
        let mut held = held(&peer, 20, &budget, 30);
        let first = held.split(40);
        assert_eq!((first.shared_bytes(), first.bytes()), (30, 40));
        assert_eq!((held.shared_bytes(), held.bytes()), (0, 10));
        held.absorb(first);
        held.shrink_to(25);
        assert_eq!((held.shared_bytes(), held.bytes()), (5, 25));
        drop(held);
        assert_eq!(peer.own(1_000).bytes(), 50);
        assert!(budget.try_take(100).is_some());
    }
}
