//! Transport settings that every server and every channel share.
//!
//! Measured on one machine with 1 MiB messages over loopback: HTTP/2 frames of 256 KiB instead of
//! 16 KiB save a third of the CPU, frames of 1 MiB the copy that puts them together; and without
//! `TCP_NODELAY` small pipelined messages run at a tenth of the speed.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body::Body;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};

use crate::gathering::Gathering;

/// Largest HTTP/2 frame that either side accepts, in bytes: a batch of 1 MiB, which is what
/// producers gather and fetches read at once, arrives in one piece and is not put together.
pub const MAX_FRAME_BYTES: u32 = 1024 * 1024 + 64 * 1024;

/// Largest gRPC message that either side accepts, in bytes: the largest batch (a topic's
/// `max.message.bytes` may not exceed 64 MiB) and room for its envelope.
pub const MAX_MESSAGE_BYTES: usize = 65 * 1024 * 1024;

/// How many requests one connection may have open at once. Streams count for one each.
const MAX_CONCURRENT_STREAMS: u32 = 1024;
/// Bytes of the headers of one request, as HTTP/2 counts them. Ours have a few hundred.
const MAX_HEADER_BYTES: u32 = 8 * 1024;
/// Flow-control window of one stream: a few of the usual batches. More only moves data out of
/// the cache.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Flow-control window of one connection.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// The least that HTTP/2 has every connection receive unasked: both windows, and one frame.
const LEAST_WINDOW_BYTES: u32 = 65_535;
const LEAST_FRAME_BYTES: u32 = 16 * 1024;
/// As [`MAX_CONCURRENT_STREAMS`], for a connection that is one of very many.
const NARROW_CONCURRENT_STREAMS: u32 = 128;
/// A peer that is silent for this long is asked whether it lives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// A peer that does not answer within this is gone.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same once its host's name is to be found, too: a name server may be down, and the next one is
/// asked after a few seconds.
pub(crate) const OPENING_TIMEOUT: Duration = Duration::from_secs(30);

/// A server with the settings of this module.
pub fn server() -> Server {
    Server::builder()
        .max_frame_size(MAX_FRAME_BYTES)
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

/// The same for connections that are so many that each may take little memory.
pub(crate) fn narrow_server() -> Server {
    server()
        .max_frame_size(LEAST_FRAME_BYTES)
        .max_concurrent_streams(NARROW_CONCURRENT_STREAMS)
        .initial_stream_window_size(LEAST_WINDOW_BYTES)
        .initial_connection_window_size(LEAST_WINDOW_BYTES)
}

/// Binds a server's port, without delay on its connections. Ask the result for its address when
/// `address` has port 0.
///
/// # Errors
///
/// The port is taken, or the address is not this host's.
pub fn bind(address: SocketAddr) -> io::Result<TcpIncoming> {
    Ok(TcpIncoming::bind(address)?.with_nodelay(Some(true)))
}

/// A channel's settings for `address` (`host:port`).
///
/// # Errors
///
/// `address` is not one.
pub fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .max_frame_size(MAX_FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// Whoever sends requests with such bodies, and what has to run for it.
pub(crate) type Handshake<B> =
    (SendRequest<B>, Connection<TokioIo<Gathering<TcpStream>>, B, TokioExecutor>);

/// Makes the TCP connections of channels: to the first address of a host that answers.
pub(crate) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector
}

/// The settings of an [`endpoint`] on a connection that is made already: keep the two alike.
pub(crate) async fn handshake<B>(stream: TokioIo<TcpStream>) -> hyper::Result<Handshake<B>>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_frame_size(MAX_FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(Gathering::new(stream.into_inner())))
        .await
}

/// The reflection service over every proto, for one server.
///
/// # Panics
///
/// Never in a build that passed its tests: the descriptors are compiled in.
#[expect(clippy::expect_used, reason = "the descriptors are compiled in and a test reads them")]
pub fn reflection() -> tonic_reflection::server::v1::ServerReflectionServer<
    impl tonic_reflection::server::v1::ServerReflection,
> {
    descriptors().build_v1().expect("the compiled-in descriptors are valid")
}

/// The same under the name that it had before it was v1, which is the only one that Python's
/// `grpcio-reflection` and older grpcurls ask for.
///
/// # Panics
///
/// As [`reflection`].
#[expect(clippy::expect_used, reason = "the descriptors are compiled in and a test reads them")]
pub fn reflection_v1alpha() -> tonic_reflection::server::v1alpha::ServerReflectionServer<
    impl tonic_reflection::server::v1alpha::ServerReflection,
> {
    descriptors().build_v1alpha().expect("the compiled-in descriptors are valid")
}

fn descriptors() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(crate::DESCRIPTORS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_descriptors_serve_reflection() {
        let _services = (super::reflection(), super::reflection_v1alpha());
    }
}
