//! The codecs of Kafka, one stream a batch.
//!
//! Whatever the codec, what is packed is one gzip member, one LZ4 or Zstandard frame, one Snappy
//! block or one run of blocks in snappy-java's framing, and nothing behind it. Formats that allow
//! several streams in a row are not read as such: Kafka's clients differ in whether they read on,
//! and a batch must hold the same records for all of them.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;

use bytes::Bytes;

use crate::RecordError;

/// How the records of a batch are packed. The header always stays plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, at its usual level 6.
    Gzip,
    /// Snappy, written in the framing of snappy-java as Kafka's Java client does, and read in that
    /// and as the bare block that librdkafka sends.
    Snappy,
    /// An LZ4 frame of independent blocks, by the fast compressor.
    Lz4,
    /// A Zstandard frame, at its usual level 3.
    Zstd,
}

impl Compression {
    /// Every codec, in the order of Kafka's numbers.
    pub const ALL: &[Self] = &[Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Kafka's number for a codec, the low three bits of a batch's attributes.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    pub(crate) const fn from_code(code: u16) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Kafka's word for it, as in `compression.type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The packed form of what follows the first `front` bytes, behind as many zeros.
    pub(crate) fn pack(self, plain: Vec<u8>, front: usize) -> Result<Vec<u8>, RecordError> {
        let pack = match self {
            Self::None => return Ok(plain),
            Self::Gzip => gzip::pack,
            Self::Snappy => snappy::pack,
            Self::Lz4 => lz4::pack,
            Self::Zstd => zstd::pack,
        };
        pack(plain.get(front..).unwrap_or_default(), front)
    }

    /// The plain form of `packed`, at most `limit` bytes. What is not packed is shared.
    pub(crate) fn unpack(self, packed: Bytes, limit: usize) -> Result<Bytes, RecordError> {
        let Some(mut unpacked) = Unpacked::open(self, &packed, limit)? else { return Ok(packed) };
        // What the packed form claims is not believed: memory grows with what really comes out.
        let guess = packed.len().saturating_mul(3).min(limit);
        let mut plain = Vec::with_capacity(guess);
        loop {
            let piece = unpacked.piece()?;
            if piece.is_empty() {
                return Ok(Bytes::from(plain));
            }
            plain.extend_from_slice(piece);
            let read = piece.len();
            unpacked.consume(read);
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Most plain bytes that a codec without blocks of its own gives at once.
const MAX_PIECE: usize = 128 * 1024;

/// Memory for the pieces of a small batch need not be that large.
fn piece_bytes(packed: &[u8]) -> usize {
    packed.len().saturating_mul(4).clamp(4096, MAX_PIECE)
}

fn failed(codec: Compression, error: &dyn fmt::Display) -> RecordError {
    RecordError::Codec { codec, detail: error.to_string() }
}

/// `front` zeros, with memory behind them for about what `plain` is packed to.
fn zeros_before(plain: &[u8], front: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(front + plain.len() / 2);
    packed.resize(front, 0);
    packed
}

/// A codec at work on the body of one batch.
pub(crate) trait Unpacker {
    /// Plain bytes that were not consumed yet; none at the end only, after which nobody asks.
    fn fill(&mut self) -> Result<&[u8], RecordError>;

    /// Marks plain bytes as read, at most as many as there are.
    fn consume(&mut self, read: usize);

    /// At the end: packed bytes that lie behind it.
    fn left_over(&self) -> usize;
}

/// The plain form of a packed body, piece by piece, so that reading it takes no memory to speak of.
pub(crate) struct Unpacked<'a> {
    codec: Compression,
    /// Until the end.
    unpacker: Option<Box<dyn Unpacker + 'a>>,
    consumed: usize,
    limit: usize,
}

impl<'a> Unpacked<'a> {
    /// Begins to unpack at most `limit` bytes; `None` if nothing is packed.
    pub(crate) fn open(
        codec: Compression,
        packed: &'a [u8],
        limit: usize,
    ) -> Result<Option<Self>, RecordError> {
        let unpacker: Box<dyn Unpacker + 'a> = match codec {
            Compression::None => return Ok(None),
            Compression::Gzip => Box::new(gzip::Member::new(packed)),
            Compression::Snappy => Box::new(snappy::Blocks::new(packed, limit)),
            Compression::Lz4 => Box::new(lz4::Frame::new(packed)?),
            Compression::Zstd => Box::new(zstd::Frame::new(packed)?),
        };
        Ok(Some(Self::around(unpacker, codec, limit)))
    }

    /// At most `limit` bytes of what comes out of `unpacker`.
    pub(crate) fn around(
        unpacker: Box<dyn Unpacker + 'a>,
        codec: Compression,
        limit: usize,
    ) -> Self {
        Self { codec, unpacker: Some(unpacker), consumed: 0, limit }
    }

    /// Plain bytes that were not consumed yet. None at all: this is the end, and nothing follows.
    pub(crate) fn piece(&mut self) -> Result<&[u8], RecordError> {
        let Some(unpacker) = &mut self.unpacker else { return Ok(&[]) };
        let len = unpacker.fill()?.len();
        let size = self.consumed.saturating_add(len);
        if self.limit < size {
            return Err(RecordError::TooLarge { size: size as u64, limit: self.limit as u64 });
        }
        if len == 0 {
            let left_over = unpacker.left_over();
            self.unpacker = None;
            if left_over != 0 {
                let detail = format_args!("{left_over} bytes follow the end of what it packed");
                return Err(failed(self.codec, &detail));
            }
        }
        match &mut self.unpacker {
            Some(unpacker) => unpacker.fill(),
            None => Ok(&[]),
        }
    }

    /// Marks plain bytes as read, at most as many as the piece has.
    pub(crate) fn consume(&mut self, read: usize) {
        if let Some(unpacker) = &mut self.unpacker {
            unpacker.consume(read);
            self.consumed += read;
        }
    }
}

#[cfg(test)]
mod tests;
