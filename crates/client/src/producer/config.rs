use std::time::Duration;

use record::Compression;
use wire::transport::MAX_MESSAGE_BYTES;

use super::lane::Tracking;
use crate::ClientError;

/// When a produced record counts as delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// Once it was sent; it has no offset and may be lost.
    None,
    /// Once the leader has it, as durably as the topic asks for.
    Leader,
    /// Once every in-sync replica has it so.
    #[default]
    All,
}

/// Whether a batch that is sent again can be in the log twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idempotence {
    /// It cannot, if `acks` is [`Acks::All`]; with other acks nobody keeps track. So does Kafka
    /// since 3.0 (KIP-679).
    #[default]
    WithAcksAll,
    /// It cannot; other acks are an error.
    Required,
    /// Nobody keeps track.
    Off,
}

/// What happens, without [`Idempotence`], to records whose connection broke after they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryUnknownOutcome {
    /// Their delivery fails with [`ClientError::OutcomeUnknown`]; nothing is sent twice.
    #[default]
    Never,
    /// They are sent again and may then be in the log twice.
    MayDouble,
}

/// How a producer gathers, sends and retries.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// When a record counts as delivered.
    pub acks: Acks,
    /// How long the first record of a batch waits for company while its partition has nothing
    /// under way. Batches also gather, without any wait, while their predecessor is under way.
    pub linger: Duration,
    /// Largest batch, in bytes before compression; less where a topic's `max.message.bytes` is
    /// less. A larger record travels alone.
    pub batch_bytes: usize,
    /// How batches are packed: Kafka's `compression.type`.
    pub compression: Compression,
    /// Memory for records that are not delivered yet, in bytes. A large value is not copied for
    /// that, and counts by itself: if it is a slice of something larger, all of that is held.
    pub buffer_bytes: usize,
    /// How long [`Producer::send`](crate::Producer::send) waits for that memory.
    pub max_block: Duration,
    /// How long one attempt may take at the broker.
    pub request_timeout: Duration,
    /// How often a batch is tried again.
    pub retries: u32,
    /// How long a record may wait to be sent, retries included. One that is under way when it
    /// passes is waited for. Whether a batch arrived is asked for 15 minutes at most: for so long
    /// at least a log knows it again.
    pub delivery_timeout: Duration,
    /// Whether what is sent again can be in the log twice.
    pub idempotence: Idempotence,
    /// What happens, without idempotence, to records that may or may not have arrived.
    pub retry_unknown_outcome: RetryUnknownOutcome,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            linger: Duration::ZERO,
            // One MiB is where produce reaches its full speed, and what topics allow by default.
            batch_bytes: 1024 * 1024,
            compression: Compression::None,
            buffer_bytes: 64 * 1024 * 1024,
            max_block: Duration::from_mins(1),
            request_timeout: Duration::from_secs(30),
            retries: u32::MAX,
            delivery_timeout: Duration::from_mins(2),
            idempotence: Idempotence::default(),
            retry_unknown_outcome: RetryUnknownOutcome::Never,
        }
    }
}

impl ProducerConfig {
    pub(crate) fn validate(&self) -> Result<(), ClientError> {
        let largest_buffer = u32::MAX as usize;
        if self.buffer_bytes < self.batch_bytes || largest_buffer < self.buffer_bytes {
            return Err(ClientError::InvalidConfig {
                setting: "buffer_bytes",
                found: self.buffer_bytes.to_string(),
                expected: "batch_bytes to 4 GiB",
            });
        }
        if self.batch_bytes == 0 || MAX_RECORD_BYTES < self.batch_bytes {
            return Err(ClientError::InvalidConfig {
                setting: "batch_bytes",
                found: self.batch_bytes.to_string(),
                expected: "1 byte to 64 MiB",
            });
        }
        if self.idempotence == Idempotence::Required && self.acks != Acks::All {
            return Err(ClientError::InvalidConfig {
                setting: "acks",
                found: format!("{:?}", self.acks),
                expected: "All, as idempotence is required",
            });
        }
        Ok(())
    }

    /// How its batches are kept from being written twice, or that they are not.
    pub(super) fn tracking(&self) -> Tracking {
        match (self.idempotence, self.acks) {
            (Idempotence::WithAcksAll | Idempotence::Required, Acks::All) => Tracking::Idempotent,
            (Idempotence::WithAcksAll | Idempotence::Required, Acks::None | Acks::Leader)
            | (Idempotence::Off, _) => Tracking::Untracked(self.retry_unknown_outcome),
        }
    }
}

/// Largest batch that a gRPC message carries, its envelope aside.
pub(crate) const MAX_RECORD_BYTES: usize = MAX_MESSAGE_BYTES - 1024 * 1024;
