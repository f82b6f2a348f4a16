use std::error::Error;

use futures::stream::{Stream, StreamExt};
use http::header::{CONTENT_TYPE, HeaderValue, TE, USER_AGENT};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http2::SendRequest;
use prost::Message;
use thiserror::Error;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::call::GRPC;
use super::outgoing::Requests;
use super::rope::Rope;
use super::{Framed, Incoming};
use crate::transport::{OPENING_TIMEOUT, connector, handshake};

const OWN_NAME: HeaderValue =
    HeaderValue::from_static(concat!("dohle/", env!("CARGO_PKG_VERSION")));

/// What is sent, whatever makes it.
pub(crate) type Sent = UnsyncBoxBody<Rope, Status>;

/// A connection for calls whose messages are large or many. Clones share it; it ends with the last of
/// them and of their calls. One that is shared is one core's work, and one queue.
///
/// Tonic's own channel takes bodies of one kind only, each frame of which is in one piece; here a
/// frame goes out in the pieces in which its messages lie.
#[derive(Clone, Debug)]
pub struct Connection {
    requests: SendRequest<Sent>,
    address: String,
}

/// There is no connection, and nothing was sent.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Not `host:port`.
    #[error("{address:?} is not an address: {source}")]
    Address {
        /// What was given.
        address: String,
        /// Why.
        source: http::Error,
    },
    /// There is no such host, or nobody takes connections there.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// What was given.
        address: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer, of whoever knows names or of the host itself.
    #[error("{address} cannot be reached: no answer within {} s", OPENING_TIMEOUT.as_secs())]
    TimedOut {
        /// What was given.
        address: String,
    },
    /// Who answers does not speak HTTP/2.
    #[error(transparent)]
    Handshake(#[from] hyper::Error),
}

impl Connection {
    /// Connects to `address` (`host:port`).
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn open(address: &str) -> Result<Self, ConnectError> {
        let host = uri(address, "/")?;
        let address = || address.to_owned();
        let stream = timeout(OPENING_TIMEOUT, connector().oneshot(host)).await;
        let stream = stream.map_err(|_elapsed| ConnectError::TimedOut { address: address() })?;
        let stream = stream.map_err(|source| {
            let source = Box::new(source);
            ConnectError::Unreachable { address: address(), source }
        })?;
        let (requests, connection) = handshake(stream).await?;
        // Runs the calls, and ends with the last of them once nobody can make another, or once the
        // other side is found to be gone. The calls hear of every error.
        tokio::spawn(async move { connection.await.ok() });
        Ok(Self { requests, address: address() })
    }

    /// Calls `path` (`/package.Service/Method`) with these messages. Returns as soon as the server
    /// has accepted the call; both directions then go on independently.
    ///
    /// # Errors
    ///
    /// The connection breaks, or the server refuses the call.
    pub async fn call<T, U>(
        mut self,
        path: &'static str,
        messages: impl Stream<Item = T> + Send + 'static,
    ) -> Result<tonic::Response<Incoming<U>>, Status>
    where
        T: Framed + 'static,
        U: Message + Default,
    {
        let mut request = Request::new(Requests::new(messages.map(Ok)).boxed_unsync());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        let uri = uri(&self.address, path);
        *request.uri_mut() = uri.map_err(|error| Status::internal(error.to_string()))?;
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        request.headers_mut().insert(CONTENT_TYPE, GRPC);
        request.headers_mut().insert(USER_AGENT, OWN_NAME);
        self.requests.ready().await.map_err(failed)?;
        let response = self.requests.send_request(request).await.map_err(failed)?;
        Incoming::of_response(response.map(Body::new)).map(tonic::Response::new)
    }
}

fn uri(address: &str, path: &'static str) -> Result<Uri, ConnectError> {
    let path = PathAndQuery::from_static(path);
    let uri = Uri::builder().scheme(Scheme::HTTP).authority(address).path_and_query(path).build();
    uri.map_err(|source| ConnectError::Address { address: address.to_owned(), source })
}

fn failed(error: hyper::Error) -> Status {
    Status::from_error(Box::new(error))
}
