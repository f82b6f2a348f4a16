use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::turn::Turn;

#[cfg(test)]
mod http2;

/// A write of so many bytes goes out by itself, from where they lie.
const MUCH: usize = 32 * 1024;
/// Most bytes that are gathered.
const ROOM: usize = 64 * 1024;

/// A socket to which many write a little each, as the streams of one connection do: what they write
/// goes out together, once all of them had their [`Turn`]. A frame of HTTP/2 is a write by itself,
/// and to send it and take it in costs more than to copy it.
///
/// Whoever flushes is not made to wait for that, since it would write nothing meanwhile: a flush is
/// done although something is held. It must flush again when it is woken, which the turn sees to,
/// as h2 does whenever its connection is polled. Shutting down sends what is held.
#[derive(Debug)]
pub(crate) struct Gathering<S> {
    socket: S,
    /// What is to be sent, behind what was. Has room for [`ROOM`] once it is used.
    held: Vec<u8>,
    /// Of what is held.
    sent: usize,
    turn: Turn,
}

impl<S> Gathering<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, held: Vec::new(), sent: 0, turn: Turn::new() }
    }

    const fn unsent(&self) -> usize {
        self.held.len() - self.sent
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    /// Sends what is held.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(unsent) = self.held.get(self.sent..).filter(|unsent| !unsent.is_empty()) {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.held.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Makes room behind what is held for so many bytes more, which are not much.
    fn poll_room(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        if ROOM < self.unsent() + bytes {
            ready!(self.poll_send(cx))?;
        }
        if ROOM < self.held.len() + bytes {
            self.held.drain(..self.sent);
            self.sent = 0;
        }
        // All of it at once, and never more.
        self.held.reserve_exact(ROOM - self.held.len());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        if MUCH <= bytes {
            ready!(this.poll_send(cx))?;
            return Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        }
        ready!(this.poll_room(cx, bytes))?;
        for slice in slices {
            this.held.extend_from_slice(slice);
        }
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if 0 < this.unsent() {
            // What is much already does not wait for more.
            if this.unsent() < MUCH && this.turn.poll_passed(cx).is_pending() {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_send(cx))?;
        }
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Takes so many bytes at once, or nothing for now if that is 0; what comes when it has no such
    /// number left it takes whole.
    #[derive(Debug, Default)]
    struct Socket {
        takes: Vec<usize>,
        taken: Vec<u8>,
        /// The length of each write.
        writes: Vec<usize>,
        is_shut: bool,
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            let takes = this.takes.pop().unwrap_or(bytes.len()).min(bytes.len());
            if takes == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.taken.extend(bytes.get(..takes).unwrap());
            this.writes.push(takes);
            Poll::Ready(Ok(takes))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.get_mut().is_shut = true;
            Poll::Ready(Ok(()))
        }
    }

    fn write_now(gathering: &mut Gathering<Socket>, bytes: &[u8]) -> Poll<usize> {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(gathering).poll_write(&mut cx, bytes).map(Result::unwrap)
    }

    /// Flushes whenever it is woken, as a connection does, until all is sent.
    async fn flush<S: AsyncWrite + Unpin>(gathering: &mut Gathering<S>) -> io::Result<()> {
        poll_fn(|cx| {
            ready!(Pin::new(&mut *gathering).poll_flush(cx))?;
            if 0 < gathering.unsent() { Poll::Pending } else { Poll::Ready(Ok(())) }
        })
        .await
    }

    #[tokio::test]
    async fn what_is_written_and_flushed_frame_by_frame_goes_out_together() {
        let mut gathering = Gathering::new(Socket::default());
        poll_fn(|cx| {
            for part in [&b"one "[..], b"two ", b"three"] {
                let written = Pin::new(&mut gathering).poll_write(cx, part);
                assert!(matches!(written, Poll::Ready(Ok(length)) if length == part.len()));
                assert!(Pin::new(&mut gathering).poll_flush(cx).is_ready(), "it may go on");
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(gathering.socket.writes, Vec::<usize>::new());
        flush(&mut gathering).await.unwrap();
        assert_eq!(gathering.socket.taken, b"one two three");
        assert_eq!(gathering.socket.writes, [13]);
    }

    #[tokio::test]
    async fn whoever_flushes_is_woken_to_send_it_and_needs_nobody_else_for_that() {
        let mut gathering = Gathering::new(Socket::default());
        for _ in 0..3 {
            gathering.write_all(b"mine").await.unwrap();
            gathering.flush().await.unwrap();
            flush(&mut gathering).await.unwrap();
        }
        assert_eq!(gathering.socket.writes, [4, 4, 4]);
    }

    #[tokio::test]
    async fn what_has_become_much_does_not_wait() {
        let mut gathering = Gathering::new(Socket::default());
        for _ in 0..2 {
            gathering.write_all(&vec![b'h'; MUCH / 2]).await.unwrap();
        }
        gathering.flush().await.unwrap();
        assert_eq!(gathering.socket.writes, [MUCH]);
    }

    #[tokio::test]
    async fn its_memory_has_a_bound() {
        let takes = (0..500).map(|number| 1 + number * 37 % 20_000).collect();
        let mut gathering = Gathering::new(Socket { takes, ..Socket::default() });
        for _ in 0..200 {
            gathering.write_all(&vec![b'm'; 10_000]).await.unwrap();
            gathering.flush().await.unwrap();
            assert!(gathering.held.capacity() <= ROOM, "{}", gathering.held.capacity());
        }
    }

    #[tokio::test]
    async fn much_goes_out_by_itself_behind_what_is_held() {
        let mut gathering = Gathering::new(Socket::default());
        gathering.write_all(b"little").await.unwrap();
        gathering.write_all(&vec![b'm'; MUCH]).await.unwrap();
        assert_eq!(gathering.socket.writes, [6, MUCH]);
        assert!(gathering.socket.taken.starts_with(b"littlemm"));
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let mut gathering = Gathering::new(Socket { takes: vec![0; 2], ..Socket::default() });
        let some = vec![b's'; MUCH - 1];
        assert_eq!(write_now(&mut gathering, &some), Poll::Ready(some.len()));
        assert_eq!(write_now(&mut gathering, &some), Poll::Ready(some.len()));
        assert_eq!(write_now(&mut gathering, &some), Poll::Pending, "the socket takes nothing");
        assert_eq!(write_now(&mut gathering, &some), Poll::Pending);
        assert_eq!(write_now(&mut gathering, &some), Poll::Ready(some.len()));
        assert_eq!(gathering.socket.writes, [2 * some.len()]);
    }

    #[tokio::test]
    async fn nothing_is_held_back_by_the_end() {
        let mut gathering = Gathering::new(Socket::default());
        gathering.write_all(b"the end").await.unwrap();
        gathering.shutdown().await.unwrap();
        assert_eq!(
            (&gathering.socket.taken[..], gathering.socket.is_shut),
            (&b"the end"[..], true)
        );
    }

    #[tokio::test]
    async fn a_socket_that_takes_no_more_is_an_error() {
        #[derive(Debug)]
        struct Full;
        impl AsyncWrite for Full {
            fn poll_write(
                self: Pin<&mut Self>,
                _cx: &mut Context<'_>,
                _bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Poll::Ready(Ok(0))
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
        let mut gathering = Gathering::new(Full);
        gathering.write_all(b"in vain").await.unwrap();
        let refused = flush(&mut gathering).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WriteZero);
    }

    proptest! {
        #[test]
        fn all_of_it_arrives_in_order(
            writes in prop::collection::vec((0_usize..3 * MUCH, any::<bool>()), 0..12),
            takes in prop::collection::vec(0_usize..2 * MUCH, 0..40),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (sent, taken) = runtime.block_on(async {
                let mut gathering = Gathering::new(Socket { takes, ..Socket::default() });
                let mut sent = Vec::new();
                for (number, (len, flushes)) in writes.into_iter().enumerate() {
                    let part = vec![u8::try_from(number).unwrap(); len];
                    gathering.write_all(&part).await.unwrap();
                    sent.extend(part);
                    gathering.flush().await.unwrap();
                    if flushes {
                        flush(&mut gathering).await.unwrap();
                        assert_eq!(gathering.socket.taken, sent);
                    }
                }
                gathering.shutdown().await.unwrap();
                (sent, gathering.socket.taken)
            });
            prop_assert_eq!(sent, taken);
        }
    }
}
