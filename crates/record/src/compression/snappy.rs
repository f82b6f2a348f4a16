use std::mem;

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{Unpacker, failed};
use crate::{Compression, RecordError};

const SNAPPY: Compression = Compression::Snappy;

/// How snappy-java's framing begins: its name, its version, and the oldest version that reads it.
/// Blocks follow, each behind its length in four bytes, the highest first.
const FRAMING: &[u8; FRAMING_LEN] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const FRAMING_LEN: usize = 16;
/// The name alone. No bare block begins so: its first element would copy from before the beginning.
const NAME: &[u8] = b"\x82SNAPPY\0";

/// Bytes of a block before it is packed, as Kafka's Java client cuts them.
const BLOCK_BYTES: usize = 32 * 1024;

/// No element of the format gives more: 64 bytes for the three of a copy.
const MAX_GAIN: usize = 22;

pub(super) fn pack(plain: &[u8], front: usize) -> Result<Vec<u8>, RecordError> {
    let mut packed = super::zeros_before(plain, front);
    packed.extend_from_slice(FRAMING);
    let mut encoder = Encoder::new();
    let mut block = vec![0; max_compress_len(BLOCK_BYTES.min(plain.len()))];
    for part in plain.chunks(BLOCK_BYTES) {
        let size = encoder.compress(part, &mut block).map_err(|error| failed(SNAPPY, &error))?;
        let length = u32::try_from(size).map_err(|error| failed(SNAPPY, &error))?;
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(block.get(..size).unwrap_or_default());
    }
    Ok(packed)
}

/// A bare block, or the blocks of snappy-java's framing.
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    framing: Framing,
    /// Of the block at hand.
    plain: Vec<u8>,
    read: usize,
    /// Bytes that may still come out.
    room: usize,
    limit: usize,
}

#[derive(Clone, Copy)]
enum Framing {
    Bare,
    Java,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(packed: &'a [u8], limit: usize) -> Self {
        let (framing, rest) = match packed.split_at_checked(FRAMING_LEN) {
            // There never was a second version; librdkafka does not look at it either.
            Some((front, rest)) if front.starts_with(NAME) => (Framing::Java, rest),
            Some(_) | None => (Framing::Bare, packed),
        };
        Self { rest, framing, plain: Vec::new(), read: 0, room: limit, limit }
    }

    fn next_block(&mut self) -> Result<&'a [u8], RecordError> {
        let cut = || failed(SNAPPY, &"a block is cut off");
        match self.framing {
            Framing::Bare => Ok(mem::take(&mut self.rest)),
            Framing::Java => {
                let (length, rest) = self.rest.split_first_chunk().ok_or_else(cut)?;
                let length = usize::try_from(u32::from_be_bytes(*length))
                    .map_err(|error| failed(SNAPPY, &error))?;
                let (block, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
                self.rest = rest;
                Ok(block)
            }
        }
    }

    /// The block's length when plain, if it can be believed.
    fn plain_len(&self, block: &[u8]) -> Result<usize, RecordError> {
        let plain_len = decompress_len(block).map_err(|error| failed(SNAPPY, &error))?;
        if block.len().saturating_mul(MAX_GAIN) < plain_len {
            let detail = format!("{} bytes cannot unpack to {plain_len}", block.len());
            return Err(failed(SNAPPY, &detail));
        }
        if self.room < plain_len {
            let size = (self.limit - self.room).saturating_add(plain_len);
            return Err(RecordError::TooLarge { size: size as u64, limit: self.limit as u64 });
        }
        Ok(plain_len)
    }
}

impl Unpacker for Blocks<'_> {
    fn fill(&mut self) -> Result<&[u8], RecordError> {
        // A block may be of no bytes at all.
        while self.read == self.plain.len() && !self.rest.is_empty() {
            let block = self.next_block()?;
            let plain_len = self.plain_len(block)?;
            self.plain.resize(plain_len, 0);
            self.read = 0;
            Decoder::new()
                .decompress(block, &mut self.plain)
                .map_err(|error| failed(SNAPPY, &error))?;
            self.room -= plain_len;
        }
        Ok(self.plain.get(self.read..).unwrap_or_default())
    }

    fn consume(&mut self, read: usize) {
        self.read = self.plain.len().min(self.read + read);
    }

    fn left_over(&self) -> usize {
        self.rest.len()
    }
}
