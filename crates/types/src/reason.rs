use std::error::Error;
use std::fmt;

/// What a caller may do about a failure. Every [`Reason`] belongs to exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request is malformed; the same bytes will never succeed.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The named thing exists already.
    AlreadyExists,
    /// The caller's picture of the cluster is old; refresh metadata and try again.
    Stale,
    /// A bound was reached (queue, memory, disk); back off, or make room.
    Exhausted,
    /// Temporarily impossible; try again after a back-off.
    Unavailable,
    /// Not answered in time; whether it took effect is unknown.
    Timeout,
    /// Stored or sent bytes failed verification.
    DataLoss,
    /// A bug on our side.
    Internal,
}

/// Why a request failed: the closed set that crosses the wire in every error.
///
/// The words are Kafka's (`org.apache.kafka.common.protocol.Errors`) where Kafka has one, and
/// `ZooKeeper`'s (`KeeperException.Code`) for its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A field is missing, malformed or contradicts another.
    InvalidRequest,
    /// The topic's name breaks the rules of `TopicName`.
    InvalidTopic,
    /// A partition count that cannot be.
    InvalidPartitions,
    /// More replicas than brokers, or none.
    InvalidReplicationFactor,
    /// An unknown configuration key or a value out of its range.
    InvalidConfig,
    /// A record breaks a rule of its topic, or a batch's header contradicts its records.
    InvalidRecord,
    /// The batch is larger than the topic's `max.message.bytes`.
    MessageTooLarge,
    /// The batch is compressed by a codec this broker does not read.
    UnsupportedCompressionType,
    /// No such topic or partition.
    UnknownTopicOrPartition,
    /// A topic of that name exists.
    TopicAlreadyExists,
    /// The offset lies outside what the log holds.
    OffsetOutOfRange,
    /// Bytes failed their checksum.
    CorruptMessage,
    /// This broker does not lead the partition.
    NotLeaderOrFollower,
    /// The partition has no leader at the moment.
    LeaderNotAvailable,
    /// The caller's leader epoch is older than the leader's.
    FencedLeaderEpoch,
    /// The caller's leader epoch is newer than the broker's.
    UnknownLeaderEpoch,
    /// Fewer replicas in sync than `min.insync.replicas`.
    NotEnoughReplicas,
    /// A batch does not follow what its producer wrote before: one between them is missing, or it was
    /// written too long ago to be recognised.
    OutOfOrderSequenceNumber,
    /// A later life of the producer has written to the partition.
    InvalidProducerEpoch,
    /// The log knows nothing of the producer, whose batch is not the first of its epoch.
    UnknownProducerId,
    /// The broker registered again since, or its registration ran out.
    StaleBrokerEpoch,
    /// Another live process uses this broker id.
    DuplicateBrokerRegistration,
    /// No broker of that id is registered.
    UnknownBroker,
    /// This coordinator does not lead; ask the one named in the error.
    NotController,
    /// The coordinator cannot be reached.
    CoordinatorNotAvailable,
    /// The metadata revision asked for is gone or not yet there.
    RevisionOutOfRange,
    /// The coordinators' tree has no such node.
    NoNode,
    /// There is a node of that path already.
    NodeExists,
    /// The node has children.
    NotEmpty,
    /// The node is of another version, or holds other data, than the caller expects.
    BadVersion,
    /// The node that should get a child is ephemeral.
    NoChildrenForEphemerals,
    /// The session is over, and its ephemeral nodes are gone.
    SessionExpired,
    /// A bounded queue or memory budget is full.
    Busy,
    /// The disk is too full, and nothing was written. It passes when there is room again: producers
    /// try again until their delivery timeout, and then tell.
    StorageFull,
    /// The disk refused something; the broker may need a human.
    StorageError,
    /// A sync failed in the broker's data directory: the broker writes nothing any more and ends.
    /// Whether what was sent with it is there is not known; another leader may take it again.
    DirectoryFenced,
    /// The request was not answered within its deadline.
    RequestTimedOut,
    /// The process is shutting down.
    ShuttingDown,
    /// A bug.
    UnknownServerError,
}

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::InvalidRequest,
        Self::InvalidTopic,
        Self::InvalidPartitions,
        Self::InvalidReplicationFactor,
        Self::InvalidConfig,
        Self::InvalidRecord,
        Self::MessageTooLarge,
        Self::UnsupportedCompressionType,
        Self::UnknownTopicOrPartition,
        Self::TopicAlreadyExists,
        Self::OffsetOutOfRange,
        Self::CorruptMessage,
        Self::NotLeaderOrFollower,
        Self::LeaderNotAvailable,
        Self::FencedLeaderEpoch,
        Self::UnknownLeaderEpoch,
        Self::NotEnoughReplicas,
        Self::OutOfOrderSequenceNumber,
        Self::InvalidProducerEpoch,
        Self::UnknownProducerId,
        Self::StaleBrokerEpoch,
        Self::DuplicateBrokerRegistration,
        Self::UnknownBroker,
        Self::NotController,
        Self::CoordinatorNotAvailable,
        Self::RevisionOutOfRange,
        Self::NoNode,
        Self::NodeExists,
        Self::NotEmpty,
        Self::BadVersion,
        Self::NoChildrenForEphemerals,
        Self::SessionExpired,
        Self::Busy,
        Self::StorageFull,
        Self::StorageError,
        Self::DirectoryFenced,
        Self::RequestTimedOut,
        Self::ShuttingDown,
        Self::UnknownServerError,
    ];

    /// The reaction this reason calls for.
    pub const fn code(self) -> Code {
        match self {
            Self::InvalidRequest
            | Self::InvalidTopic
            | Self::InvalidPartitions
            | Self::InvalidReplicationFactor
            | Self::InvalidConfig
            | Self::InvalidRecord
            | Self::MessageTooLarge
            | Self::UnsupportedCompressionType
            | Self::OffsetOutOfRange
            | Self::OutOfOrderSequenceNumber
            | Self::InvalidProducerEpoch
            | Self::NoChildrenForEphemerals => Code::Invalid,
            Self::UnknownTopicOrPartition
            | Self::UnknownBroker
            | Self::UnknownProducerId
            | Self::NoNode => Code::NotFound,
            Self::TopicAlreadyExists | Self::DuplicateBrokerRegistration | Self::NodeExists => {
                Code::AlreadyExists
            }
            Self::NotLeaderOrFollower
            | Self::FencedLeaderEpoch
            | Self::UnknownLeaderEpoch
            | Self::StaleBrokerEpoch
            | Self::NotController
            | Self::RevisionOutOfRange
            | Self::NotEmpty
            | Self::BadVersion
            | Self::SessionExpired => Code::Stale,
            Self::Busy | Self::StorageFull => Code::Exhausted,
            Self::LeaderNotAvailable
            | Self::NotEnoughReplicas
            | Self::CoordinatorNotAvailable
            | Self::DirectoryFenced
            | Self::ShuttingDown => Code::Unavailable,
            Self::RequestTimedOut => Code::Timeout,
            Self::CorruptMessage | Self::StorageError => Code::DataLoss,
            Self::UnknownServerError => Code::Internal,
        }
    }

    /// The name on the wire, Kafka's spelling: `OFFSET_OUT_OF_RANGE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::InvalidTopic => "INVALID_TOPIC_EXCEPTION",
            Self::InvalidPartitions => "INVALID_PARTITIONS",
            Self::InvalidReplicationFactor => "INVALID_REPLICATION_FACTOR",
            Self::InvalidConfig => "INVALID_CONFIG",
            Self::InvalidRecord => "INVALID_RECORD",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::UnsupportedCompressionType => "UNSUPPORTED_COMPRESSION_TYPE",
            Self::UnknownTopicOrPartition => "UNKNOWN_TOPIC_OR_PARTITION",
            Self::TopicAlreadyExists => "TOPIC_ALREADY_EXISTS",
            Self::OffsetOutOfRange => "OFFSET_OUT_OF_RANGE",
            Self::CorruptMessage => "CORRUPT_MESSAGE",
            Self::NotLeaderOrFollower => "NOT_LEADER_OR_FOLLOWER",
            Self::LeaderNotAvailable => "LEADER_NOT_AVAILABLE",
            Self::FencedLeaderEpoch => "FENCED_LEADER_EPOCH",
            Self::UnknownLeaderEpoch => "UNKNOWN_LEADER_EPOCH",
            Self::NotEnoughReplicas => "NOT_ENOUGH_REPLICAS",
            Self::OutOfOrderSequenceNumber => "OUT_OF_ORDER_SEQUENCE_NUMBER",
            Self::InvalidProducerEpoch => "INVALID_PRODUCER_EPOCH",
            Self::UnknownProducerId => "UNKNOWN_PRODUCER_ID",
            Self::StaleBrokerEpoch => "STALE_BROKER_EPOCH",
            Self::DuplicateBrokerRegistration => "DUPLICATE_BROKER_REGISTRATION",
            Self::UnknownBroker => "BROKER_ID_NOT_REGISTERED",
            Self::DirectoryFenced => "DIRECTORY_FENCED",
            Self::NotController => "NOT_CONTROLLER",
            Self::CoordinatorNotAvailable => "COORDINATOR_NOT_AVAILABLE",
            Self::RevisionOutOfRange => "REVISION_OUT_OF_RANGE",
            Self::NoNode => "NONODE",
            Self::NodeExists => "NODEEXISTS",
            Self::NotEmpty => "NOTEMPTY",
            Self::BadVersion => "BADVERSION",
            Self::NoChildrenForEphemerals => "NOCHILDRENFOREPHEMERALS",
            Self::SessionExpired => "SESSIONEXPIRED",
            Self::Busy => "BUSY",
            Self::StorageFull => "STORAGE_FULL",
            Self::StorageError => "KAFKA_STORAGE_ERROR",
            Self::RequestTimedOut => "REQUEST_TIMED_OUT",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::UnknownServerError => "UNKNOWN_SERVER_ERROR",
        }
    }

    /// Reads what [`Reason::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// An error that knows its [`Reason`].
///
/// Each crate's error type implements it; `wire` alone turns it into a gRPC status, `registry`
/// alone into Confluent's numbers.
pub trait Coded: Error {
    /// Why it failed, in the closed set that crosses the wire.
    fn reason(&self) -> Reason;

    /// Which reaction this failure calls for.
    fn code(&self) -> Code {
        self.reason().code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_that_reads_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::parse("NO_SUCH_REASON"), None);
    }
}
