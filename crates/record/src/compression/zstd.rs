use std::io::{BufRead, BufReader};

use zstd::bulk;
use zstd::stream::read::Decoder;
use zstd::zstd_safe::compress_bound;

use super::{Unpacker, failed, piece_bytes};
use crate::{Compression, RecordError};

const ZSTD: Compression = Compression::Zstd;

/// Kafka's default, and Zstandard's own.
const LEVEL: i32 = 3;

/// Largest window that a frame may ask for, as a power of two: 128 MiB, what Zstandard's decoders
/// allow unless they are told otherwise, Kafka's Java client among them. The memory is taken when
/// the frame begins, but the system gives it page by page as it fills.
const MAX_WINDOW_LOG: u32 = 27;

pub(super) fn pack(plain: &[u8], front: usize) -> Result<Vec<u8>, RecordError> {
    let mut packed = vec![0; front + compress_bound(plain.len())];
    let room = packed.get_mut(front..).unwrap_or_default();
    let size = bulk::compress_to_buffer(plain, room, LEVEL).map_err(|e| failed(ZSTD, &e))?;
    packed.truncate(front + size);
    Ok(packed)
}

/// One frame.
pub(super) struct Frame<'a>(BufReader<Decoder<'static, &'a [u8]>>);

impl<'a> Frame<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Result<Self, RecordError> {
        let decoder = Decoder::with_buffer(packed).map_err(|error| failed(ZSTD, &error))?;
        let mut decoder = decoder.single_frame();
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(|error| failed(ZSTD, &error))?;
        Ok(Self(BufReader::with_capacity(piece_bytes(packed), decoder)))
    }
}

impl Unpacker for Frame<'_> {
    fn fill(&mut self) -> Result<&[u8], RecordError> {
        self.0.fill_buf().map_err(|error| failed(ZSTD, &error))
    }

    fn consume(&mut self, read: usize) {
        self.0.consume(read);
    }

    fn left_over(&self) -> usize {
        self.0.get_ref().get_ref().len()
    }
}
