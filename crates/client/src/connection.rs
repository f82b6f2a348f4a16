//! Connections to brokers and the deadlines on what goes over them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Response, Status};
use wire::framed;
use wire::transport::{MAX_MESSAGE_BYTES, endpoint};
use wire::v1::broker::admin_service_client::AdminServiceClient;
use wire::v1::broker::broker_service_client::BrokerServiceClient;
use wire::v1::broker::log_service_client::LogServiceClient;

use crate::ClientError;

mod produce;

pub(crate) use produce::{ProduceConnection, ProduceConnections};

/// Connections by address. One to each broker is shared by small requests; produce streams share
/// some of their own, and each fetch stream has one: who takes its records late would hold up
/// others on the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    shared: Arc<Mutex<BTreeMap<String, Channel>>>,
    produce: ProduceConnections,
}

impl Connections {
    /// The connection for small requests. When this fails, nothing was sent.
    pub(crate) async fn shared(&self, address: &str) -> Result<Channel, ClientError> {
        let known = self.lock().get(address).cloned();
        if let Some(channel) = known {
            return Ok(channel);
        }
        let channel = connect(address).await?;
        self.lock().insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    /// Drops a connection that failed, so that the next request finds out whether the broker is
    /// there before it sends anything.
    pub(crate) fn forget(&self, address: &str) {
        self.lock().remove(address);
    }

    /// A place for a produce stream. Nothing is opened yet.
    pub(crate) fn produce(&self, address: &str) -> ProduceConnection {
        self.produce.place(address)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Channel>> {
        // Nothing panics under this lock; and what it guards is whole at any time.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection. When this fails, nothing was sent.
pub(crate) async fn connect(address: &str) -> Result<Channel, ClientError> {
    let endpoint = endpoint(address).map_err(|error| unreachable(address, &error))?;
    endpoint.connect().await.map_err(|error| unreachable(address, &error))
}

/// Opens a connection for bulk streams. When this fails, nothing was sent.
pub(crate) async fn connect_for_bulk(address: &str) -> Result<framed::Connection, ClientError> {
    let opening = framed::Connection::open(address).await;
    opening.map_err(|error| unreachable(address, &error))
}

fn unreachable(address: &str, error: &dyn std::error::Error) -> ClientError {
    ClientError::Unreachable { addresses: address.to_owned(), detail: innermost(error) }
}

/// The transport's outer errors say "transport error"; the innermost says why.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

pub(crate) fn broker_service(channel: Channel) -> BrokerServiceClient<Channel> {
    BrokerServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

pub(crate) fn admin_service(channel: Channel) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

pub(crate) fn log_service(channel: Channel) -> LogServiceClient<Channel> {
    LogServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// Awaits an answer, but not for ever.
pub(crate) async fn within<T>(
    limit: Duration,
    request: &'static str,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, ClientError> {
    match timeout(limit, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(ClientError::Broker(wire::from_status(&status))),
        Err(_elapsed) => Err(ClientError::Timeout { request, waited: limit }),
    }
}
