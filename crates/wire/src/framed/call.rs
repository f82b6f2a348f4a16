use futures::stream::{self, Stream};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use prost::Message;
use tonic::Status;
use tonic::body::Body;

use super::outgoing::Answers;
use super::{Framed, Incoming};

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

pub(super) const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

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
    let mut response = Response::new(Body::new(Answers::new(answers)));
    *response.headers_mut() = metadata.into_headers();
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    *response.extensions_mut() = extensions;
    response
}
