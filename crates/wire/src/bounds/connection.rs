use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

use super::peer::Peer;
use super::watch::Registered;

/// A connection whose doings are counted, and that can be ended from outside.
#[derive(Debug)]
pub(super) struct Connection<S> {
    socket: S,
    peer: Peer,
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
        Self { socket, peer, _registered: registered, _places: places }
    }

    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        if self.peer.is_cut(cx.waker()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "cut off"));
        }
        Ok(())
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
