use std::fmt;
use std::str::FromStr;

use flate2::{Compress, Compression, FlushCompress, Status};
use thiserror::Error;

/// How the blocks of a container file are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Null,
    /// RFC 1951, without zlib's header: what every Avro reader knows.
    #[default]
    Deflate,
    /// Snappy's raw format and a CRC-32 of the uncompressed bytes.
    Snappy,
}

/// A text that names no codec.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no codec; known are null, deflate and snappy")]
pub struct UnknownCodec {
    /// The text given.
    pub text: String,
}

impl Codec {
    /// The value of `avro.codec`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
        }
    }
}

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Null, Self::Deflate, Self::Snappy]
            .into_iter()
            .find(|codec| codec.as_str() == text)
            .ok_or_else(|| UnknownCodec { text: text.to_owned() })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Turns runs of datums into the blocks of a container file.
///
/// Kept and reused: a deflate state is a quarter of a megabyte, and a run may write thousands of
/// small files.
pub struct BlockEncoder {
    codec: Codec,
    deflate: Compress,
    snappy: snap::raw::Encoder,
    compressed: Vec<u8>,
}

impl BlockEncoder {
    /// An encoder for one codec.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            deflate: Compress::new(Compression::default(), false),
            snappy: snap::raw::Encoder::new(),
            compressed: Vec::new(),
        }
    }

    /// The codec it writes.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends to `out` the block of `rows` datums that lie back to back in `datums`.
    pub fn encode(&mut self, rows: u64, datums: &[u8], sync: super::SyncMarker, out: &mut Vec<u8>) {
        let data = match self.codec {
            Codec::Null => datums,
            Codec::Deflate => {
                self.deflate(datums);
                &self.compressed
            }
            Codec::Snappy => {
                self.snappy(datums);
                &self.compressed
            }
        };
        super::put_long(out, i64::try_from(rows).unwrap_or(i64::MAX));
        super::put_bytes(out, data);
        out.extend_from_slice(sync.as_bytes());
    }

    fn deflate(&mut self, datums: &[u8]) {
        self.deflate.reset();
        self.compressed.clear();
        let mut rest = datums;
        loop {
            self.compressed.reserve(rest.len() / 2 + 1_024);
            let before = self.deflate.total_in();
            let status =
                self.deflate.compress_vec(rest, &mut self.compressed, FlushCompress::Finish);
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
            rest = rest.split_at_checked(taken).map_or(&[][..], |(_, rest)| rest);
            match status {
                Ok(Status::StreamEnd) => return,
                Ok(Status::Ok | Status::BufError) => {}
                #[expect(clippy::panic, reason = "compressing into memory cannot fail")]
                Err(error) => panic!("deflate of {} bytes failed: {error}", datums.len()),
            }
        }
    }

    fn snappy(&mut self, datums: &[u8]) {
        self.compressed.clear();
        self.compressed.resize(snap::raw::max_compress_len(datums.len()), 0);
        #[expect(clippy::expect_used, reason = "blocks are far below snappy's limit of 4 GiB")]
        let length = self
            .snappy
            .compress(datums, &mut self.compressed)
            .expect("the buffer has the length snappy asks for");
        self.compressed.truncate(length);
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, datums);
        let [_, _, _, _, low @ ..] = crc.to_be_bytes();
        self.compressed.extend_from_slice(&low);
    }
}

impl fmt::Debug for BlockEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockEncoder").field("codec", &self.codec).finish_non_exhaustive()
    }
}
