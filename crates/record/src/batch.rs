use std::iter::FusedIterator;

use bytes::Bytes;
use types::{LeaderEpoch, Offset, Timestamp, TimestampType};

use crate::check::check;
use crate::checksum::{crc32c, with_front};
use crate::header::{CHECKED_FROM, place, stamp};
use crate::{BatchHeader, HEADER_LEN, MAX_PAYLOAD_BYTES, RecordError, Records};

/// One whole batch whose length, magic, checksum and header arithmetic were checked.
///
/// Whether its records decode is only known when they are read, or if it came by
/// [`split`](Batch::split). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What counts: a log may say otherwise than the producer about the timestamps.
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Checks `bytes` to be exactly one batch.
    ///
    /// # Errors
    ///
    /// Those of [`BatchHeader::parse`]; [`RecordError::Truncated`], [`RecordError::TrailingBytes`]
    /// and [`RecordError::Checksum`].
    pub fn verify(mut bytes: Bytes) -> Result<Self, RecordError> {
        let batch = Self::take(&mut bytes)?;
        if bytes.is_empty() {
            Ok(batch)
        } else {
            Err(RecordError::TrailingBytes { excess: bytes.len() })
        }
    }

    /// Takes apart what a producer sent: one or more batches, one behind the other. No bytes, no
    /// batches.
    ///
    /// Beyond [`verify`](Batch::verify) every record is checked, so that what a log takes can be
    /// read by all its consumers: there is one at least and as many as the header counts; their
    /// lengths add up to what is there once it is unpacked, at most [`MAX_PAYLOAD_BYTES`]; their
    /// offset deltas are 0, 1, 2, …; their headers are whole. It costs some nanoseconds a record
    /// and no memory beyond what the codec works with.
    ///
    /// The largest timestamp is the log's word, as in Kafka: where a producer's header has another,
    /// [`header`](Batch::header) and [`placed_header`](Batch::placed_header) have the true one.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Batch::verify); [`RecordError::TooLarge`] if one batch exceeds
    /// `max_batch_bytes` as it was sent or [`MAX_PAYLOAD_BYTES`] unpacked;
    /// [`RecordError::InvalidHeader`] if one has gaps or claims to be stamped by a log;
    /// [`RecordError::InvalidRecord`] names the record; [`RecordError::Codec`]. Nothing is returned
    /// of a partly valid input.
    pub fn split(mut bytes: Bytes, max_batch_bytes: usize) -> Result<Vec<Self>, RecordError> {
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            let header = BatchHeader::parse(&bytes)?;
            // Before the checksum: a batch too large is not worth computing one.
            if max_batch_bytes < header.total_len() {
                return Err(RecordError::TooLarge {
                    size: header.total_len() as u64,
                    limit: max_batch_bytes as u64,
                });
            }
            if !header.is_dense() {
                return Err(RecordError::InvalidHeader {
                    field: "recordsCount",
                    found: i64::from(header.record_count),
                    expected: "lastOffsetDelta + 1",
                });
            }
            if header.timestamp_type == TimestampType::LogAppend {
                return Err(RecordError::InvalidHeader {
                    field: "timestampType",
                    found: 1,
                    expected: "0: only a log stamps records with the time of their append",
                });
            }
            let batch = Self::take(&mut bytes)?;
            let max_timestamp = check(&batch.header, &batch.body())?;
            batches.push(batch.stamped(TimestampType::Create, max_timestamp));
        }
        Ok(batches)
    }

    /// Cuts the first batch off `bytes`, which stay as they are if it is not one.
    fn take(bytes: &mut Bytes) -> Result<Self, RecordError> {
        let header = BatchHeader::parse(bytes)?;
        let truncated =
            || RecordError::Truncated { needed: header.total_len(), found: bytes.len() };
        let checked = bytes.get(CHECKED_FROM..header.total_len()).ok_or_else(truncated)?;
        let computed = crc32c(checked);
        if computed != header.crc {
            return Err(RecordError::Checksum { stored: header.crc, computed });
        }
        let own = bytes.split_to(header.total_len());
        Ok(Self { header, bytes: own })
    }

    /// Wraps what a builder has just sealed.
    pub(crate) fn sealed(bytes: Bytes) -> Result<Self, RecordError> {
        Ok(Self { header: BatchHeader::parse(&bytes)?, bytes })
    }

    /// What the header says.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch as it came. What a log keeps is [`placed_header`](Batch::placed_header) and
    /// [`body`](Batch::body).
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Everything behind the header: the records, packed as they are.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_LEN.min(self.bytes.len())..)
    }

    /// The same batch, every record of which was appended at `now` for all its readers (Kafka's
    /// `message.timestamp.type=LogAppendTime`). Its body is neither copied nor read.
    #[must_use]
    pub fn appended_at(self, now: Timestamp) -> Self {
        self.stamped(TimestampType::LogAppend, now)
    }

    fn stamped(mut self, timestamp_type: TimestampType, max_timestamp: Timestamp) -> Self {
        let header = &self.header;
        if (header.timestamp_type, header.max_timestamp) == (timestamp_type, max_timestamp) {
            return self;
        }
        let sum = |front: [u8; HEADER_LEN]| crc32c(front.get(CHECKED_FROM..).unwrap_or_default());
        let old_front = sum(self.front());
        self.header.timestamp_type = timestamp_type;
        self.header.max_timestamp = max_timestamp;
        let new_front = sum(self.front());
        let behind = self.bytes.len().saturating_sub(HEADER_LEN);
        self.header.crc = with_front(self.header.crc, old_front, new_front, behind);
        self
    }

    /// The header's bytes, stamped.
    fn front(&self) -> [u8; HEADER_LEN] {
        // A `Batch` is never shorter than its header.
        let mut front = self.bytes.first_chunk().copied().unwrap_or([0; HEADER_LEN]);
        stamp(&mut front, &self.header);
        front
    }

    /// The header as it is to be written when the batch lies at `base`, appended in `epoch`. Both
    /// are outside the checksum, so that [`body`](Batch::body) follows unchanged.
    pub fn placed_header(&self, base: Offset, epoch: LeaderEpoch) -> [u8; HEADER_LEN] {
        let mut front = self.front();
        place(&mut front, base, epoch);
        front
    }

    /// The records, unpacked to at most [`MAX_PAYLOAD_BYTES`].
    ///
    /// # Errors
    ///
    /// As [`records_within`](Batch::records_within).
    pub fn records(&self) -> Result<Records, RecordError> {
        self.records_within(MAX_PAYLOAD_BYTES)
    }

    /// The records, unpacked to at most `max_payload_bytes`. Those of a plain batch share its
    /// memory.
    ///
    /// # Errors
    ///
    /// [`RecordError::Codec`] if the codec fails, [`RecordError::TooLarge`] past the limit. A malformed record shows when it is reached.
    pub fn records_within(&self, max_payload_bytes: usize) -> Result<Records, RecordError> {
        let payload = self.header.compression.unpack(self.body(), max_payload_bytes)?;
        Ok(Records::new(&self.header, payload))
    }
}

/// The batches in bytes that a log or a broker gave: whole ones, one behind the other.
///
/// Each is verified as it is reached. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    /// Reads `bytes` from the front.
    pub const fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// Where the next batch ends (exclusive), if the one behind it begins there: headers that agree
    /// are to be believed, also if the next one turns out not to be whole.
    pub fn next_end(&self) -> Option<Offset> {
        let header = BatchHeader::parse(&self.rest).ok()?;
        let behind = BatchHeader::parse(self.rest.get(header.total_len()..)?).ok()?;
        (behind.base_offset == header.end_offset()).then_some(behind.base_offset)
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = Batch::take(&mut self.rest);
        if batch.is_err() {
            self.rest.clear();
        }
        Some(batch)
    }
}

impl FusedIterator for Batches {}
