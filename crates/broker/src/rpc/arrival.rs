use cluster::{Broker, ListenerName};
use tonic::Request;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use wire::bounds::listener_of;
use wire::convert::{broker_to_proto, endpoint_to_proto};
use wire::v1::types::{Broker as ToldBroker, BrokerEndpoint};

use crate::partitions::{RoutingError, View};

/// Marks a request that a broker passed on: it is answered where it arrives, so that two brokers
/// with different metadata do not send it back and forth.
const FORWARDED: &str = "dohle-forwarded";
/// By which listener such a request came to the first of them, if that one has a name.
const LISTENER: &str = "dohle-listener";

/// By which listener a client came: what it is told of brokers are their addresses there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival(Option<ListenerName>);

impl Arrival {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        if was_forwarded(request) {
            let told = request.metadata().get(LISTENER).and_then(|told| told.to_str().ok());
            return Self(told.and_then(ListenerName::new));
        }
        Self(listener_of(request.extensions()).cloned())
    }

    /// The listener's name; empty for the one that every broker has.
    pub(super) fn name(&self) -> String {
        self.0.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// Tells the next broker of a request that is passed on.
    pub(super) fn pass_on(&self, metadata: &mut MetadataMap) {
        metadata.insert(FORWARDED, AsciiMetadataValue::from_static("1"));
        let name =
            self.0.as_ref().and_then(|name| AsciiMetadataValue::try_from(name.as_str()).ok());
        if let Some(name) = name {
            metadata.insert(LISTENER, name);
        }
    }

    /// Where the client finds `broker`.
    fn endpoint(&self, broker: &Broker) -> BrokerEndpoint {
        endpoint_to_proto(broker.id, broker.endpoint_on(self.0.as_ref()))
    }

    /// All brokers, where the client finds them.
    pub(super) fn brokers(&self, view: &View) -> Vec<ToldBroker> {
        let told = |broker: &Broker| ToldBroker {
            endpoint: Some(self.endpoint(broker)),
            ..broker_to_proto(broker)
        };
        view.image.brokers().map(|broker| told(broker)).collect()
    }

    /// Where to go instead, for the body of an answer.
    pub(super) fn leader_hint(&self, error: &RoutingError) -> Option<BrokerEndpoint> {
        match error {
            RoutingError::OtherLeader { leader, .. } => Some(self.endpoint(leader)),
            RoutingError::NoMetadata
            | RoutingError::UnknownTopic { .. }
            | RoutingError::UnknownPartition { .. }
            | RoutingError::NoLeader { .. }
            | RoutingError::Unusable { .. }
            | RoutingError::NotLeading { .. } => None,
        }
    }
}

/// Whether a broker passed it on.
pub(super) fn was_forwarded<T>(request: &Request<T>) -> bool {
    request.metadata().contains_key(FORWARDED)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use cluster::{Availability, Endpoint};
    use types::{BrokerEpoch, BrokerId, PartitionId, TopicName, TopicPartition};

    use super::*;

    fn leader() -> Arc<Broker> {
        let endpoint = |host: &str| Endpoint { host: host.to_owned(), port: 9192 };
        let outside = (ListenerName::new("EXTERNAL").unwrap(), endpoint("outside"));
        Arc::new(Broker {
            id: BrokerId::new(2),
            endpoint: endpoint("inside"),
            listeners: BTreeMap::from([outside]),
            rack: String::new(),
            epoch: BrokerEpoch::new(1),
            availability: Availability::Unfenced,
        })
    }

    #[track_caller]
    fn hinted(arrival: &Arrival) -> String {
        let asked = TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0));
        let error = RoutingError::OtherLeader { asked, leader: leader() };
        assert!(!error.to_string().contains("side"), "the text is the same for all: {error}");
        arrival.leader_hint(&error).unwrap().host
    }

    #[test]
    fn a_client_is_sent_to_the_listener_it_knows_and_otherwise_to_the_default_one() {
        assert_eq!(hinted(&Arrival::default()), "inside");
        assert_eq!(hinted(&Arrival(ListenerName::new("EXTERNAL"))), "outside");
        assert_eq!(hinted(&Arrival(ListenerName::new("ELSEWHERE"))), "inside");
    }

    #[test]
    fn a_broker_that_a_request_was_passed_on_to_knows_where_it_came_in() {
        for arrival in [Arrival::default(), Arrival(ListenerName::new("EXTERNAL"))] {
            let mut request = Request::new(());
            assert!(!was_forwarded(&request));
            arrival.pass_on(request.metadata_mut());
            assert!(was_forwarded(&request));
            assert_eq!(Arrival::of(&request), arrival);
        }
    }
}
