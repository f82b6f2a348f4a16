use std::sync::Arc;
use std::time::Duration;

use cluster::Broker;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use types::TopicPartition;
use wire::transport::MAX_MESSAGE_BYTES;
use wire::v1::broker::broker_service_client::BrokerServiceClient;

use super::arrival::{Arrival, was_forwarded};
use crate::channels::Channels;
use crate::partitions::{Partitions, RoutingError};

/// What the way there and back may take, beyond what the request itself may.
const WAY: Duration = Duration::from_secs(5);

/// Passes a unary call on to the broker that leads what it is about, so that a client that knows
/// one address gets its answer. Client libraries know the leaders and need no help.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder {
    partitions: Partitions,
    channels: Arc<Channels>,
}

/// The client of another broker.
pub(super) type Peer = BrokerServiceClient<Channel>;

impl Forwarder {
    pub(crate) fn new(partitions: Partitions) -> Self {
        Self { partitions, channels: Arc::new(Channels::default()) }
    }

    /// The one other broker that leads all of these, if there is one and the request did not come
    /// from a broker itself.
    pub(super) fn target<T>(
        &self,
        request: &Request<T>,
        asked: &[TopicPartition],
    ) -> Option<Arc<Broker>> {
        if was_forwarded(request) {
            return None;
        }
        let mut target = None;
        for partition in asked {
            let Err(RoutingError::OtherLeader { leader, .. }) = self.partitions.led(partition)
            else {
                return None;
            };
            match &target {
                None => target = Some(leader),
                Some(known) if Broker::eq(known, &leader) => {}
                Some(_) => return None,
            }
        }
        target
    }

    /// Asks `leader`, where brokers find it, what a client that came by `arrival` asked this one.
    /// `patience` is what the request itself may take.
    pub(super) async fn ask<T, U, Answer>(
        &self,
        leader: &Broker,
        (message, arrival): (T, &Arrival),
        patience: Duration,
        call: impl FnOnce(Peer, Request<T>) -> Answer,
    ) -> Result<Response<U>, Status>
    where
        Answer: Future<Output = Result<Response<U>, Status>>,
    {
        let address = leader.endpoint.to_string();
        let channel = self.channels.to(&address).map_err(|error| unreachable(leader, &error))?;
        let peer = Peer::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let mut request = Request::new(message);
        request.set_timeout(patience.saturating_add(WAY));
        arrival.pass_on(request.metadata_mut());
        call(peer, request).await
    }
}

fn unreachable(leader: &Broker, error: &tonic::transport::Error) -> Status {
    let Broker { id, endpoint, .. } = leader;
    let message =
        format!("broker {id} leads, and this one does not reach it at {endpoint}: {error}");
    Status::new(Code::Unavailable, message)
}
