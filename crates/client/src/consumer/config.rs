use std::time::Duration;

use record::MAX_PAYLOAD_BYTES;
use types::{Offset, Timestamp};

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the first record still held.
    Earliest,
    /// Behind the last record there is now.
    Latest,
    /// At this offset.
    Offset(Offset),
    /// At the first record of this time or later; behind the last if there is none.
    Timestamp(Timestamp),
}

/// What happens when the offset to read from is not in the log (any more).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOutOfRange {
    /// The reader is told by [`ClientError::OffsetOutOfRange`](crate::ClientError::OffsetOutOfRange)
    /// and the partition rests until it is sought.
    #[default]
    Error,
    /// Reading goes on at the first record still held.
    Earliest,
    /// Reading goes on behind the last record.
    Latest,
}

/// How a consumer reads.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// Bytes that each broker may send ahead of the reader. With one batch beyond it, this bounds
    /// the memory that fetched batches take.
    pub prefetch_bytes: u64,
    /// Largest size to which a compressed batch is unpacked, in bytes.
    pub max_payload_bytes: usize,
    /// What happens when an offset is gone.
    pub on_out_of_range: OnOutOfRange,
    /// How long a partition that cannot be read is tried before its reader hears of it. Trying
    /// goes on when the reader does.
    pub retry_timeout: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            prefetch_bytes: 16 * 1024 * 1024,
            max_payload_bytes: MAX_PAYLOAD_BYTES,
            on_out_of_range: OnOutOfRange::Error,
            retry_timeout: Duration::from_mins(1),
        }
    }
}
