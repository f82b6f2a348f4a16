use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;
use wire::framed::{path, serve, serve_one};
use wire::transport::MAX_MESSAGE_BYTES;
use wire::v1::broker::broker_service_server::BrokerServiceServer;

use super::arrival::Arrival;
use super::{Data, fetch, produce};

/// `BrokerService` over HTTP/2. Calls that carry batches go around the generated code, which would
/// copy them; to whoever calls it makes no difference.
#[derive(Clone, Debug)]
pub(crate) struct DataServer {
    data: Arc<Data>,
    generated: BrokerServiceServer<Data>,
}

impl DataServer {
    pub(crate) fn new(data: Data) -> Self {
        let data = Arc::new(data);
        let generated = BrokerServiceServer::from_arc(Arc::clone(&data))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Self { data, generated }
    }
}

impl NamedService for DataServer {
    const NAME: &'static str = <BrokerServiceServer<Data> as NamedService>::NAME;
}

impl Service<Request<Body>> for DataServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let data = Arc::clone(&self.data);
        match request.uri().path() {
            path::PRODUCE_STREAM => {
                let open = |request: tonic::Request<_>| {
                    let arrival = Arrival::of(&request);
                    let answers = data.produce_streams.open(request.into_inner(), arrival);
                    Ok(tonic::Response::new(answers))
                };
                ready(Ok(serve(request, open))).boxed()
            }
            path::FETCH_STREAM => {
                let open = |request: tonic::Request<_>| {
                    let purse = data.purses.of(request.extensions());
                    let arrival = Arrival::of(&request);
                    Ok(data.fetch_streams.open(request.into_inner(), purse, arrival))
                };
                ready(Ok(serve(request, open))).boxed()
            }
            path::PRODUCE => {
                let answer = async move |request| produce::produce(&data, request).await;
                async move { Ok(serve_one(request, answer).await) }.boxed()
            }
            path::FETCH => {
                let answer = async move |request| fetch::fetch(&data, request).await;
                async move { Ok(serve_one(request, answer).await) }.boxed()
            }
            _ => self.generated.call(request),
        }
    }
}
