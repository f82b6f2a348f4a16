use thiserror::Error;
use types::{BrokerEpoch, BrokerId, Coded, DirectoryId, Reason, Revision, TopicId, TopicName};

use crate::config::ConfigError;

/// Why the cluster's metadata was not changed.
///
/// Both the decision, before anything is proposed, and [`State::apply`](crate::State::apply)
/// refuse with it: what held when it was decided may no longer hold when it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClusterError {
    /// The cluster has a name already.
    #[error("the cluster has been initialised before")]
    Initialised,
    /// No broker of that id ever registered.
    #[error("broker {broker} is not registered")]
    UnknownBroker {
        /// Which one.
        broker: BrokerId,
    },
    /// The broker has registered again since.
    #[error(
        "broker {broker} has epoch {current}, not {given}; it registered again, or another process uses its id"
    )]
    StaleBrokerEpoch {
        /// Which broker.
        broker: BrokerId,
        /// Its epoch.
        current: BrokerEpoch,
        /// The one the caller has.
        given: BrokerEpoch,
    },
    /// A live process uses that id on another directory.
    #[error(
        "broker {broker} is alive with data directory {directory}; give this process another broker id, or stop that one and wait for its session to end"
    )]
    BrokerAlive {
        /// Which broker.
        broker: BrokerId,
        /// The live one's directory.
        directory: DirectoryId,
    },
    /// The broker came back without the directory that holds the only copy of something.
    #[error(
        "broker {broker} holds the only in-sync copy of {partitions} partitions in data directory {directory}; start it on that directory, or delete their topics"
    )]
    DirectoryReplaced {
        /// Which broker.
        broker: BrokerId,
        /// The directory it had.
        directory: DirectoryId,
        /// How many partitions would be lost.
        partitions: usize,
    },
    /// The name is taken.
    #[error("topic {name} exists already")]
    TopicExists {
        /// Whose name.
        name: TopicName,
    },
    /// The id is taken: drawn twice, or a command applied twice.
    #[error("a topic with id {topic} exists already")]
    TopicIdExists {
        /// Which id.
        topic: TopicId,
    },
    /// No topic of that name.
    #[error("topic {name} does not exist")]
    UnknownTopic {
        /// Which name.
        name: TopicName,
    },
    /// No topic of that id: it was deleted meanwhile.
    #[error("no topic has id {topic}; it was deleted")]
    UnknownTopicId {
        /// Which id.
        topic: TopicId,
    },
    /// A count of partitions that a topic cannot have.
    #[error("a topic cannot have {given} partitions; 1 to {max} are possible")]
    PartitionCount {
        /// What was asked for.
        given: u32,
        /// The most.
        max: u32,
    },
    /// Partitions are only ever added.
    #[error("topic {name} has {current} partitions; {given} is not more")]
    FewerPartitions {
        /// Which topic.
        name: TopicName,
        /// How many it has.
        current: u32,
        /// What was asked for.
        given: u32,
    },
    /// Someone else added partitions meanwhile.
    #[error("topic {topic} has {current} partitions, not {expected}; ask again")]
    PartitionsChanged {
        /// Which topic.
        topic: TopicId,
        /// How many it has.
        current: u32,
        /// How many it had when the change was decided.
        expected: u32,
    },
    /// More replicas than there are brokers, or none.
    #[error("replication factor {given} is not possible with {alive} brokers alive")]
    ReplicationFactor {
        /// What was asked for.
        given: u32,
        /// How many brokers may be given replicas.
        alive: u32,
    },
    /// More replicas than this version keeps.
    #[error(
        "replication factor {given} is not possible: brokers of this version do not copy \
         partitions to one another; ask for at most {max}"
    )]
    NotReplicated {
        /// What was asked for.
        given: u32,
        /// What is possible.
        max: u32,
    },
    /// A partition was placed on no broker, twice on one, or on one that is not registered.
    #[error("partition {partition} of the change has replicas that cannot be")]
    Assignment {
        /// Its place among the partitions of the command.
        partition: usize,
    },
    /// A configuration entry that is not possible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There are no more numbers for producers.
    #[error("the record format has no more producer ids")]
    ProducerIdsUsedUp,
    /// An epoch has reached its last number.
    #[error("an epoch of topic {topic} is used up; delete the topic and make it again")]
    EpochsUsedUp {
        /// Whose partition.
        topic: TopicId,
    },
}

impl Coded for ClusterError {
    fn reason(&self) -> Reason {
        match self {
            Self::Initialised => Reason::InvalidRequest,
            Self::UnknownBroker { .. } => Reason::UnknownBroker,
            Self::StaleBrokerEpoch { .. } => Reason::StaleBrokerEpoch,
            Self::BrokerAlive { .. } | Self::DirectoryReplaced { .. } => {
                Reason::DuplicateBrokerRegistration
            }
            Self::TopicExists { .. } | Self::TopicIdExists { .. } => Reason::TopicAlreadyExists,
            Self::UnknownTopic { .. } | Self::UnknownTopicId { .. } => {
                Reason::UnknownTopicOrPartition
            }
            Self::PartitionCount { .. }
            | Self::FewerPartitions { .. }
            | Self::PartitionsChanged { .. } => Reason::InvalidPartitions,
            Self::ReplicationFactor { .. }
            | Self::NotReplicated { .. }
            | Self::Assignment { .. } => Reason::InvalidReplicationFactor,
            Self::Config(error) => error.reason(),
            Self::ProducerIdsUsedUp | Self::EpochsUsedUp { .. } => Reason::UnknownServerError,
        }
    }
}

/// Why a copy of the metadata cannot take what it was sent. The copy is as it was; begin again
/// with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The change is not newer than the copy.
    #[error("metadata of revision {given} does not follow revision {held}")]
    NotNewer {
        /// The copy's revision.
        held: Revision,
        /// The change's.
        given: Revision,
    },
    /// The same name would belong to two topics.
    #[error("topic name {name} belongs to {held} and to {given}")]
    NameTaken {
        /// Which name.
        name: TopicName,
        /// Who has it.
        held: TopicId,
        /// Who wants it.
        given: TopicId,
    },
}

impl Coded for ImageError {
    fn reason(&self) -> Reason {
        match self {
            Self::NotNewer { .. } => Reason::RevisionOutOfRange,
            Self::NameTaken { .. } => Reason::UnknownServerError,
        }
    }
}
