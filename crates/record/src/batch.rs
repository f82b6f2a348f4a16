use std::iter::FusedIterator;

use bytes::Bytes;
use types::{LeaderEpoch, Offset};

use crate::checksum::crc32c;
use crate::header::{CHECKED_FROM, patch_crc, patch_producer, place};
use crate::{BatchHeader, BatchProducer, HEADER_LEN, MAX_PAYLOAD_BYTES, RecordError, Records};

/// One whole batch whose length, magic, checksum and header arithmetic were checked.
///
/// Whether its records decode is only known when they are read. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
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

    /// Takes apart what a producer sent: one or more batches, one behind the other.
    ///
    /// Beyond [`verify`](Batch::verify) each must be what only a log may change: every offset has
    /// its record, and there is one at least. Its codec must be one that consumers of this version
    /// read. No bytes, no batches.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Batch::verify); [`RecordError::TooLarge`] if one batch exceeds
    /// `max_batch_bytes`, [`RecordError::InvalidHeader`] if one has gaps,
    /// [`RecordError::UnsupportedCompression`]. Nothing is returned of a partly valid input.
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
            header.compression.check_supported()?;
            batches.push(Self::take(&mut bytes)?);
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

    /// The whole batch as it came.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Everything behind the header: the records, packed as they are.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_LEN.min(self.bytes.len())..)
    }

    /// The header as it is to be written when the batch lies at `base`, appended in `epoch`. Both
    /// are outside the checksum, so that [`body`](Batch::body) follows unchanged.
    pub fn placed_header(&self, base: Offset, epoch: LeaderEpoch) -> [u8; HEADER_LEN] {
        // A `Batch` is never shorter than its header.
        let mut header = self.bytes.first_chunk().copied().unwrap_or([0; HEADER_LEN]);
        place(&mut header, base, epoch);
        header
    }

    /// The same records under another producer, epoch or sequence. Copies the batch, whose checksum
    /// covers these.
    #[must_use]
    pub fn produced_by(&self, producer: BatchProducer) -> Self {
        let mut bytes = self.bytes.to_vec();
        patch_producer(&mut bytes, producer);
        let crc = crc32c(bytes.get(CHECKED_FROM..).unwrap_or_default());
        patch_crc(&mut bytes, crc);
        let mut header = self.header.clone();
        header.producer = Some(producer);
        header.crc = crc;
        Self { header, bytes: Bytes::from(bytes) }
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
    /// [`RecordError::UnsupportedCompression`], [`RecordError::Codec`] if the codec fails,
    /// [`RecordError::TooLarge`] past the limit. A malformed record shows when it is reached.
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
