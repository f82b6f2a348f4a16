//! The words every other crate speaks: identifiers, positions and error reasons.
//!
//! Pure values. Nothing here performs IO, reads a clock or knows a wire format: numbers become
//! these types where bytes or protobuf are decoded, and numbers again where they are encoded.

mod durability;
mod ids;
mod position;
mod producer;
mod reason;
mod time;
mod topic;

pub use durability::Durability;
pub use ids::{BrokerId, DirectoryId, LogId, PartitionId, ProducerId, SchemaId, TopicId};
pub use position::{BrokerEpoch, LeaderEpoch, Offset, PartitionEpoch, Revision};
pub use producer::{PRODUCER_REMEMBERED, ProducerEpoch, RETAINED_APPENDS, Sequence};
pub use reason::{Code, Coded, Reason};
pub use time::{Timestamp, TimestampType};
pub use topic::{InvalidTopicName, TopicName, TopicPartition};
