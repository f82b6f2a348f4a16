//! What is landed: a topic's records, and the schemas they were written with.

use std::future::Future;

use lake::plan::SourceTopic;
use record::Record;
use thiserror::Error;
use types::{Coded, Offset, Reason, SchemaId, TopicName, TopicPartition};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Reads topics.
pub trait RecordSource: Clone + Send + Sync + 'static {
    /// Reads one range of a partition.
    type Reader: RecordReader;

    /// The topic's id, and what each partition holds.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the topic does not exist or cannot be asked for.
    fn describe(
        &self,
        topic: &TopicName,
    ) -> impl Future<Output = Result<SourceTopic, SourceError>> + Send;

    /// Begins to read the offsets `from..to`.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the range is gone or the partition cannot be reached.
    fn read(
        &self,
        partition: &TopicPartition,
        from: Offset,
        to: Offset,
    ) -> impl Future<Output = Result<Self::Reader, SourceError>> + Send;
}

/// Yields the records of one range, in order.
pub trait RecordReader: Send + 'static {
    /// The next records; `None` once every offset below the end of the range was either yielded or
    /// is known to hold no record. It never ends early: that would pass for a hole.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the rest cannot be read.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Record>>, SourceError>> + Send;
}

/// Why a topic cannot be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// No such topic.
    #[error("topic {topic} does not exist; `dohle topic list` shows those that do")]
    UnknownTopic {
        /// The topic asked for.
        topic: TopicName,
    },
    /// Records were removed while they were read; the next run will see it as a gap.
    #[error("{partition}: offset {offset} was removed while the run read; run again")]
    OutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The first offset that is gone.
        offset: Offset,
    },
    /// Anything else.
    #[error("reading {what} failed: {source}")]
    Failed {
        /// What was read.
        what: String,
        /// The reason, in the closed set.
        reason: Reason,
        /// What the client reports.
        #[source]
        source: Cause,
    },
}

impl Coded for SourceError {
    fn reason(&self) -> Reason {
        match self {
            Self::UnknownTopic { .. } => Reason::UnknownTopicOrPartition,
            Self::OutOfRange { .. } => Reason::OffsetOutOfRange,
            Self::Failed { reason, .. } => *reason,
        }
    }
}

/// Looks schemas up by id.
pub trait SchemaSource: Clone + Send + Sync + 'static {
    /// The text of schema `id`, exactly as the registry has it.
    ///
    /// # Errors
    ///
    /// [`SchemaError`]: an id nobody registered is not the same as a registry that is down.
    fn schema(&self, id: SchemaId) -> impl Future<Output = Result<String, SchemaError>> + Send;
}

/// Why there is no schema.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// Nobody registered it: whoever wrote the payload did not either.
    #[error("schema {id} is not registered")]
    UnknownId {
        /// The id.
        id: SchemaId,
    },
    /// It is registered, and no Avro schema.
    #[error("schema {id} is of type {kind}; only AVRO is landed")]
    NotAvro {
        /// The id.
        id: SchemaId,
        /// The type it is of.
        kind: String,
    },
    /// The registry cannot be asked.
    #[error("the schema registry did not tell schema {id}: {source}; is it up?")]
    Unavailable {
        /// The id asked for.
        id: SchemaId,
        /// What the client reports.
        #[source]
        source: Cause,
    },
}
