use bytes::BufMut as _;
use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TimestampType};

use crate::{Compression, RecordError};

/// Bytes before the records of a batch.
pub const HEADER_LEN: usize = 61;
/// Bytes before the part that `batchLength` counts: the base offset and the length itself.
pub(crate) const LENGTH_END: usize = 12;
/// Where the part that the checksum covers begins: at the attributes.
pub(crate) const CHECKED_FROM: usize = 21;
/// Where the checksum lies.
const CRC_AT: usize = 17;
/// Where the lower byte of the attributes lies.
const LOW_ATTRIBUTES_AT: usize = 22;
const MAX_TIMESTAMP_AT: usize = 35;
const EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const PRODUCER_AT: usize = 43;
const MAGIC: u8 = 2;

const COMPRESSION_BITS: u16 = 0x07;
const LOG_APPEND_BIT: u8 = 0x08;
const TRANSACTIONAL_BIT: u16 = 0x10;
const CONTROL_BIT: u16 = 0x20;

/// The idempotent producer that made a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchProducer {
    /// Who.
    pub id: ProducerId,
    /// Which life of it: a later one fences an earlier.
    pub epoch: ProducerEpoch,
    /// Sequence number of the first record; control batches have none.
    pub base_sequence: Option<Sequence>,
}

/// What the first [`HEADER_LEN`] bytes of a batch say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record the batch was built with, held or compacted away.
    pub base_offset: Offset,
    /// Epoch of the leader that appended it; `None` before one did.
    pub leader_epoch: Option<LeaderEpoch>,
    /// CRC32C of everything from the attributes on.
    pub crc: u32,
    /// How the records are packed.
    pub compression: Compression,
    /// Whose clock the timestamps are from.
    pub timestamp_type: TimestampType,
    /// Part of a transaction.
    pub is_transactional: bool,
    /// Holds the platform's own markers, which are not for consumers.
    pub is_control: bool,
    /// Offset of the last record, counted from `base_offset`.
    pub last_offset_delta: u32,
    /// Timestamp that the records' own are counted from.
    pub base_timestamp: Timestamp,
    /// Largest timestamp of a record.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, if it was one.
    pub producer: Option<BatchProducer>,
    /// How many records there are: `last_offset_delta + 1` unless the batch was compacted.
    pub record_count: u32,
    body_len: usize,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes` and checks its arithmetic. The body need not be
    /// there, and the checksum is not looked at.
    ///
    /// # Errors
    ///
    /// [`RecordError::Truncated`] below [`HEADER_LEN`] bytes, [`RecordError::UnsupportedMagic`] for
    /// older formats, [`RecordError::UnknownCompression`], [`RecordError::InvalidHeader`] for
    /// fields that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        if let Some(&magic) = bytes.get(MAGIC_AT).filter(|magic| **magic != MAGIC) {
            return Err(RecordError::UnsupportedMagic { found: magic.cast_signed() });
        }
        let raw = RawHeader::read(bytes)
            .ok_or(RecordError::Truncated { needed: HEADER_LEN, found: bytes.len() })?;
        raw.check()
    }

    /// Bytes of the whole batch, header included.
    pub const fn total_len(&self) -> usize {
        HEADER_LEN + self.body_len
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> Offset {
        // `parse` made sure that `end_offset`, one more, is an offset.
        Offset::new(self.base_offset.get() + u64::from(self.last_offset_delta))
    }

    /// The offset behind the last record (exclusive end).
    pub fn end_offset(&self) -> Offset {
        Offset::new(self.last_offset().get() + 1)
    }

    /// Whether every offset from first to last has its record, as a producer must send it.
    pub const fn is_dense(&self) -> bool {
        self.record_count as u64 == self.last_offset_delta as u64 + 1
    }
}

/// The fields as they lie there.
struct RawHeader {
    base_offset: i64,
    batch_length: i32,
    leader_epoch: i32,
    crc: u32,
    attributes: u16,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    record_count: i32,
}

fn field<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*field)
}

fn invalid(field: &'static str, found: impl Into<i64>, expected: &'static str) -> RecordError {
    RecordError::InvalidHeader { field, found: found.into(), expected }
}

impl RawHeader {
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.first_chunk::<HEADER_LEN>()?.as_slice();
        let rest = &mut rest;
        let base_offset = i64::from_be_bytes(field(rest)?);
        let batch_length = i32::from_be_bytes(field(rest)?);
        let leader_epoch = i32::from_be_bytes(field(rest)?);
        let _magic: [u8; 1] = field(rest)?;
        Some(Self {
            base_offset,
            batch_length,
            leader_epoch,
            crc: u32::from_be_bytes(field(rest)?),
            attributes: u16::from_be_bytes(field(rest)?),
            last_offset_delta: i32::from_be_bytes(field(rest)?),
            base_timestamp: i64::from_be_bytes(field(rest)?),
            max_timestamp: i64::from_be_bytes(field(rest)?),
            producer_id: i64::from_be_bytes(field(rest)?),
            producer_epoch: i16::from_be_bytes(field(rest)?),
            base_sequence: i32::from_be_bytes(field(rest)?),
            record_count: i32::from_be_bytes(field(rest)?),
        })
    }

    fn check(&self) -> Result<BatchHeader, RecordError> {
        let base_offset = u64::try_from(self.base_offset)
            .map_err(|_negative| invalid("baseOffset", self.base_offset, "0 or more"))?;
        let body_len = usize::try_from(self.batch_length)
            .ok()
            .and_then(|length| length.checked_sub(HEADER_LEN - LENGTH_END))
            .ok_or_else(|| invalid("batchLength", self.batch_length, "49 or more"))?;
        let last_offset_delta = u32::try_from(self.last_offset_delta)
            .map_err(|_negative| invalid("lastOffsetDelta", self.last_offset_delta, "0 or more"))?;
        if Offset::new(base_offset).checked_add(u64::from(last_offset_delta) + 1).is_none() {
            return Err(invalid("baseOffset", self.base_offset, "room for the batch's offsets"));
        }
        let record_count = u32::try_from(self.record_count)
            .ok()
            .filter(|count| u64::from(*count) <= u64::from(last_offset_delta) + 1)
            .ok_or_else(|| {
                invalid("recordsCount", self.record_count, "0 to lastOffsetDelta + 1")
            })?;
        let codec = self.attributes & COMPRESSION_BITS;
        Ok(BatchHeader {
            base_offset: Offset::new(base_offset),
            leader_epoch: self.leader_epoch()?,
            crc: self.crc,
            compression: Compression::from_code(codec)
                .ok_or(RecordError::UnknownCompression { number: codec })?,
            timestamp_type: if self.attributes & u16::from(LOG_APPEND_BIT) == 0 {
                TimestampType::Create
            } else {
                TimestampType::LogAppend
            },
            is_transactional: self.attributes & TRANSACTIONAL_BIT != 0,
            is_control: self.attributes & CONTROL_BIT != 0,
            last_offset_delta,
            base_timestamp: Timestamp::from_millis(self.base_timestamp),
            max_timestamp: Timestamp::from_millis(self.max_timestamp),
            producer: self.producer()?,
            record_count,
            body_len,
        })
    }

    fn leader_epoch(&self) -> Result<Option<LeaderEpoch>, RecordError> {
        match u32::try_from(self.leader_epoch) {
            Ok(epoch) => Ok(Some(LeaderEpoch::new(epoch))),
            Err(_negative) if self.leader_epoch == -1 => Ok(None),
            Err(_negative) => Err(invalid("partitionLeaderEpoch", self.leader_epoch, "-1 or more")),
        }
    }

    fn producer(&self) -> Result<Option<BatchProducer>, RecordError> {
        // Without an id the other two mean nothing, whatever they hold.
        if self.producer_id == -1 {
            return Ok(None);
        }
        let id = u64::try_from(self.producer_id)
            .map_err(|_negative| invalid("producerId", self.producer_id, "-1 or more"))?;
        let epoch = u16::try_from(self.producer_epoch)
            .ok()
            .and_then(ProducerEpoch::new)
            .ok_or_else(|| invalid("producerEpoch", self.producer_epoch, "0 or more"))?;
        let base_sequence = match u32::try_from(self.base_sequence).ok().and_then(Sequence::new) {
            None if self.base_sequence != -1 => {
                return Err(invalid("baseSequence", self.base_sequence, "-1 or more"));
            }
            sequence => sequence,
        };
        Ok(Some(BatchProducer { id: ProducerId::new(id), epoch, base_sequence }))
    }
}

/// What a builder knows once its records are packed.
pub(crate) struct NewHeader {
    pub(crate) batch_length: i32,
    pub(crate) compression: Compression,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: Timestamp,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) record_count: i32,
    pub(crate) producer: Option<BatchProducer>,
}

impl NewHeader {
    /// The header with checksum 0, base offset 0 and no epoch.
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let (id, epoch, sequence) = producer_fields(self.producer);
        let fields = [
            &0_i64.to_be_bytes()[..],
            &self.batch_length.to_be_bytes(),
            &(-1_i32).to_be_bytes(),
            &[MAGIC],
            &0_u32.to_be_bytes(),
            &[0, self.compression.code()],
            &self.last_offset_delta.to_be_bytes(),
            &self.base_timestamp.as_millis().to_be_bytes(),
            &self.max_timestamp.as_millis().to_be_bytes(),
            &id,
            &epoch,
            &sequence,
            &self.record_count.to_be_bytes(),
        ];
        let mut header = [0; HEADER_LEN];
        let mut rest = header.as_mut_slice();
        for field in fields {
            rest.put_slice(field);
        }
        header
    }
}

/// Producer id, epoch and base sequence as they lie in a header; -1 where there is none.
fn producer_fields(producer: Option<BatchProducer>) -> ([u8; 8], [u8; 2], [u8; 4]) {
    let Some(BatchProducer { id, epoch, base_sequence }) = producer else {
        return ([0xff; 8], [0xff; 2], [0xff; 4]);
    };
    let sequence = base_sequence.map_or([0xff; 4], |sequence| sequence.get().to_be_bytes());
    (id.get().to_be_bytes(), epoch.get().to_be_bytes(), sequence)
}

/// Writes who made a batch. The fields are inside the checksum.
pub(crate) fn patch_producer(batch: &mut [u8], producer: BatchProducer) {
    let (id, epoch, sequence) = producer_fields(Some(producer));
    patch(batch, PRODUCER_AT, &[&id[..], &epoch, &sequence].concat());
}

fn patch(header: &mut [u8], at: usize, bytes: &[u8]) {
    for (slot, byte) in header.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

pub(crate) fn patch_crc(batch: &mut [u8], crc: u32) {
    patch(batch, CRC_AT, &crc.to_be_bytes());
}

/// Writes whose clock the timestamps are from, the largest of them, and the checksum.
pub(crate) fn stamp(front: &mut [u8; HEADER_LEN], header: &BatchHeader) {
    if let Some(attributes) = front.get_mut(LOW_ATTRIBUTES_AT) {
        *attributes &= !LOG_APPEND_BIT;
        if header.timestamp_type == TimestampType::LogAppend {
            *attributes |= LOG_APPEND_BIT;
        }
    }
    patch(front, MAX_TIMESTAMP_AT, &header.max_timestamp.as_millis().to_be_bytes());
    patch_crc(front, header.crc);
}

/// Writes where a batch lies: both fields are outside the checksum.
pub(crate) fn place(header: &mut [u8; HEADER_LEN], base: Offset, epoch: LeaderEpoch) {
    patch(header, 0, &base.get().to_be_bytes());
    patch(header, EPOCH_AT, &epoch.get().to_be_bytes());
}
