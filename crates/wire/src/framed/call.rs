use futures::stream::{self, Stream, StreamExt};
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::{Method, Request, Response, Uri, Version};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Channel;

use super::{Framed, Incoming, Outgoing};

/// Methods of `dohle.broker.v1.BrokerService` that carry batches, as HTTP/2 names them.
pub mod path {
    /// `Produce`
    pub const PRODUCE: &str = "/dohle.broker.v1.BrokerService/Produce";
    /// `ProduceStream`
    pub const PRODUCE_STREAM: &str = "/dohle.broker.v1.BrokerService/ProduceStream";
    /// `Fetch`
    pub const FETCH: &str = "/dohle.broker.v1.BrokerService/Fetch";
    /// `FetchStream`
    pub const FETCH_STREAM: &str = "/dohle.broker.v1.BrokerService/FetchStream";
}

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Answers a call with many messages in either direction. `handle` is what a method of generated
/// code would be.
pub fn serve<T, U, S>(
    request: Request<Body>,
    handle: impl FnOnce(tonic::Request<Incoming<T>>) -> Result<tonic::Response<S>, Status>,
) -> Response<Body>
where
    T: Message + Default,
    U: Framed + 'static,
    S: Stream<Item = Result<U, Status>> + Send + 'static,
{
    let (head, body) = request.into_parts();
    let answered = Incoming::of_request(&head.headers, body).and_then(|messages| {
        handle(tonic::Request::from_http(Request::from_parts(head, messages)))
    });
    respond(answered)
}

/// Answers a call with one message in either direction, likewise.
pub async fn serve_one<T, U, Answer>(
    request: Request<Body>,
    handle: impl FnOnce(tonic::Request<T>) -> Answer,
) -> Response<Body>
where
    T: Message + Default,
    U: Framed + Send + 'static,
    Answer: Future<Output = Result<tonic::Response<U>, Status>>,
{
    let (head, body) = request.into_parts();
    let answered = async {
        let mut messages = Incoming::of_request(&head.headers, body)?;
        let message = messages.message().await?;
        let message = message.ok_or_else(|| Status::internal("the request has no message"))?;
        if messages.message().await?.is_some() {
            return Err(Status::internal("the request has more than one message"));
        }
        handle(tonic::Request::from_http(Request::from_parts(head, message))).await
    };
    respond(answered.await.map(|answer| answer.map(|message| stream::iter([Ok(message)]))))
}

fn respond<U, S>(answered: Result<tonic::Response<S>, Status>) -> Response<Body>
where
    U: Framed + 'static,
    S: Stream<Item = Result<U, Status>> + Send + 'static,
{
    let (metadata, answers, extensions) = match answered {
        Ok(answer) => answer.into_parts(),
        Err(status) => return status.into_http(),
    };
    let mut response = Response::new(Body::new(Outgoing::response(answers)));
    *response.headers_mut() = metadata.into_headers();
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    *response.extensions_mut() = extensions;
    response
}

/// Calls `path` (`/package.Service/Method`) with these messages. Returns as soon as the server
/// has accepted the call; both directions then go on independently.
///
/// # Errors
///
/// The server cannot be reached, or refuses the call.
pub async fn call<T, U>(
    mut channel: Channel,
    path: &'static str,
    messages: impl Stream<Item = T> + Send + 'static,
) -> Result<tonic::Response<Incoming<U>>, Status>
where
    T: Framed + 'static,
    U: Message + Default,
{
    let mut request = Request::new(Body::new(Outgoing::request(messages.map(Ok))));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_static(path);
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    request.headers_mut().insert(CONTENT_TYPE, GRPC);
    std::future::poll_fn(|context| GrpcService::<Body>::poll_ready(&mut channel, context))
        .await
        .map_err(failed)?;
    let response = GrpcService::call(&mut channel, request).await.map_err(failed)?;
    Incoming::of_response(response).map(tonic::Response::new)
}

fn failed(error: tonic::transport::Error) -> Status {
    Status::from_error(Box::new(error))
}
