use std::io::{self, BufRead, Read, Write};

use lz4_flex::frame::{BlockMode, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Unpacker, failed, zeros_before};
use crate::{Compression, RecordError};

const LZ4: Compression = Compression::Lz4;

/// How a frame begins, then its flags.
const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// The flag of blocks that do without each other.
const INDEPENDENT: u8 = 0x20;

pub(super) fn pack(plain: &[u8], front: usize) -> Result<Vec<u8>, RecordError> {
    let frame = FrameInfo::new().block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, zeros_before(plain, front));
    encoder.write_all(plain).map_err(|error| failed(LZ4, &error))?;
    encoder.finish().map_err(|error| failed(LZ4, &error))
}

/// One frame.
pub(super) struct Frame<'a>(FrameDecoder<Watched<'a>>);

impl<'a> Frame<'a> {
    /// Kafka's Java client reads frames of independent blocks only: no others may come to its
    /// readers.
    pub(super) fn new(packed: &'a [u8]) -> Result<Self, RecordError> {
        match packed.split_first_chunk() {
            Some((&MAGIC, [flags, ..])) if flags & INDEPENDENT != 0 => {}
            Some((&MAGIC, [_, ..])) => {
                return Err(failed(LZ4, &"the frame's blocks depend on each other"));
            }
            Some(_) | None => return Err(failed(LZ4, &"it does not begin as a frame does")),
        }
        Ok(Self(FrameDecoder::new(Watched { rest: packed, asked: Asked::Within })))
    }
}

impl Unpacker for Frame<'_> {
    fn fill(&mut self) -> Result<&[u8], RecordError> {
        let is_end = self.0.fill_buf().map_err(|error| failed(LZ4, &error))?.is_empty();
        if is_end {
            // The decoder takes a missing end mark for the end.
            return match self.0.get_ref().asked {
                Asked::Within => Ok(&[]),
                Asked::Beyond => Err(failed(LZ4, &"the frame is cut off")),
            };
        }
        self.0.fill_buf().map_err(|error| failed(LZ4, &error))
    }

    fn consume(&mut self, read: usize) {
        self.0.consume(read);
    }

    fn left_over(&self) -> usize {
        self.0.get_ref().rest.len()
    }
}

/// Packed bytes that remember whether somebody asked for more than there are.
struct Watched<'a> {
    rest: &'a [u8],
    asked: Asked,
}

#[derive(Clone, Copy)]
enum Asked {
    Within,
    Beyond,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.rest.len() < into.len() {
            self.asked = Asked::Beyond;
        }
        self.rest.read(into)
    }
}
