//! What this broker knows of the cluster and which partitions it leads: one value, replaced as a
//! whole when the metadata moves on, and read by every request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Broker, MetadataImage, Topic};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;
use types::{BrokerId, Coded, PartitionId, Reason, Revision, TopicName, TopicPartition};

use crate::lease::LeaseView;
use crate::partition::Partition;

/// The metadata, with everything in it that concerns this broker carried out.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The metadata as of some revision.
    pub(crate) image: MetadataImage,
    /// The partitions that this broker leads as of that revision.
    pub(crate) led: BTreeMap<TopicPartition, Arc<Partition>>,
    /// The partitions that it should lead or follow, but whose log the disk refuses, and why.
    pub(crate) unusable: BTreeMap<TopicPartition, String>,
}

impl View {
    /// The metadata, if there is any: before, nothing can be said not to exist.
    fn known(&self) -> Result<&MetadataImage, RoutingError> {
        if self.image.revision() == Revision::ZERO {
            Err(RoutingError::NoMetadata)
        } else {
            Ok(&self.image)
        }
    }
}

/// Where a request for a partition has to go.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RoutingError {
    /// This broker has not seen any metadata since it started.
    #[error(
        "this broker knows no topics yet: it has just started, or no coordinator answers it; retry \
         in a moment"
    )]
    NoMetadata,
    /// No such topic.
    #[error("topic {topic} does not exist; create it, or check the name with `dohle topic list`")]
    UnknownTopic {
        /// The name asked for.
        topic: TopicName,
    },
    /// The topic has no such partition.
    #[error("{asked} does not exist: the topic has {partitions} partitions, counted from 0")]
    UnknownPartition {
        /// The partition asked for.
        asked: TopicPartition,
        /// How many there are.
        partitions: usize,
    },
    /// No in-sync replica is alive.
    #[error(
        "{asked} has no leader: none of the brokers that hold all of it ({}) is up; start one, \
         then retry",
        list(in_sync)
    )]
    NoLeader {
        /// The partition asked for.
        asked: TopicPartition,
        /// The in-sync replicas.
        in_sync: Vec<BrokerId>,
    },
    /// Another broker leads.
    #[error("broker {} leads {asked}; send it there", leader.id)]
    OtherLeader {
        /// The partition asked for.
        asked: TopicPartition,
        /// Who leads it.
        leader: Arc<Broker>,
    },
    /// The disk refuses its log.
    #[error("this broker cannot lead {asked}: {cause}")]
    Unusable {
        /// The partition asked for.
        asked: TopicPartition,
        /// What is wrong with its log.
        cause: String,
    },
    /// The metadata names this broker, but it may not lead (yet, or any more).
    #[error(
        "this broker may not lead {asked} at the moment: its lease ran out or its leadership has \
         not begun; refresh the metadata and retry"
    )]
    NotLeading {
        /// The partition asked for.
        asked: TopicPartition,
    },
}

fn list(brokers: &[BrokerId]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Coded for RoutingError {
    fn reason(&self) -> Reason {
        match self {
            Self::UnknownTopic { .. } | Self::UnknownPartition { .. } => {
                Reason::UnknownTopicOrPartition
            }
            Self::NoMetadata | Self::NoLeader { .. } => Reason::LeaderNotAvailable,
            Self::Unusable { .. } => Reason::StorageError,
            Self::OtherLeader { .. } | Self::NotLeading { .. } => Reason::NotLeaderOrFollower,
        }
    }
}

/// The metadata has not come so far in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the change was made (metadata revision {wanted}), but this broker has only seen revision \
     {seen} after {} ms; ask again", waited.as_millis()
)]
pub(crate) struct MetadataBehind {
    wanted: Revision,
    seen: Revision,
    waited: Duration,
}

impl Coded for MetadataBehind {
    fn reason(&self) -> Reason {
        Reason::RequestTimedOut
    }
}

/// Finds partitions for requests.
#[derive(Clone, Debug)]
pub(crate) struct Partitions {
    own_id: BrokerId,
    view: watch::Receiver<Arc<View>>,
    lease: LeaseView,
}

impl Partitions {
    pub(crate) const fn new(
        own_id: BrokerId,
        view: watch::Receiver<Arc<View>>,
        lease: LeaseView,
    ) -> Self {
        Self { own_id, view, lease }
    }

    /// The metadata as it is now.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// Word of the next change of the metadata.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<View>> {
        let mut view = self.view.clone();
        view.mark_unchanged();
        view
    }

    /// Every topic.
    ///
    /// # Errors
    ///
    /// [`RoutingError::NoMetadata`].
    pub(crate) fn topics(&self) -> Result<Vec<Arc<Topic>>, RoutingError> {
        let view = self.view.borrow();
        Ok(view.known()?.topics().cloned().collect())
    }

    /// A topic.
    ///
    /// # Errors
    ///
    /// [`RoutingError::NoMetadata`] or [`RoutingError::UnknownTopic`].
    pub(crate) fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, RoutingError> {
        let view = self.view.borrow();
        let topic = view.known()?.topic(name).cloned();
        topic.ok_or_else(|| RoutingError::UnknownTopic { topic: name.clone() })
    }

    /// The partition, if this broker may lead it at this moment.
    ///
    /// # Errors
    ///
    /// [`RoutingError`] says where else to go.
    pub(crate) fn led(&self, asked: &TopicPartition) -> Result<Arc<Partition>, RoutingError> {
        let view = self.view.borrow();
        match view.led.get(asked) {
            Some(partition) if self.lease.holds() => Ok(Arc::clone(partition)),
            Some(_) => Err(RoutingError::NotLeading { asked: asked.clone() }),
            None => {
                view.known()?;
                Err(elsewhere(&view, self.own_id, asked))
            }
        }
    }

    /// The view, once every partition of these topics that the metadata wants led here is, or is
    /// known to be unusable. After a start that takes a moment.
    ///
    /// # Errors
    ///
    /// There is no metadata yet, or such a partition is not led yet.
    pub(crate) fn settled(
        &self,
        of_topic: impl Fn(&TopicName) -> bool,
    ) -> Result<Arc<View>, RoutingError> {
        let view = self.view();
        for topic in view.known()?.topics().filter(|topic| of_topic(&topic.name)) {
            for (number, partition) in topic.numbered_partitions() {
                let asked = TopicPartition::new(topic.name.clone(), number);
                let is_settled = !partition.replicas.contains(&self.own_id)
                    || partition.leader.is_some_and(|leader| leader != self.own_id)
                    || view.led.contains_key(&asked)
                    || view.unusable.contains_key(&asked);
                if !is_settled {
                    return Err(RoutingError::NotLeading { asked });
                }
            }
        }
        Ok(view)
    }

    /// Whether the lease still holds: what was read while leading may be told.
    pub(crate) fn still_leading(&self, asked: &TopicPartition) -> Result<(), RoutingError> {
        if self.lease.holds() {
            Ok(())
        } else {
            Err(RoutingError::NotLeading { asked: asked.clone() })
        }
    }

    /// Waits until the metadata has come to `revision`.
    ///
    /// # Errors
    ///
    /// [`MetadataBehind`] after `patience`.
    pub(crate) async fn reached(
        &self,
        revision: Revision,
        patience: Duration,
    ) -> Result<(), MetadataBehind> {
        let mut view = self.view.clone();
        let reached = view.wait_for(|view| revision <= view.image.revision());
        // Both a time-out and a broker that stops mean that it was not reached.
        if let Ok(Ok(_)) = timeout(patience, reached).await {
            return Ok(());
        }
        let seen = self.view.borrow().image.revision();
        Err(MetadataBehind { wanted: revision, seen, waited: patience })
    }
}

/// Why this broker does not lead `asked`, by the metadata.
fn elsewhere(view: &View, own_id: BrokerId, asked: &TopicPartition) -> RoutingError {
    let View { image, unusable, .. } = view;
    if let Some(cause) = unusable.get(asked) {
        return RoutingError::Unusable { asked: asked.clone(), cause: cause.clone() };
    }
    let Some(topic) = image.topic(&asked.topic) else {
        return RoutingError::UnknownTopic { topic: asked.topic.clone() };
    };
    let Some(partition) = topic.partition(asked.partition) else {
        let partitions = topic.partitions.len();
        return RoutingError::UnknownPartition { asked: asked.clone(), partitions };
    };
    match partition.leader.filter(|leader| *leader != own_id) {
        None if partition.leader.is_some() => RoutingError::NotLeading { asked: asked.clone() },
        None => RoutingError::NoLeader { asked: asked.clone(), in_sync: partition.isr.clone() },
        Some(leader) => match image.broker(leader) {
            Some(leader) => {
                RoutingError::OtherLeader { asked: asked.clone(), leader: Arc::clone(leader) }
            }
            None => RoutingError::NoLeader { asked: asked.clone(), in_sync: partition.isr.clone() },
        },
    }
}

/// Which partitions of a topic have a leader, or all of them if none has.
pub(crate) fn choices(topic: &Topic) -> Vec<PartitionId> {
    let led = |with_leader: bool| {
        topic
            .numbered_partitions()
            .filter(|(_, partition)| !with_leader || partition.leader.is_some())
            .map(|(partition, _)| partition)
            .collect::<Vec<_>>()
    };
    let available = led(true);
    if available.is_empty() { led(false) } else { available }
}
