//! Record batches: bytes to records and back.
//!
//! The one unit that travels from producer to consumer is Kafka's `RecordBatch` v2 (magic 2): the
//! bytes a producer sends are the bytes on disk and the bytes a consumer reads. This crate builds
//! them, checks them and reads them. A [`Batch`] is proof that length, magic, checksum and header
//! arithmetic were checked; its records are decoded only where someone asks for them.
//!
//! It performs no IO, knows no topic and never panics, whatever the bytes.
//!
//! ```
//! use record::{Batch, BatchBuilder, Compression};
//! use types::Timestamp;
//!
//! let mut builder = BatchBuilder::new(Compression::Lz4);
//! builder.push(Timestamp::from_millis(1), Some(b"key"), Some(b"value"), &[])?;
//! let sent = builder.build()?;
//!
//! let batch = Batch::verify(sent.bytes().clone())?;
//! let record = batch.records()?.next().unwrap()?;
//! assert_eq!(record.value.as_deref(), Some(&b"value"[..]));
//! # Ok::<(), record::RecordError>(())
//! ```

mod batch;
mod builder;
mod check;
mod checksum;
mod compression;
mod error;
mod fields;
mod header;
mod partition;
mod produced;
mod records;
mod varint;

pub use batch::{Batch, Batches};
pub use builder::{BatchBuilder, record_size_bound};
pub use checksum::BatchChecksum;
pub use compression::Compression;
pub use error::RecordError;
pub use header::{BatchHeader, BatchProducer, HEADER_LEN};
pub use partition::partition_for_key;
pub use produced::ProducedBatch;
pub use records::{Header, HeaderView, HeaderViews, Record, RecordView, Records, Views};

/// Largest number of bytes that a compressed batch is unpacked to, unless a caller says otherwise.
///
/// Four times the largest batch a topic may allow: real batches rarely gain more, and a hostile
/// one of a few kilobytes cannot claim a machine's memory.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024 * 1024;
