use std::fmt;
use std::io::{Read, Write};

use bytes::Bytes;
use lz4_flex::frame::{BlockMode, FrameDecoder, FrameEncoder, FrameInfo};

use crate::RecordError;

/// How the records of a batch are packed. The header always stays plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip. Recognised, not read yet.
    Gzip,
    /// Snappy. Recognised, not read yet.
    Snappy,
    /// An LZ4 frame.
    Lz4,
    /// Zstandard. Recognised, not read yet.
    Zstd,
}

impl Compression {
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

    /// Fails unless this build reads the codec.
    pub(crate) const fn check_supported(self) -> Result<(), RecordError> {
        match self {
            Self::None | Self::Lz4 => Ok(()),
            Self::Gzip | Self::Snappy | Self::Zstd => {
                Err(RecordError::UnsupportedCompression { codec: self })
            }
        }
    }

    /// The packed form of what follows the first `front` bytes, behind as many zeros.
    pub(crate) fn pack(self, plain: Vec<u8>, front: usize) -> Result<Vec<u8>, RecordError> {
        self.check_supported()?;
        match self {
            Self::Lz4 => pack_lz4(plain.get(front..).unwrap_or_default(), front),
            Self::None | Self::Gzip | Self::Snappy | Self::Zstd => Ok(plain),
        }
    }

    /// The plain form of `packed`, at most `limit` bytes.
    pub(crate) fn unpack(self, packed: Bytes, limit: usize) -> Result<Bytes, RecordError> {
        self.check_supported()?;
        match self {
            Self::Lz4 => unpack_lz4(&packed, limit),
            Self::None | Self::Gzip | Self::Snappy | Self::Zstd => Ok(packed),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

fn failed(error: &dyn fmt::Display) -> RecordError {
    RecordError::Codec { codec: Compression::Lz4, detail: error.to_string() }
}

fn pack_lz4(plain: &[u8], front: usize) -> Result<Vec<u8>, RecordError> {
    let mut packed = Vec::with_capacity(front + plain.len() / 2);
    packed.resize(front, 0);
    // Kafka's Java client refuses blocks that depend on each other.
    let frame = FrameInfo::new().block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, packed);
    encoder.write_all(plain).map_err(|error| failed(&error))?;
    encoder.finish().map_err(|error| failed(&error))
}

fn unpack_lz4(packed: &[u8], limit: usize) -> Result<Bytes, RecordError> {
    // What the frame claims is not believed: memory grows with what really comes out.
    let guess = packed.len().saturating_mul(3).min(limit);
    let mut plain = Vec::with_capacity(guess);
    let mut rest = packed;
    let mut decoder = FrameDecoder::new(&mut rest).take((limit as u64).saturating_add(1));
    decoder.read_to_end(&mut plain).map_err(|error| failed(&error))?;
    if limit < plain.len() {
        return Err(RecordError::TooLarge { size: plain.len() as u64, limit: limit as u64 });
    }
    if !rest.is_empty() {
        return Err(failed(&format_args!("{} bytes follow the end of the frame", rest.len())));
    }
    Ok(Bytes::from(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let packed = pack_lz4(&vec![0; 1 << 20], 0).unwrap();
        assert!(packed.len() < 8192);
        assert_eq!(
            unpack_lz4(&packed, 1000),
            Err(RecordError::TooLarge { size: 1001, limit: 1000 })
        );
        assert_eq!(unpack_lz4(&packed, 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn bytes_behind_the_frame_are_not_ignored() {
        let mut packed = pack_lz4(b"twelve bytes", 0).unwrap();
        packed.push(0);
        assert!(matches!(unpack_lz4(&packed, 1000), Err(RecordError::Codec { .. })));
    }

    #[test]
    fn every_codec_has_the_number_kafka_gave_it() {
        let codecs = [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ];
        for (code, codec) in (0_u16..).zip(codecs) {
            assert_eq!(u16::from(codec.code()), code);
            assert_eq!(Compression::from_code(code), Some(codec));
        }
        assert_eq!(Compression::from_code(5), None);
    }
}
