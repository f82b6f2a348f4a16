use std::ops::Range;
use std::time::Duration;

use record::RecordError;
use thiserror::Error;
use types::{Code, Coded, Offset, Reason, TopicName, TopicPartition};
use wire::{InvalidMessage, RemoteError};

/// Why the client could not do what it was asked.
///
/// Cheap to clone: one failed batch answers every record in it.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ClientError {
    /// A setting that cannot be.
    #[error("{setting} is {found}; expected {expected}")]
    InvalidConfig {
        /// The setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// No connection came about; nothing was sent.
    #[error(
        "no broker answers at {addresses}: {detail}; check that the cluster is up and that the \
         address is the one its brokers announce"
    )]
    Unreachable {
        /// Every address tried.
        addresses: String,
        /// What the last one said.
        detail: String,
    },
    /// A broker answered with an error, or broke off.
    #[error(transparent)]
    Broker(#[from] RemoteError),
    /// A broker's answer makes no sense.
    #[error("a broker's answer cannot be read: {0}; check that both sides have the same version")]
    InvalidAnswer(#[from] InvalidMessage),
    /// The answer did not come in time.
    #[error("{request} was not answered within {} s; the broker may be overloaded", waited.as_secs())]
    Timeout {
        /// What was asked.
        request: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// The broker ended a stream of answers before it had told all.
    #[error("{request} was broken off before all was told; ask again")]
    BrokenOff {
        /// What was asked.
        request: &'static str,
    },
    /// The topic has no such partition.
    #[error("{topic_partition} does not exist: the topic has {partitions} partitions")]
    UnknownPartition {
        /// What was asked for.
        topic_partition: TopicPartition,
        /// How many there are.
        partitions: usize,
    },
    /// The topic has no partitions that records could go to.
    #[error("topic {topic} has no partitions")]
    NoPartitions {
        /// The topic.
        topic: TopicName,
    },
    /// A record that is no record, or a batch that is none.
    #[error("{topic_partition}: {source}")]
    Record {
        /// Where it was to go, or lies.
        topic_partition: TopicPartition,
        /// What is wrong.
        source: RecordError,
    },
    /// Records that are damaged where they are stored.
    #[error(
        "offsets {} to {} (exclusive) of {topic_partition} cannot be read: {cause}; seek to {} to \
         go on behind them", offsets.start, offsets.end, offsets.end
    )]
    Damaged {
        /// The partition.
        topic_partition: TopicPartition,
        /// Which records.
        offsets: Range<Offset>,
        /// What is wrong.
        #[source]
        cause: Box<ClientError>,
    },
    /// A record that no request can carry.
    #[error("a record of {size} bytes for topic {topic} is too large; at most {limit} are sent")]
    RecordTooLarge {
        /// Where it was to go.
        topic: TopicName,
        /// Its size in bytes, an upper bound.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The producer's memory stayed full.
    #[error(
        "the producer's buffer of {limit} bytes stayed full for {} s: records come faster than \
         brokers take them; slow down or raise buffer_bytes",
        waited.as_secs()
    )]
    BufferFull {
        /// The buffer's size in bytes.
        limit: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// Records that are certainly not in the log: sending them again does no harm.
    #[error(
        "{records} records for {topic_partition} were not delivered and are not in the log: \
         {cause}"
    )]
    NotDelivered {
        /// Where they were to go.
        topic_partition: TopicPartition,
        /// How many.
        records: u32,
        /// What went wrong last.
        #[source]
        cause: Box<ClientError>,
    },
    /// Records that may or may not be in the log: sending them again may double them.
    #[error(
        "whether {records} records for {topic_partition} are in the log is not known ({cause}): \
         read the end of the partition before sending them again"
    )]
    OutcomeUnknown {
        /// Where they were to go.
        topic_partition: TopicPartition,
        /// How many.
        records: u32,
        /// What went wrong.
        #[source]
        cause: Box<ClientError>,
    },
    /// The offset to read from is not in the log.
    #[error(
        "offset {asked} of {topic_partition} is outside {start}..{end}: seek to an offset within, \
         or say where to go on by itself"
    )]
    OffsetOutOfRange {
        /// The partition.
        topic_partition: TopicPartition,
        /// What was wanted.
        asked: Offset,
        /// First offset still held.
        start: Offset,
        /// End of what may be read (exclusive).
        end: Offset,
    },
    /// The producer was closed.
    #[error("the producer is closed")]
    Closed,
}

impl Coded for ClientError {
    fn reason(&self) -> Reason {
        match self {
            Self::InvalidConfig { .. } => Reason::InvalidRequest,
            Self::Unreachable { .. } => Reason::LeaderNotAvailable,
            Self::Broker(error) => error.reason(),
            Self::InvalidAnswer(_) => Reason::UnknownServerError,
            Self::Timeout { .. } | Self::OutcomeUnknown { .. } => Reason::RequestTimedOut,
            Self::UnknownPartition { .. } | Self::NoPartitions { .. } => {
                Reason::UnknownTopicOrPartition
            }
            Self::Record { source, .. } => source.reason(),
            Self::RecordTooLarge { .. } => Reason::MessageTooLarge,
            Self::BufferFull { .. } => Reason::Busy,
            Self::NotDelivered { cause, .. } | Self::Damaged { cause, .. } => cause.reason(),
            Self::OffsetOutOfRange { .. } => Reason::OffsetOutOfRange,
            Self::Closed | Self::BrokenOff { .. } => Reason::ShuttingDown,
        }
    }
}

impl ClientError {
    /// Whether asking again, perhaps elsewhere and with fresh metadata, may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self.code() {
            // A queue, or a disk: both may have room again.
            Code::Stale | Code::Unavailable | Code::Timeout | Code::Exhausted => true,
            // A topic that was made a moment ago is not known to every broker yet.
            Code::NotFound => self.reason() == Reason::UnknownTopicOrPartition,
            Code::Invalid | Code::AlreadyExists | Code::DataLoss | Code::Internal => false,
        }
    }
}
