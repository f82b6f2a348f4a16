//! Brokers come, go and come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{BrokerEpoch, BrokerId, Revision, TopicId};

use super::{Change, Identity, State};
use crate::election::{Effect, settle};
use crate::{Availability, Broker, ClusterError, Delta, Partition, Registration, Topic};

/// What happened to a broker, as its partitions see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Unfenced,
    Fenced,
    /// Back as a new process on its old directory.
    Restarted,
    /// Back without its old directory.
    Emptied,
}

impl State {
    pub(super) fn register(
        &self,
        revision: Revision,
        registration: &Registration,
    ) -> Result<Change, ClusterError> {
        let turn = self.check_directory(registration)?;
        let broker = Broker {
            id: registration.broker,
            endpoint: registration.endpoint.clone(),
            listeners: registration.listeners.clone(),
            rack: registration.rack.clone(),
            epoch: BrokerEpoch::new(revision.get()),
            // So that whatever it led gets a new leader epoch, even if it leads again (rule R1).
            availability: Availability::Fenced,
        };
        let identity =
            Identity { incarnation: registration.incarnation, directory: registration.directory };
        Ok(Change {
            identity: Some((broker.id, identity)),
            delta: self.turn(broker, turn)?,
            ..Change::default()
        })
    }

    pub(super) fn fence(&self, id: BrokerId, epoch: BrokerEpoch) -> Result<Change, ClusterError> {
        self.set_availability(id, epoch, Availability::Fenced)
    }

    pub(super) fn unfence(&self, id: BrokerId, epoch: BrokerEpoch) -> Result<Change, ClusterError> {
        self.set_availability(id, epoch, Availability::Unfenced)
    }

    fn set_availability(
        &self,
        id: BrokerId,
        epoch: BrokerEpoch,
        availability: Availability,
    ) -> Result<Change, ClusterError> {
        let broker = self.image.broker_of_epoch(id, epoch)?;
        if broker.availability == availability {
            return Ok(Change::default());
        }
        let turn = match availability {
            Availability::Fenced => Turn::Fenced,
            Availability::Unfenced => Turn::Unfenced,
        };
        let broker = Broker { availability, ..Broker::clone(broker) };
        Ok(Change { delta: self.turn(broker, turn)?, ..Change::default() })
    }

    /// Refuses a registration from another directory while the old process lives, and when the
    /// old directory holds what no other does. The same directory proves the old process dead:
    /// it is locked.
    fn check_directory(&self, registration: &Registration) -> Result<Turn, ClusterError> {
        let id = registration.broker;
        let Some(held) = self.identity(id) else { return Ok(Turn::Restarted) };
        if held.directory == registration.directory {
            return Ok(Turn::Restarted);
        }
        let directory = held.directory;
        if self.image.is_alive(id) {
            return Err(ClusterError::BrokerAlive { broker: id, directory });
        }
        let all = self.image.topics().flat_map(|topic| &topic.partitions);
        let partitions = all.filter(|partition| partition.isr == [id]).count();
        if partitions == 0 {
            return Ok(Turn::Emptied);
        }
        Err(ClusterError::DirectoryReplaced { broker: id, directory, partitions })
    }

    /// What it does to all partitions that `broker` is now as given.
    fn turn(&self, broker: Broker, turn: Turn) -> Result<Delta, ClusterError> {
        let mut topics = BTreeMap::new();
        for topic in self.image.topics() {
            if let Some(changed) = self.turn_topic(topic, &broker, turn)? {
                topics.insert(changed.id, Arc::new(changed));
            }
        }
        let brokers = BTreeMap::from([(broker.id, Arc::new(broker))]);
        Ok(Delta { brokers, topics, ..Delta::default() })
    }

    fn turn_topic(
        &self,
        topic: &Topic,
        broker: &Broker,
        turn: Turn,
    ) -> Result<Option<Topic>, ClusterError> {
        let mut changed: Option<Topic> = None;
        for (place, partition) in topic.partitions.iter().enumerate() {
            let Some(partition) = self.turn_partition(topic.id, partition, broker, turn)? else {
                continue;
            };
            let next = changed.get_or_insert_with(|| topic.clone());
            if let Some(slot) = next.partitions.get_mut(place) {
                *slot = Arc::new(partition);
            }
        }
        Ok(changed)
    }

    fn turn_partition(
        &self,
        topic: TopicId,
        partition: &Partition,
        broker: &Broker,
        turn: Turn,
    ) -> Result<Option<Partition>, ClusterError> {
        if !partition.replicas.contains(&broker.id) {
            return Ok(None);
        }
        let others = || partition.isr.iter().copied().filter(|id| *id != broker.id).collect();
        let isr: Vec<BrokerId> = match turn {
            // The others need not wait for it; the last one stays, it has what was committed.
            Turn::Fenced | Turn::Emptied if partition.isr != [broker.id] => others(),
            Turn::Fenced | Turn::Emptied | Turn::Unfenced | Turn::Restarted => {
                partition.isr.clone()
            }
        };
        let is_alive = |id| {
            if id == broker.id { broker.is_alive() } else { self.image.is_alive(id) }
        };
        match settle(partition, isr, is_alive) {
            Effect::Unchanged => Ok(None),
            Effect::Changed(partition) => Ok(Some(partition)),
            Effect::EpochsUsedUp => Err(ClusterError::EpochsUsedUp { topic }),
        }
    }
}
