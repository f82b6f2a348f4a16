use std::fmt;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;
use types::{BrokerEpoch, BrokerId, Revision, TopicId, TopicName, TopicPartition};

use crate::{Broker, ClusterError, Delta, ImageError, Partition, Topic};

/// What the cluster is called: drawn once, when its metadata log begins.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterId(Arc<str>);

impl ClusterId {
    /// The longest one, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Wraps a name of 1 to [`Self::MAX_LEN`] printable ASCII characters; `None` for any other.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(Arc::from(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The metadata that everyone may know, as of one revision.
///
/// A clone costs a few reference counts and shares everything with the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataImage {
    revision: Revision,
    cluster_id: Option<ClusterId>,
    brokers: RedBlackTreeMapSync<BrokerId, Arc<Broker>>,
    topics: RedBlackTreeMapSync<TopicId, Arc<Topic>>,
    names: RedBlackTreeMapSync<TopicName, TopicId>,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self::new()
    }
}

impl MetadataImage {
    /// The metadata before anything happened.
    pub fn new() -> Self {
        Self {
            revision: Revision::ZERO,
            cluster_id: None,
            brokers: RedBlackTreeMapSync::new_sync(),
            topics: RedBlackTreeMapSync::new_sync(),
            names: RedBlackTreeMapSync::new_sync(),
        }
    }

    /// Puts a snapshot together.
    ///
    /// # Errors
    ///
    /// [`ImageError::NameTaken`] if two topics have one name.
    pub fn from_parts(
        revision: Revision,
        cluster_id: Option<ClusterId>,
        brokers: impl IntoIterator<Item = Arc<Broker>>,
        topics: impl IntoIterator<Item = Arc<Topic>>,
    ) -> Result<Self, ImageError> {
        let delta = Delta {
            brokers: brokers.into_iter().map(|broker| (broker.id, broker)).collect(),
            topics: topics.into_iter().map(|topic| (topic.id, topic)).collect(),
            ..Delta::default()
        };
        let mut image = Self { revision, cluster_id, ..Self::new() };
        image.put(&delta);
        image.check_names(&delta)?;
        Ok(image)
    }

    /// Follows one change of the original.
    ///
    /// # Errors
    ///
    /// [`ImageError`]; the image is then as it was.
    pub fn apply(&mut self, revision: Revision, delta: &Delta) -> Result<(), ImageError> {
        if revision <= self.revision {
            return Err(ImageError::NotNewer { held: self.revision, given: revision });
        }
        let mut next = Self { revision, ..self.clone() };
        next.put(delta);
        next.check_names(delta)?;
        *self = next;
        Ok(())
    }

    /// The last revision in it.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The cluster's name; none before the first command.
    pub fn cluster_id(&self) -> Option<&ClusterId> {
        self.cluster_id.as_ref()
    }

    /// All brokers, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// One broker.
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// Whether a broker is registered and unfenced.
    pub fn is_alive(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_alive())
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.names.values().filter_map(|id| self.topics.get(id))
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.size()
    }

    /// A topic by name.
    pub fn topic(&self, name: &TopicName) -> Option<&Arc<Topic>> {
        self.topic_by_id(*self.names.get(name)?)
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// A partition by its topic's name.
    pub fn partition(&self, partition: &TopicPartition) -> Option<&Arc<Partition>> {
        self.topic(&partition.topic)?.partition(partition.partition)
    }

    pub(crate) fn set_cluster_id(&mut self, cluster_id: ClusterId) {
        self.cluster_id = Some(cluster_id);
    }

    /// A revision that changed nothing.
    pub(crate) fn pass(&mut self, revision: Revision) {
        self.revision = revision;
    }

    pub(crate) fn put(&mut self, delta: &Delta) {
        for id in &delta.removed_brokers {
            self.brokers.remove_mut(id);
        }
        for id in &delta.removed_topics {
            if let Some(gone) = self.topics.get(id) {
                self.names.remove_mut(&gone.name);
                self.topics.remove_mut(id);
            }
        }
        for (id, broker) in &delta.brokers {
            self.brokers.insert_mut(*id, Arc::clone(broker));
        }
        for (id, topic) in &delta.topics {
            self.names.insert_mut(topic.name.clone(), *id);
            self.topics.insert_mut(*id, Arc::clone(topic));
        }
    }

    /// After a change: does every topic still have its name to itself?
    fn check_names(&self, delta: &Delta) -> Result<(), ImageError> {
        if self.names.size() == self.topics.size() {
            return Ok(());
        }
        for topic in delta.topics.values() {
            let same_name = |other: &&Arc<Topic>| other.name == topic.name && other.id != topic.id;
            if let Some(other) = self.topics.values().find(same_name) {
                let name = topic.name.clone();
                return Err(ImageError::NameTaken { name, held: other.id, given: topic.id });
            }
        }
        Ok(())
    }

    /// A broker, if `epoch` is that of its registration.
    pub(crate) fn broker_of_epoch(
        &self,
        broker: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<&Arc<Broker>, ClusterError> {
        let held = self.broker(broker).ok_or(ClusterError::UnknownBroker { broker })?;
        if held.epoch == epoch {
            return Ok(held);
        }
        Err(ClusterError::StaleBrokerEpoch { broker, current: held.epoch, given: epoch })
    }

    pub(crate) fn existing_topic(&self, topic: TopicId) -> Result<&Arc<Topic>, ClusterError> {
        self.topic_by_id(topic).ok_or(ClusterError::UnknownTopicId { topic })
    }

    pub(crate) fn named_topic(&self, name: &TopicName) -> Result<&Arc<Topic>, ClusterError> {
        self.topic(name).ok_or_else(|| ClusterError::UnknownTopic { name: name.clone() })
    }
}
