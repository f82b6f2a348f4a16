use types::{BrokerEpoch, BrokerId, TopicId, TopicName};

use crate::config::TopicConfigs;
use crate::{ClusterId, Registration};

/// One change of the cluster's metadata, as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Names the cluster; the first command.
    InitCluster {
        /// Its name.
        cluster_id: ClusterId,
    },
    /// Makes a broker known, fenced. Its epoch is the revision of this command.
    RegisterBroker(Registration),
    /// Takes away what a broker leads.
    FenceBroker {
        /// Which broker.
        broker: BrokerId,
        /// Which of its registrations.
        epoch: BrokerEpoch,
    },
    /// Lets a broker lead.
    UnfenceBroker {
        /// Which broker.
        broker: BrokerId,
        /// Which of its registrations.
        epoch: BrokerEpoch,
    },
    /// Makes a topic.
    CreateTopic {
        /// What it is called.
        name: TopicName,
        /// Its id, drawn by the proposer.
        id: TopicId,
        /// The replicas of each partition, in order of preference.
        assignments: Vec<Vec<BrokerId>>,
        /// What is set for it.
        configs: TopicConfigs,
    },
    /// Takes a topic away.
    DeleteTopic {
        /// Which one.
        topic: TopicId,
    },
    /// Adds partitions behind those there are.
    CreatePartitions {
        /// To which topic.
        topic: TopicId,
        /// How many there were when this was decided.
        expected: u32,
        /// The replicas of each new partition.
        assignments: Vec<Vec<BrokerId>>,
    },
    /// Sets and unsets configuration entries of a topic.
    AlterConfigs {
        /// Of which topic.
        topic: TopicId,
        /// Names and their new values.
        set: Vec<(String, String)>,
        /// Names that go back to their defaults.
        unset: Vec<String>,
    },
    /// Gives out the [`ProducerIdBlock`](crate::ProducerIdBlock) of its revision.
    AllocateProducerIds,
}
