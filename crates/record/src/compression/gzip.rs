use std::io::{BufRead, BufReader, Write};

use flate2::Compression as Level;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::{Unpacker, failed, piece_bytes, zeros_before};
use crate::{Compression, RecordError};

const GZIP: Compression = Compression::Gzip;

pub(super) fn pack(plain: &[u8], front: usize) -> Result<Vec<u8>, RecordError> {
    let mut encoder = GzEncoder::new(zeros_before(plain, front), Level::default());
    encoder.write_all(plain).map_err(|error| failed(GZIP, &error))?;
    encoder.finish().map_err(|error| failed(GZIP, &error))
}

/// One member. Its checksum and length are checked where it ends.
pub(super) struct Member<'a>(BufReader<GzDecoder<&'a [u8]>>);

impl<'a> Member<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        Self(BufReader::with_capacity(piece_bytes(packed), GzDecoder::new(packed)))
    }
}

impl Unpacker for Member<'_> {
    fn fill(&mut self) -> Result<&[u8], RecordError> {
        self.0.fill_buf().map_err(|error| failed(GZIP, &error))
    }

    fn consume(&mut self, read: usize) {
        self.0.consume(read);
    }

    fn left_over(&self) -> usize {
        self.0.get_ref().get_ref().len()
    }
}
