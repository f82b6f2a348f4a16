//! Connections for produce streams, shared by all producers of a client (ADR 13).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::available_parallelism;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use wire::framed;

use super::connect_for_bulk;
use crate::ClientError;

/// Most streams on one connection: half of what a broker takes where it has very many connections.
const MAX_STREAMS: usize = 64;

/// By address. Each lasts as long as a stream uses it.
#[derive(Clone, Debug)]
pub(crate) struct ProduceConnections {
    /// Connections to one broker, unless they are all full.
    enough: usize,
    open: Arc<Mutex<BTreeMap<String, Vec<Weak<Opening>>>>>,
}

/// A connection that somebody opens, or has opened.
#[derive(Debug)]
struct Opening {
    address: String,
    opened: Shared<BoxFuture<'static, Result<framed::Connection, ClientError>>>,
}

/// A place on a connection, for one stream.
#[derive(Debug)]
pub(crate) struct ProduceConnection {
    connections: ProduceConnections,
    opening: Arc<Opening>,
}

impl Default for ProduceConnections {
    /// One for each core: one connection is one core's work and one queue, and what goes over fewer
    /// of them arrives in fewer pieces, each of which wakes somebody.
    fn default() -> Self {
        Self::of(available_parallelism().map_or(1, usize::from))
    }
}

impl ProduceConnections {
    fn of(enough: usize) -> Self {
        Self { enough, open: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Weak<Opening>>>> {
        // Nothing panics under this lock; and what it guards is whole at any time.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on a connection to `address`: on a new one while there are not enough, otherwise on
    /// the one with the fewest streams. Nothing is opened yet.
    pub(crate) fn place(&self, address: &str) -> ProduceConnection {
        let mut open = self.lock();
        forget_unused(&mut open);
        let here = open.entry(address.to_owned()).or_default();
        let (count, free) = (here.len(), here.iter().filter(|it| it.strong_count() < MAX_STREAMS));
        let least = free.min_by_key(|opening| opening.strong_count()).and_then(Weak::upgrade);
        let shared = least.filter(|_| self.enough <= count);
        let opening = shared.unwrap_or_else(|| {
            let opening = Arc::new(Opening::new(address.to_owned()));
            here.push(Arc::downgrade(&opening));
            opening
        });
        drop(open);
        ProduceConnection { connections: self.clone(), opening }
    }
}

impl Opening {
    fn new(address: String) -> Self {
        let to = address.clone();
        let opened = async move { connect_for_bulk(&to).await }.boxed().shared();
        Self { address, opened }
    }
}

impl ProduceConnection {
    /// The connection, once it is there. When this fails, nothing was sent. It fails for all who
    /// wait for the same one.
    pub(crate) async fn opened(&self) -> Result<framed::Connection, ClientError> {
        self.opening.opened.clone().await
    }

    /// Has nobody else begin on this one: a stream on it has failed, and perhaps the connection
    /// has. Those that are on it find out for themselves.
    pub(crate) fn forget(&self) {
        let mut open = self.connections.lock();
        if let Some(here) = open.get_mut(&self.opening.address) {
            here.retain(|opening| opening.as_ptr() != Arc::as_ptr(&self.opening));
        }
        forget_unused(&mut open);
    }
}

/// Of the addresses that brokers had, too.
fn forget_unused(open: &mut BTreeMap<String, Vec<Weak<Opening>>>) {
    open.retain(|_, here| {
        here.retain(|opening| opening.strong_count() != 0);
        !here.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: &ProduceConnection, right: &ProduceConnection) -> bool {
        Arc::ptr_eq(&left.opening, &right.opening)
    }

    #[test]
    fn streams_share_a_connection_once_there_is_one_for_each_core() {
        let connections = ProduceConnections::of(2);
        let [first, second, third, fourth] = [(); 4].map(|()| connections.place("a:1"));
        assert!(!same(&first, &second));
        assert!(same(&third, &first) || same(&third, &second));
        assert!(!same(&third, &fourth), "the one with fewer streams is next");
        assert!(
            [first, second, third, fourth]
                .iter()
                .all(|of_a| { !same(of_a, &connections.place("b:1")) })
        );
    }

    #[test]
    fn a_connection_that_is_full_is_left_alone() {
        let connections = ProduceConnections::of(1);
        let full: Vec<_> = (0..MAX_STREAMS).map(|_| connections.place("a:1")).collect();
        assert!(full.iter().all(|other| same(&full[0], other)));
        assert!(!same(&full[0], &connections.place("a:1")));
    }

    #[test]
    fn nobody_begins_on_one_that_failed_or_that_nobody_uses() {
        let connections = ProduceConnections::of(1);
        let (failed, beside) = (connections.place("a:1"), connections.place("a:1"));
        failed.forget();
        let next = connections.place("a:1");
        assert!(same(&failed, &beside) && !same(&failed, &next));
        drop(next);
        assert!(!same(&beside, &connections.place("a:1")));
        drop((failed, beside));
        connections.place("b:1").forget();
        assert!(connections.lock().is_empty());
    }
}
