use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

use super::peer::Peer;
use super::watch::Registered;
use crate::turn::Turn;

/// Fewer bytes than this cost more to send than to gather.
const LITTLE: usize = 4 * 1024;

/// A connection whose doings are counted, and that can be ended from outside.
#[derive(Debug)]
pub(super) struct Connection<S> {
    socket: S,
    peer: Peer,
    turn: Turn,
    _registered: Registered,
    /// Its place among the connections, and its wide windows if it has any.
    _places: Vec<OwnedSemaphorePermit>,
}

impl<S> Connection<S> {
    pub(super) fn new(
        socket: S,
        peer: Peer,
        registered: Registered,
        places: Vec<OwnedSemaphorePermit>,
    ) -> Self {
        Self { socket, peer, turn: Turn::new(), _registered: registered, _places: places }
    }

    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        if self.peer.is_cut(cx.waker()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "cut off"));
        }
        Ok(())
    }

    /// Before little is sent, lets the other requests say what they have to: a few of them are
    /// usually answered at the same time, and HTTP/2 frames that are shorter than some hundred
    /// bytes lie in one buffer until then. A longer one is a slice of its own, behind which there
    /// will be no other before it is sent.
    fn gather(&mut self, cx: &Context<'_>, slices: &[IoSlice<'_>]) -> Poll<()> {
        let mut lengths = slices.iter().map(|slice| slice.len()).filter(|length| *length != 0);
        let is_little = lengths.next().is_some_and(|length| length < LITTLE);
        if is_little && lengths.next().is_none() && self.peer.has_many_requests() {
            self.turn.poll_passed(cx)
        } else {
            Poll::Ready(())
        }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.peer.note_written(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.peer.note_blocked(),
        }
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        let before = into.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(cx, into);
        this.peer.note_read(into.filled().len().saturating_sub(before));
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        ready!(this.gather(cx, &[IoSlice::new(bytes)]));
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.note(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        ready!(this.gather(cx, slices));
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio::join;

    use super::super::watch::Register;
    use super::*;

    /// What was written, write by write.
    #[derive(Clone, Debug, Default)]
    struct Socket(Arc<Mutex<Vec<usize>>>);

    impl Socket {
        fn writes(&self) -> Vec<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes while another task is ready to run; how much was written before that one ran.
    async fn written_before_others(peer: &Peer, bytes: &[u8]) -> usize {
        let socket = Socket::default();
        let registered = Register::default().add(peer.clone());
        let mut connection = Connection::new(socket.clone(), peer.clone(), registered, Vec::new());
        let writing = async {
            let write = |cx: &mut Context<'_>| Pin::new(&mut connection).poll_write(cx, bytes);
            assert_eq!(poll_fn(write).await.unwrap(), bytes.len());
        };
        let other = tokio::spawn({
            let socket = socket.clone();
            async move { socket.writes().len() }
        });
        let ((), before) = join!(writing, other);
        assert_eq!(socket.writes(), [bytes.len()]);
        before.unwrap()
    }

    #[tokio::test]
    async fn little_goes_out_once_the_other_requests_have_spoken() {
        let peer = Peer::of_own(0);
        let _requests = (peer.request(), peer.request());
        assert_eq!(written_before_others(&peer, &[0; LITTLE - 1]).await, 0);
        assert_eq!(written_before_others(&peer, &[0; LITTLE]).await, 1, "much goes at once");
    }

    #[tokio::test]
    async fn nobody_waits_for_others_who_is_alone() {
        let peer = Peer::of_own(0);
        let _request = peer.request();
        assert_eq!(written_before_others(&peer, b"little").await, 1);
    }

    /// What comes of the first attempt to write these while two requests are open.
    async fn first_attempt(peer: &Peer, parts: [&[u8]; 2]) -> Poll<io::Result<usize>> {
        let _requests = (peer.request(), peer.request());
        let registered = Register::default().add(peer.clone());
        let mut connection =
            Connection::new(Socket::default(), peer.clone(), registered, Vec::new());
        let slices = parts.map(IoSlice::new);
        let write = |cx: &mut Context<'_>| {
            Poll::Ready(Pin::new(&mut connection).poll_write_vectored(cx, &slices))
        };
        poll_fn(write).await
    }

    /// It would be cut off as one whose socket takes nothing.
    #[tokio::test]
    async fn one_who_waits_for_others_is_not_blocked() {
        let peer = Peer::of_own(0);
        assert!(first_attempt(&peer, [b"", b"little"]).await.is_pending());
        assert!(!peer.doings().blocked);
    }

    #[tokio::test]
    async fn a_frame_that_nothing_can_follow_does_not_wait() {
        assert!(first_attempt(&Peer::of_own(0), [b"header", b"payload"]).await.is_ready());
    }
}
