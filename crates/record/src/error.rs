use thiserror::Error;
use types::{Coded, Reason};

use crate::Compression;

/// Why bytes are no batch, a batch holds no readable records, or records make no batch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The bytes end before the batch does.
    #[error("the batch is cut off: it needs {needed} bytes and {found} are there")]
    Truncated {
        /// Bytes the batch says it has, or the header needs.
        needed: usize,
        /// Bytes given.
        found: usize,
    },
    /// More bytes than the one batch that was announced.
    #[error("{excess} bytes follow the end of the batch")]
    TrailingBytes {
        /// How many.
        excess: usize,
    },
    /// The contents changed since the checksum was taken.
    #[error(
        "the batch fails its checksum: it says {stored:#010x}, its bytes give {computed:#010x}"
    )]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Not the second version of the format.
    #[error("the batch has magic {found}; only magic 2 (Kafka 0.11 and later) is read")]
    UnsupportedMagic {
        /// The version byte.
        found: i8,
    },
    /// Packed by a codec that Kafka has given no number.
    #[error(
        "the batch is compressed with codec {number}, which is not known; send it with none, gzip, \
         snappy, lz4 or zstd"
    )]
    UnknownCompression {
        /// The codec's number, in the lowest bits of the batch's attributes.
        number: u16,
    },
    /// Larger than allowed, as it is or once unpacked.
    #[error("the batch has {size} bytes or more; at most {limit} are allowed")]
    TooLarge {
        /// Bytes seen, a lower bound.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A header field that cannot be, or that contradicts another.
    #[error("the batch header's {field} is {found}; expected {expected}")]
    InvalidHeader {
        /// The field, by Kafka's name.
        field: &'static str,
        /// What it holds.
        found: i64,
        /// What it may hold.
        expected: &'static str,
    },
    /// A record that breaks the format.
    #[error("record {index} of the batch is malformed: {problem}")]
    InvalidRecord {
        /// Which one, counted from 0 within the batch.
        index: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The codec refused the records.
    #[error("{codec} fails on the batch: {detail}")]
    Codec {
        /// The codec.
        codec: Compression,
        /// What the codec says.
        detail: String,
    },
}

impl Coded for RecordError {
    fn reason(&self) -> Reason {
        match self {
            Self::Truncated { .. } | Self::TrailingBytes { .. } | Self::Checksum { .. } => {
                Reason::CorruptMessage
            }
            Self::UnknownCompression { .. } => Reason::UnsupportedCompressionType,
            Self::TooLarge { .. } => Reason::MessageTooLarge,
            Self::UnsupportedMagic { .. }
            | Self::InvalidHeader { .. }
            | Self::InvalidRecord { .. }
            | Self::Codec { .. } => Reason::InvalidRecord,
        }
    }
}
