//! What streams of one connection write, by a real HTTP/2.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{client, server};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{DuplexStream, Join, ReadHalf, WriteHalf, duplex, join, split};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

/// What they say together is not [`MUCH`].
const STREAMS: usize = 16;
/// Far longer than it takes.
const AT_MOST: Duration = Duration::from_secs(20);

/// Counts what it is given to send.
#[derive(Debug)]
struct Counting {
    socket: WriteHalf<DuplexStream>,
    writes: Arc<AtomicUsize>,
}

impl AsyncWrite for Counting {
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
        this.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut this.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// Sends back whatever a stream brings.
async fn echo(socket: DuplexStream) {
    let echo = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let server = server::conn::http2::Builder::new(TokioExecutor::new());
    server.serve_connection(TokioIo::new(socket), echo).await.unwrap();
}

/// What is read from one end, and sent to it by way of a count.
type Counted = Join<ReadHalf<DuplexStream>, Counting>;

/// How many writes it takes all streams to say a KiB at the same time, each of which is heard back.
async fn writes_of<S>(ours: impl FnOnce(Counted) -> S) -> usize
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (socket, theirs) = duplex(1 << 20);
    tokio::spawn(echo(theirs));
    let writes = Arc::new(AtomicUsize::new(0));
    let (reader, socket) = split(socket);
    let ours = ours(join(reader, Counting { socket, writes: Arc::clone(&writes) }));
    let client = client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut requests, connection) = client.handshake(TokioIo::new(ours)).await.unwrap();
    tokio::spawn(connection);
    let (mut says, mut hears) = (Vec::new(), Vec::new());
    for _ in 0..STREAMS {
        let (say, said) = mpsc::channel::<Bytes>(1);
        let said = ReceiverStream::new(said).map(|said| Ok::<_, Infallible>(Frame::data(said)));
        let request = Request::new(StreamBody::new(said).boxed_unsync());
        hears.push(requests.send_request(request).await.unwrap().into_body());
        says.push(say);
    }
    let before = writes.load(Ordering::Relaxed);
    for say in &says {
        say.try_send(Bytes::from_static(&[b's'; 1024])).unwrap();
    }
    for heard in &mut hears {
        let mut bytes = 0;
        while bytes < 1024 {
            bytes += heard.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
    }
    writes.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn what_streams_say_at_the_same_time_shares_few_writes() {
    let gathered = timeout(AT_MOST, writes_of(Gathering::new)).await.unwrap();
    assert!(gathered <= STREAMS / 4, "{gathered} writes of {STREAMS} streams");
    let by_h2_alone = timeout(AT_MOST, writes_of(|counting| counting)).await.unwrap();
    assert!(STREAMS <= by_h2_alone, "if h2 gathers by itself, nobody else has to");
}
