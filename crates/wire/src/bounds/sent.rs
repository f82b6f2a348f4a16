use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::peer::Counted;
use super::purse::{Leaving, Owed};

/// What an open request holds, whatever it is about.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) _counted: Counted,
    /// Absent if it is one of the connection's own.
    pub(super) _shared: Option<OwnedSemaphorePermit>,
}

/// The body of an answer. What leaves it is counted until the socket has it.
pub(super) struct Sent<B> {
    inner: B,
    owed: Option<Owed>,
    /// The request is open until its answer has ended.
    _open: Open,
}

/// Bytes that give back what they hold when the last one who needs them drops them.
struct Counting {
    bytes: Bytes,
    _leaving: Leaving,
}

impl AsRef<[u8]> for Counting {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<B> Sent<B> {
    pub(super) const fn new(inner: B, owed: Option<Owed>, open: Open) -> Self {
        Self { inner, owed, _open: open }
    }

    fn counting(&self, bytes: Bytes) -> Bytes {
        let leaving = self.owed.as_ref().map(|owed| owed.part(bytes.len()));
        match leaving {
            Some(leaving) if !leaving.is_nothing() => {
                Bytes::from_owner(Counting { bytes, _leaving: leaving })
            }
            Some(_) | None => bytes,
        }
    }
}

impl<B> Body for Sent<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(|bytes| this.counting(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
