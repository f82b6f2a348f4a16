use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::timeout;
use tonic::Status;

use super::budget::Held;
use super::error::BoundError;
use super::framing::{Announced, Framing};
use super::peer::{Counted, Peer};
use super::purse::Purse;
use crate::to_status;

/// How the bytes of a request are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// The longest message.
    pub(super) longest: u64,
    /// What a message may take in memory once it is decoded, for each of its bytes.
    pub(super) unfolds_to: usize,
}

impl Rate {
    fn of(self, bytes: u64) -> usize {
        usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(self.unfolds_to)
    }
}

/// What a request holds from its first byte until it has been answered; a stream, until its next
/// message is asked for.
#[derive(Debug, Default)]
pub(super) struct Receipt {
    held: Mutex<Held>,
    answered: AtomicBool,
}

impl Receipt {
    fn add(&self, more: Held) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).absorb(more);
    }

    fn shared_bytes(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).shared_bytes()
    }

    /// The answer has begun. Whoever still reads the request has done with what it read before.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    fn keep_only(&self, bytes: usize) {
        if self.answered.load(Ordering::Acquire) {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).shrink_to(bytes);
        }
    }
}

type Waiting = Pin<Box<dyn Future<Output = Result<Held, BoundError>> + Send>>;

/// The body of a request. Gives out no more than there is memory for.
pub(super) struct Received<B> {
    inner: B,
    peer: Peer,
    purse: Purse,
    receipt: Arc<Receipt>,
    rate: Rate,
    framing: Framing,
    patience: Duration,
    /// What came, until there is memory for it.
    waiting: Option<(Bytes, Waiting)>,
    /// While the client owes the rest of a message.
    incomplete: Option<Counted>,
}

impl<B> Received<B> {
    /// `purse` is that of requests, not of answers.
    pub(super) fn new(
        inner: B,
        (peer, purse): (Peer, Purse),
        receipt: Arc<Receipt>,
        rate: Rate,
        patience: Duration,
    ) -> Self {
        let framing = Framing::default();
        let (waiting, incomplete) = (None, None);
        Self { inner, peer, purse, receipt, rate, framing, patience, waiting, incomplete }
    }

    /// Counts what came: each message whole when it begins, since memory for it is taken then. So
    /// one that was begun never waits, and no two can wait for each other.
    fn take(&mut self, bytes: Bytes) -> Result<Option<Bytes>, BoundError> {
        let Announced { total, longest } = self.framing.follow(&bytes);
        if self.rate.longest < longest {
            return Err(BoundError::TooLarge { announced: longest, limit: self.rate.longest });
        }
        let counted = self.rate.of(total);
        if let Some(held) = self.purse.try_take(counted) {
            self.receipt.add(held);
            return Ok(Some(bytes));
        }
        let (purse, patience) = (self.purse.clone(), self.patience);
        let room = async move {
            timeout(patience, purse.take(counted)).await.map_err(|_elapsed| BoundError::Received)
        };
        self.waiting = Some((bytes, Box::pin(room)));
        Ok(None)
    }

    /// Gives out what waited, once there is memory for it.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoundError>>> {
        let Some((bytes, mut room)) = self.waiting.take() else { return Poll::Ready(None) };
        match room.as_mut().poll(cx) {
            Poll::Pending => {
                self.waiting = Some((bytes, room));
                Poll::Pending
            }
            Poll::Ready(Ok(held)) => {
                self.receipt.add(held);
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl<B> Body for Received<B>
where
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(waited) = ready!(this.poll_waiting(cx)) {
            return Poll::Ready(Some(waited.map(Frame::data).map_err(|error| to_status(&error))));
        }
        let current = this.rate.of(this.framing.current());
        this.receipt.keep_only(current);
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            if this.incomplete.is_none() && current != 0 && this.receipt.shared_bytes() != 0 {
                this.incomplete = Some(this.peer.incomplete());
            }
            return Poll::Pending;
        };
        this.incomplete = None;
        let bytes = match frame {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => bytes,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
        };
        match this.take(bytes) {
            Ok(Some(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Ok(None) => match ready!(this.poll_waiting(cx)) {
                Some(waited) => {
                    Poll::Ready(Some(waited.map(Frame::data).map_err(|error| to_status(&error))))
                }
                None => Poll::Ready(None),
            },
            Err(error) => Poll::Ready(Some(Err(to_status(&error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.waiting.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

#[cfg(test)]
mod tests;
