use bytes::{BufMut, Bytes, BytesMut};
use prost::{EncodeError, Message};

use super::Frames;
use crate::v1::broker as v1;

/// A message that knows its payload: the one field that is large.
pub trait Framed: Send {
    /// Bytes of the message once it is encoded.
    fn size(&self) -> usize;

    /// Encodes the message behind what is there.
    ///
    /// # Errors
    ///
    /// None: the buffer grows.
    fn put(self, frames: &mut Frames) -> Result<(), EncodeError>;
}

/// `batches`, which is number 15 wherever it occurs, so that it is the last to be encoded and its
/// tag a single byte.
const BATCHES: u8 = length_delimited(15);
const STREAMED_PARTITION: u8 = length_delimited(15);
const FETCHED_PARTITIONS: u8 = length_delimited(1);

/// Tag of a field with a length; one byte for numbers up to 15.
const fn length_delimited(number: u8) -> u8 {
    const WIRE_TYPE: u8 = 2;
    number << 3 | WIRE_TYPE
}

fn put_head(tag: u8, len: usize, buffer: &mut BytesMut) -> Result<(), EncodeError> {
    buffer.put_u8(tag);
    prost::encode_length_delimiter(len, buffer)
}

/// Encodes what is left of a message whose payload was taken, and the payload behind it.
fn put_around<T: Message>(
    rest: &T,
    payload: Bytes,
    frames: &mut Frames,
) -> Result<(), EncodeError> {
    rest.encode(frames.small())?;
    // As proto3 has it: a field that is empty is not there.
    if !payload.is_empty() {
        put_head(BATCHES, payload.len(), frames.small())?;
        frames.payload(payload);
    }
    Ok(())
}

/// A [`v1::ProduceStreamRequest`] whose `batches` are in pieces, wherever those lie.
#[derive(Clone, Debug)]
pub struct ProduceBatches {
    /// All but the batches.
    pub head: v1::ProduceStreamRequest,
    /// What `batches` holds, in order.
    pub batches: Vec<Bytes>,
}

impl ProduceBatches {
    fn payload(&self) -> usize {
        self.batches.iter().map(Bytes::len).sum()
    }
}

impl Framed for ProduceBatches {
    fn size(&self) -> usize {
        let payload = match self.payload() {
            0 => 0,
            bytes => 1 + prost::length_delimiter_len(bytes) + bytes,
        };
        self.head.encoded_len() + payload
    }

    fn put(self, frames: &mut Frames) -> Result<(), EncodeError> {
        self.head.encode(frames.small())?;
        let payload = self.payload();
        if payload != 0 {
            put_head(BATCHES, payload, frames.small())?;
            self.batches.into_iter().for_each(|batch| frames.payload(batch));
        }
        Ok(())
    }
}

fn put_fetched(
    tag: u8,
    mut partition: v1::FetchedPartition,
    frames: &mut Frames,
) -> Result<(), EncodeError> {
    put_head(tag, partition.encoded_len(), frames.small())?;
    let payload = std::mem::take(&mut partition.batches);
    put_around(&partition, payload, frames)
}

impl Framed for v1::ProduceStreamRequest {
    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn put(mut self, frames: &mut Frames) -> Result<(), EncodeError> {
        let payload = std::mem::take(&mut self.batches);
        put_around(&self, payload, frames)
    }
}

impl Framed for v1::ProduceStreamResponse {
    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn put(self, frames: &mut Frames) -> Result<(), EncodeError> {
        self.encode(frames.small())
    }
}

impl Framed for v1::ProduceResponse {
    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn put(self, frames: &mut Frames) -> Result<(), EncodeError> {
        self.encode(frames.small())
    }
}

impl Framed for v1::FetchStreamRequest {
    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn put(self, frames: &mut Frames) -> Result<(), EncodeError> {
        self.encode(frames.small())
    }
}

impl Framed for v1::FetchStreamResponse {
    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn put(self, frames: &mut Frames) -> Result<(), EncodeError> {
        // Named one by one: a field that is added must not be left out here.
        let Self { partition } = self;
        partition.map_or(Ok(()), |partition| put_fetched(STREAMED_PARTITION, partition, frames))
    }
}

impl Framed for v1::FetchResponse {
    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn put(self, frames: &mut Frames) -> Result<(), EncodeError> {
        let Self { partitions } = self;
        let mut partitions = partitions.into_iter();
        partitions.try_for_each(|partition| put_fetched(FETCHED_PARTITIONS, partition, frames))
    }
}
