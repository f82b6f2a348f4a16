use bytes::Bytes;
use types::Timestamp;

use crate::header::{LENGTH_END, NewHeader};
use crate::produced::SharedValue;
use crate::varint;
use crate::{Batch, BatchProducer, Compression, HEADER_LEN, Header, ProducedBatch, RecordError};

/// Largest size of one record's length, attributes, deltas, and lengths of key, value and headers.
const RECORD_OVERHEAD_BOUND: usize = 5 + 1 + varint::MAX_LEN + 4 * 5;
const HEADER_OVERHEAD_BOUND: usize = 2 * 5;

/// Largest batch whose length the header can hold.
const MAX_BATCH_BYTES: usize = i32::MAX as usize;

/// From how many bytes on a value that may be shared is not copied. A smaller one costs as much to
/// keep as to copy.
const SHARED_FROM: usize = 8 * 1024;

fn too_large(size: usize) -> RecordError {
    RecordError::TooLarge { size: size as u64, limit: MAX_BATCH_BYTES as u64 }
}

/// Most bytes that a record can add to a batch.
pub fn record_size_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> usize {
    let field = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
    let headers = headers
        .iter()
        .map(|header| HEADER_OVERHEAD_BOUND + header.key.len() + field(header.value.as_deref()));
    RECORD_OVERHEAD_BOUND + field(key) + field(value) + headers.sum::<usize>()
}

/// Builds one batch, record by record. Its base offset is 0 until a log places it.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    /// Room for the header, then the records, plain; without those values that are shared.
    buffer: Vec<u8>,
    shared: Vec<SharedValue>,
    /// Of the shared values.
    shared_bytes: usize,
    record_count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    producer: Option<BatchProducer>,
}

impl BatchBuilder {
    /// An empty batch, to be packed with `compression`.
    pub fn new(compression: Compression) -> Self {
        Self::with_capacity(compression, 0)
    }

    /// Like [`new`](BatchBuilder::new), with memory set aside for a batch of so many `bytes` beside
    /// the values that are [shared](BatchBuilder::shares).
    pub fn with_capacity(compression: Compression, bytes: usize) -> Self {
        // Room is made for a record before its exact size is known: without some to spare the last
        // one would move all that is there.
        let mut buffer = Vec::with_capacity(bytes.max(HEADER_LEN).saturating_add(varint::MAX_LEN));
        buffer.resize(HEADER_LEN, 0);
        Self {
            compression,
            buffer,
            shared: Vec::new(),
            shared_bytes: 0,
            record_count: 0,
            base_timestamp: Timestamp::from_millis(0),
            max_timestamp: Timestamp::from_millis(0),
            producer: None,
        }
    }

    /// Names the idempotent producer that makes the batch, so that a log knows the batch again.
    pub const fn produced_by(&mut self, producer: BatchProducer) {
        self.producer = Some(producer);
    }

    /// Whether [`push_shared`](BatchBuilder::push_shared) keeps a value of so many bytes as it is.
    pub const fn shares(compression: Compression, value_bytes: usize) -> bool {
        // What is packed is read and written anew anyway.
        matches!(compression, Compression::None) && SHARED_FROM <= value_bytes
    }

    /// Adds a record behind the others. On an error the batch stays as it was.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLarge`] past the 2 GiB that the format can hold,
    /// [`RecordError::InvalidRecord`] if the timestamp is 2^63 ms or more away from the first
    /// record's.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), RecordError> {
        let value = value.map_or(Value::Absent, Value::Copied);
        self.push_any(timestamp, key, value, headers)
    }

    /// As [`push`](BatchBuilder::push), of a value that is kept as it is if it is
    /// [large](BatchBuilder::shares): its memory is held as long as the batch.
    ///
    /// # Errors
    ///
    /// As [`push`](BatchBuilder::push).
    pub fn push_shared(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&Bytes>,
        headers: &[Header],
    ) -> Result<(), RecordError> {
        let value = match value {
            Some(value) if Self::shares(self.compression, value.len()) => Value::Shared(value),
            Some(value) => Value::Copied(value),
            None => Value::Absent,
        };
        self.push_any(timestamp, key, value, headers)
    }

    fn push_any(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Value<'_>,
        headers: &[Header],
    ) -> Result<(), RecordError> {
        let bound =
            self.plain_size().saturating_add(record_size_bound(key, value.bytes(), headers));
        if MAX_BATCH_BYTES < bound || self.record_count == i32::MAX {
            return Err(too_large(bound));
        }
        if self.record_count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        let first = self.base_timestamp.as_millis();
        let Some(timestamp_delta) = timestamp.as_millis().checked_sub(first) else {
            return Err(RecordError::InvalidRecord {
                index: self.record_count.unsigned_abs(),
                problem: "its timestamp is too far from the first record's",
            });
        };
        self.write(timestamp_delta, key, value, headers);
        self.record_count += 1;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(())
    }

    fn write(
        &mut self,
        timestamp_delta: i64,
        key: Option<&[u8]>,
        value: Value<'_>,
        headers: &[Header],
    ) {
        let offset_delta = i64::from(self.record_count);
        let header_count = length_of(headers.len());
        let mut length = 1
            + varint::len(timestamp_delta)
            + varint::len(offset_delta)
            + optional_len(key)
            + optional_len(value.bytes())
            + varint::len(header_count);
        for header in headers {
            length += optional_len(Some(&header.key)) + optional_len(header.value.as_deref());
        }

        let buffer = &mut self.buffer;
        buffer.reserve(varint::MAX_LEN + length - value.shared_len());
        varint::put(buffer, length_of(length));
        // The attributes of a record are unused.
        buffer.push(0);
        varint::put(buffer, timestamp_delta);
        varint::put(buffer, offset_delta);
        put_optional(buffer, key);
        match value {
            Value::Shared(value) => {
                varint::put(buffer, length_of(value.len()));
                self.shared.push(SharedValue { at: buffer.len(), value: value.clone() });
                self.shared_bytes += value.len();
            }
            Value::Copied(_) | Value::Absent => put_optional(buffer, value.bytes()),
        }
        varint::put(buffer, header_count);
        for header in headers {
            put_optional(buffer, Some(&header.key));
            put_optional(buffer, header.value.as_deref());
        }
    }

    /// How many records there are.
    pub const fn record_count(&self) -> u32 {
        self.record_count.unsigned_abs()
    }

    /// Whether there is no record yet.
    pub const fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Bytes of the batch as it stands, before it is packed.
    pub const fn plain_size(&self) -> usize {
        self.buffer.len() + self.shared_bytes
    }

    /// The same without the values that are shared.
    pub const fn written_size(&self) -> usize {
        self.buffer.len()
    }

    /// Packs and seals the batch, in one piece.
    ///
    /// # Errors
    ///
    /// As [`produce`](BatchBuilder::produce).
    pub fn build(self) -> Result<Batch, RecordError> {
        self.produce()?.into_batch()
    }

    /// Packs and seals the batch as it is to be sent.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidHeader`] without a record, [`RecordError::Codec`] if the codec fails,
    /// [`RecordError::TooLarge`] if packing makes it larger than the format can hold.
    pub fn produce(self) -> Result<ProducedBatch, RecordError> {
        let Some(last_offset_delta) = self.record_count.checked_sub(1).filter(|last| 0 <= *last)
        else {
            return Err(RecordError::InvalidHeader {
                field: "recordsCount",
                found: 0,
                expected: "at least one record",
            });
        };
        let mut written = self.compression.pack(self.buffer, HEADER_LEN)?;
        let len = written.len() + self.shared_bytes;
        let header = NewHeader {
            batch_length: i32::try_from(len - LENGTH_END).map_err(|_too_long| too_large(len))?,
            compression: self.compression,
            last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            record_count: self.record_count,
            producer: self.producer,
        };
        if let Some(front) = written.first_chunk_mut() {
            *front = header.encode();
        }
        Ok(ProducedBatch::seal(written, self.shared, self.record_count.unsigned_abs()))
    }
}

/// A record's value, and whether it is copied.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Absent,
    Copied(&'a [u8]),
    Shared(&'a Bytes),
}

impl<'a> Value<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Absent => None,
            Self::Copied(value) => Some(value),
            Self::Shared(value) => Some(value),
        }
    }

    const fn shared_len(self) -> usize {
        match self {
            Self::Absent | Self::Copied(_) => 0,
            Self::Shared(value) => value.len(),
        }
    }
}

/// `push` made sure that every length fits in 31 bits.
#[expect(clippy::cast_possible_wrap, reason = "far below 2^63")]
const fn length_of(length: usize) -> i64 {
    length as i64
}

fn optional_len(field: Option<&[u8]>) -> usize {
    field.map_or(1, |field| varint::len(length_of(field.len())) + field.len())
}

#[inline]
fn put_optional(buffer: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(field) => {
            varint::put(buffer, length_of(field.len()));
            buffer.extend_from_slice(field);
        }
        None => varint::put(buffer, -1),
    }
}
