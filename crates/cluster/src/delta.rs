use std::collections::BTreeMap;
use std::sync::Arc;

use types::{BrokerId, TopicId};

use crate::{Broker, Topic};

/// What one revision changed, each changed thing whole. Removals come first in effect: a topic's
/// name may be taken again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Brokers that are new or changed.
    pub brokers: BTreeMap<BrokerId, Arc<Broker>>,
    /// Brokers that are gone.
    pub removed_brokers: Vec<BrokerId>,
    /// Topics that are new or changed.
    pub topics: BTreeMap<TopicId, Arc<Topic>>,
    /// Topics that are gone.
    pub removed_topics: Vec<TopicId>,
}

impl Delta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.brokers.is_empty()
            && self.removed_brokers.is_empty()
            && self.topics.is_empty()
            && self.removed_topics.is_empty()
    }
}
