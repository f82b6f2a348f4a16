use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tower::{Layer, Service};

use super::Bounds;
use super::budget::Budget;
use super::error::BoundError;
use super::peer::{Admitted, Peer};
use super::purse::{Owed, Purse};
use super::received::{Rate, Receipt, Received};
use super::sent::{Open, Sent};
use crate::to_status;
use crate::transport::MAX_MESSAGE_BYTES;

/// How long a message may be that carries no records: what names ten thousand partitions is
/// shorter.
const LONGEST_PLAIN: u64 = 4 * 1024 * 1024;
/// What a message that carries no records may take in memory, for each of its bytes. The least
/// that names a partition is seven bytes long and takes some two hundred.
const PLAIN_UNFOLDS_TO: usize = 32;
/// Open requests that every connection may have, whatever the others do.
const OWN_REQUESTS: usize = 4;
/// Calls of a kind that an operator makes by hand, or a load balancer every few seconds.
const ASIDE_AT_ONCE: usize = 64;

/// Which requests carry batches: they are long, and take little more when they are decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct CarriesBatches(pub(super) fn(path: &str) -> bool);

/// Counts what requests and answers hold.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    pub(super) requests: Arc<Semaphore>,
    aside: Arc<Semaphore>,
    pub(super) received: Budget,
    pub(super) bounds: Bounds,
    carries_batches: CarriesBatches,
}

impl Counter {
    pub(super) fn new(bounds: Bounds, received: Budget, carries_batches: CarriesBatches) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Self {
            requests: semaphore(bounds.requests.min(Semaphore::MAX_PERMITS)),
            aside: semaphore(ASIDE_AT_ONCE),
            received,
            bounds,
            carries_batches,
        }
    }

    /// Counts one more request, if there may be one.
    fn open(&self, peer: &Peer, path: &str) -> Result<Open, BoundError> {
        if peer.admitted() == Admitted::Beyond {
            return Err(BoundError::Connections { limit: self.bounds.connections });
        }
        let (counted, before) = peer.request();
        // Whether a full server is well must still be told, and what it serves.
        let is_aside = path.starts_with("/grpc.");
        if !is_aside && before < OWN_REQUESTS {
            return Ok(Open { _counted: counted, _shared: None });
        }
        let (places, limit) = if is_aside {
            (&self.aside, ASIDE_AT_ONCE)
        } else {
            (&self.requests, self.bounds.requests)
        };
        let place = Arc::clone(places).try_acquire_owned();
        let place = place.map_err(|_none_left| BoundError::Requests { limit })?;
        Ok(Open { _counted: counted, _shared: Some(place) })
    }

    fn rate(&self, path: &str) -> Rate {
        if (self.carries_batches.0)(path) {
            Rate { longest: MAX_MESSAGE_BYTES as u64, unfolds_to: 1 }
        } else {
            Rate { longest: LONGEST_PLAIN, unfolds_to: PLAIN_UNFOLDS_TO }
        }
    }

    fn patience(&self) -> Duration {
        self.bounds.stall
    }
}

/// Puts a [`Counter`] before a service.
#[derive(Clone, Debug)]
pub(super) struct CounterLayer(pub(super) Counter);

impl<S> Layer<S> for CounterLayer {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner, counter: self.0.clone() }
    }
}

/// A service whose requests and answers are counted.
#[derive(Clone, Debug)]
pub(super) struct Counting<S> {
    inner: S,
    counter: Counter,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S, B> Service<Request<Body>> for Counting<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        // Absent only where a server was put together without a door.
        let Some(peer) = request.extensions().get::<Peer>().cloned() else {
            let answer = self.inner.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Body::new)) });
        };
        let path = request.uri().path();
        let open = match self.counter.open(&peer, path) {
            Ok(open) => open,
            Err(error) => return Box::pin(ready(Ok(to_status(&error).into_http()))),
        };
        let rate = self.counter.rate(path);
        let patience = self.counter.patience();
        let receipt = Arc::new(Receipt::default());
        let purse = Purse::new(peer.clone(), self.counter.received.clone());
        let counted = request.map(|body| {
            let receipt = Arc::clone(&receipt);
            Body::new(Received::new(body, (peer, purse), receipt, rate, patience))
        });
        let answer = self.inner.call(counted);
        Box::pin(async move {
            let mut answer = answer.await?;
            receipt.answered();
            let owed = answer.extensions_mut().remove::<Owed>();
            Ok(answer.map(|body| Body::new(Sent::new(body, owed, open))))
        })
    }
}
