use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::Topic;
use types::{Coded, TopicName};
use wire::convert::{error_to_proto, topic_to_proto};
use wire::v1::broker::{
    DescribeClusterResponse, DescribeTopicsRequest, DescribeTopicsResponse, DescribedTopic,
};

use super::arrival::Arrival;
use crate::coordinator::Coordinators;
use crate::partitions::{Partitions, RoutingError};
use crate::topics::Topics;

/// What one topic and one partition of a description take in memory, in bytes.
const TOPIC: usize = 512;
const PARTITION: usize = 96;

/// The same request without the names that it has already: each topic is described once, as Kafka's
/// brokers have it.
pub(super) fn each_once(mut request: DescribeTopicsRequest) -> DescribeTopicsRequest {
    let names: BTreeSet<String> = request.topics.iter().cloned().collect();
    if names.len() < request.topics.len() {
        let mut left = names;
        request.topics.retain(|name| left.remove(name));
    }
    request
}

/// Tells clients what they need to find their way.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    partitions: Partitions,
    coordinators: Arc<Coordinators>,
}

impl Cluster {
    pub(crate) const fn new(partitions: Partitions, coordinators: Arc<Coordinators>) -> Self {
        Self { partitions, coordinators }
    }

    pub(super) fn describe(&self, arrival: &Arrival) -> DescribeClusterResponse {
        let view = self.partitions.view();
        DescribeClusterResponse {
            cluster_id: view.image.cluster_id().map(ToString::to_string).unwrap_or_default(),
            brokers: arrival.brokers(&view),
            coordinator: self.coordinators.target(),
            metadata_revision: view.image.revision().get(),
            listener: arrival.name(),
        }
    }

    /// What the answer to `request` will take in memory, roughly.
    pub(super) fn size(&self, request: &DescribeTopicsRequest) -> usize {
        let view = self.partitions.view();
        let size = |topic: Option<&Arc<Topic>>| {
            let partitions = topic.map_or(0, |topic| topic.partitions.len());
            TOPIC.saturating_add(partitions.saturating_mul(PARTITION))
        };
        if request.topics.is_empty() {
            return view.image.topics().map(|topic| size(Some(topic))).sum();
        }
        let names = request.topics.iter().map(|name| TopicName::new(name).ok());
        names.map(|name| size(name.and_then(|name| view.image.topic(&name)))).sum()
    }

    pub(super) async fn describe_topics(
        &self,
        topics: &Topics,
        request: DescribeTopicsRequest,
        arrival: &Arrival,
    ) -> Result<DescribeTopicsResponse, RoutingError> {
        let described = if request.topics.is_empty() {
            self.partitions.topics()?.iter().map(|topic| described(topic)).collect()
        } else {
            let mut described = Vec::with_capacity(request.topics.len());
            for name in request.topics {
                described.push(self.describe_topic(topics, name, request.create_missing).await);
            }
            described
        };
        let mut brokers = arrival.brokers(&self.partitions.view());
        // Clients ask for this all the time, and have no use for more than one address.
        for broker in &mut brokers {
            broker.listeners.clear();
        }
        Ok(DescribeTopicsResponse { topics: described, brokers })
    }

    async fn describe_topic(
        &self,
        topics: &Topics,
        name: String,
        create_missing: bool,
    ) -> DescribedTopic {
        let valid = match TopicName::new(&name) {
            Ok(valid) => valid,
            Err(error) => return refused(name, &error),
        };
        if create_missing {
            match topics.find_or_create(&valid).await {
                Ok(topic) => described(&topic),
                Err(error) => refused(name, &error),
            }
        } else {
            match self.partitions.topic(&valid) {
                Ok(topic) => described(&topic),
                Err(error) => refused(name, &error),
            }
        }
    }
}

fn described(topic: &Topic) -> DescribedTopic {
    DescribedTopic { name: topic.name.to_string(), error: None, topic: Some(topic_to_proto(topic)) }
}

fn refused(name: String, error: &impl Coded) -> DescribedTopic {
    DescribedTopic { name, error: Some(error_to_proto(error, None)), topic: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_named_twice_is_described_once_where_it_is_named_first() {
        let topics = ["b", "a", "b", "c", "a"].map(str::to_owned).to_vec();
        let request = DescribeTopicsRequest { topics, create_missing: true };
        assert_eq!(each_once(request).topics, ["b", "a", "c"]);
    }
}
