//! Which brokers there are, which topics, and who leads what: asked for once, kept until an answer
//! shows that it is old.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::Topic;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use types::{BrokerId, Code, Coded, LeaderEpoch, Reason, TopicName, TopicPartition};
use wire::RemoteError;
use wire::convert::{broker_from_proto, error_to_remote, required, topic_from_proto};
use wire::v1::broker as v1;

use crate::ClientError;
use crate::backoff;
use crate::connection::{Connections, ProduceConnection, broker_service, within};

/// What is to happen to a topic that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make it with the broker's defaults, if the broker allows that.
    Create,
    /// Fail.
    Refuse,
}

/// Whether a request may be sent again to another broker when its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or nothing more the second time.
    Safe,
    /// Only if it was certainly not sent.
    Unsafe,
}

/// Who leads a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) broker: BrokerId,
    /// `host:port`.
    pub(crate) address: Arc<str>,
    pub(crate) epoch: LeaderEpoch,
}

/// The cluster as this client knows it, and the way to any of its brokers.
#[derive(Debug)]
pub(crate) struct Metadata {
    bootstrap: Vec<String>,
    connections: Connections,
    request_timeout: Duration,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    /// `host:port` of each.
    brokers: BTreeMap<BrokerId, Arc<str>>,
    topics: HashMap<TopicName, Arc<Topic>>,
    /// The broker that answered last; asked first.
    favourite: Option<String>,
}

impl Metadata {
    pub(crate) fn new(bootstrap: Vec<String>, request_timeout: Duration) -> Self {
        Self {
            bootstrap,
            connections: Connections::default(),
            request_timeout,
            cache: Mutex::default(),
        }
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Nothing panics under this lock; and what it guards is whole at any time.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A topic as it was last seen, or as it is if it never was.
    pub(crate) async fn topic(
        &self,
        name: &TopicName,
        missing: Missing,
    ) -> Result<Arc<Topic>, ClientError> {
        match self.known_topic(name) {
            Some(topic) => Ok(topic),
            None => self.refresh(name, missing).await,
        }
    }

    /// A topic as it was last seen.
    pub(crate) fn known_topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.cache().topics.get(name).cloned()
    }

    /// The names of all topics seen.
    pub(crate) fn known_topics(&self) -> BTreeSet<TopicName> {
        self.cache().topics.keys().cloned().collect()
    }

    /// A topic as it is.
    pub(crate) async fn refresh(
        &self,
        name: &TopicName,
        missing: Missing,
    ) -> Result<Arc<Topic>, ClientError> {
        let request = v1::DescribeTopicsRequest {
            topics: vec![name.to_string()],
            create_missing: missing == Missing::Create,
        };
        let answer = self.describe(request).await?;
        let found = answer.into_iter().find(|(found, _)| found == name);
        let unnamed = wire::InvalidMessage::Missing { field: "topics" };
        found.map_or(Err(ClientError::InvalidAnswer(unnamed)), |(_, topic)| topic)
    }

    /// As [`Metadata::refresh`], waiting out what passes by itself for as long as a request may
    /// take: a broker that has just started knows no topics yet.
    pub(crate) async fn await_topic(
        &self,
        name: &TopicName,
        missing: Missing,
    ) -> Result<Arc<Topic>, ClientError> {
        let deadline = Instant::now() + self.request_timeout;
        let mut failures = 0;
        loop {
            let error = match self.refresh(name, missing).await {
                Err(ClientError::Broker(error)) if error.reason == Reason::LeaderNotAvailable => {
                    error
                }
                settled => return settled,
            };
            failures += 1;
            let pause = backoff::wait(failures, backoff::random());
            if deadline < Instant::now() + pause {
                return Err(error.into());
            }
            sleep(pause).await;
        }
    }

    /// Describes topics, each with its own outcome, and remembers what was learnt.
    pub(crate) async fn describe(
        &self,
        request: v1::DescribeTopicsRequest,
    ) -> Result<Vec<(TopicName, Result<Arc<Topic>, ClientError>)>, ClientError> {
        let limit = self.request_timeout;
        let ask = |channel| {
            let request = request.clone();
            async move {
                let mut broker = broker_service(channel);
                within(limit, "DescribeTopics", broker.describe_topics(request)).await
            }
        };
        let answer = self.any_broker(Repeat::Safe, ask).await?;
        let mut brokers = BTreeMap::new();
        for broker in answer.brokers {
            let broker = broker_from_proto(broker)?;
            brokers.insert(broker.id, broker.endpoint.to_string().into());
        }
        let mut topics = Vec::with_capacity(answer.topics.len());
        for described in answer.topics {
            topics.push(described_topic(described)?);
        }
        self.remember(brokers, &topics);
        Ok(topics)
    }

    fn remember(
        &self,
        brokers: BTreeMap<BrokerId, Arc<str>>,
        topics: &[(TopicName, Result<Arc<Topic>, ClientError>)],
    ) {
        let mut cache = self.cache();
        cache.brokers = brokers;
        for (name, topic) in topics {
            match topic {
                Ok(topic) => cache.topics.insert(name.clone(), Arc::clone(topic)),
                Err(_) => cache.topics.remove(name),
            };
        }
    }

    /// Who led a partition when it was last asked; `None` if nobody did or nobody asked.
    pub(crate) fn leader(&self, of: &TopicPartition) -> Option<Leader> {
        let cache = self.cache();
        let partition = cache.topics.get(&of.topic)?.partition(of.partition)?;
        let broker = partition.leader?;
        let address = Arc::clone(cache.brokers.get(&broker)?);
        Some(Leader { broker, address, epoch: partition.leader_epoch })
    }

    /// The connection to a broker for small requests. When this fails, nothing was sent.
    pub(crate) async fn connection(&self, address: &str) -> Result<Channel, ClientError> {
        self.connections.shared(address).await
    }

    /// A place for a produce stream to a broker. Nothing is opened yet.
    pub(crate) fn produce_connection(&self, address: &str) -> ProduceConnection {
        self.connections.produce(address)
    }

    /// Has the next request to a broker find out first whether it is there.
    pub(crate) fn forget(&self, address: &str) {
        self.connections.forget(address);
    }

    /// Asks one broker after the other until one answers. An answer may be an error; it is final
    /// unless asking again is safe and another broker may know better.
    pub(crate) async fn any_broker<T, F, Fut>(
        &self,
        repeat: Repeat,
        ask: F,
    ) -> Result<T, ClientError>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let mut last = None;
        let candidates = self.candidates();
        for address in &candidates {
            let channel = match self.connections.shared(address).await {
                Ok(channel) => channel,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            match ask(channel).await {
                Ok(answer) => {
                    self.cache().favourite = Some(address.clone());
                    return Ok(answer);
                }
                Err(error) if elsewhere(&error) => {
                    self.connections.forget(address);
                    if repeat == Repeat::Unsafe {
                        return Err(error);
                    }
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(match last {
            Some(ClientError::Unreachable { detail, .. }) => {
                ClientError::Unreachable { addresses: candidates.join(", "), detail }
            }
            Some(error) => error,
            None => ClientError::Unreachable {
                addresses: "no address".to_owned(),
                detail: "none was given".to_owned(),
            },
        })
    }

    /// Every address known: the favourite, then the cluster's brokers, then where we came in.
    fn candidates(&self) -> Vec<String> {
        let cache = self.cache();
        let mut seen = BTreeSet::new();
        let favourite = cache.favourite.iter().map(String::as_str);
        let brokers = cache.brokers.values().map(AsRef::as_ref);
        let all = favourite.chain(brokers).chain(self.bootstrap.iter().map(String::as_str));
        all.filter(|address| seen.insert(*address)).map(str::to_owned).collect()
    }
}

/// What is known of a partition that nobody leads.
pub(crate) fn no_leader(of: &TopicPartition) -> ClientError {
    ClientError::Broker(RemoteError {
        reason: Reason::LeaderNotAvailable,
        message: format!("{of} has no leader at the moment"),
        leader: None,
        coordinator: None,
    })
}

/// Whether another broker may do better: this one is down, overloaded or on its way out.
fn elsewhere(error: &ClientError) -> bool {
    matches!(error.code(), Code::Unavailable | Code::Timeout) || error.reason() == Reason::Busy
}

fn described_topic(
    described: v1::DescribedTopic,
) -> Result<(TopicName, Result<Arc<Topic>, ClientError>), ClientError> {
    let name = TopicName::new(&described.name).map_err(wire::InvalidMessage::from)?;
    if let Some(error) = described.error {
        return Ok((name, Err(ClientError::Broker(error_to_remote(error)))));
    }
    let topic = topic_from_proto(required(described.topic, "topic")?)?;
    Ok((name, Ok(Arc::new(topic))))
}
