use sha2::{Digest, Sha256};

use super::codec::Codec;
use super::{put_bytes, put_long};

/// The first four bytes of every container file.
pub(super) const MAGIC: [u8; 4] = *b"Obj\x01";

/// The 16 bytes that stand after the header and after every block of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncMarker([u8; 16]);

impl SyncMarker {
    /// The marker of a file whose name no other file has: unlike every other file's, and the same
    /// whenever the file is made again.
    pub fn of_file(unique_name: &str) -> Self {
        let digest = Sha256::digest(unique_name.as_bytes());
        let mut marker = [0; 16];
        marker.iter_mut().zip(digest).for_each(|(byte, hashed)| *byte = hashed);
        Self(marker)
    }

    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What stands at the head of a container file.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// The schema all rows were written with, in the registry's own text: custom attributes and
    /// unknown logical types stay, byte for byte.
    pub schema: &'a str,
    /// How its blocks are compressed.
    pub codec: Codec,
    /// Further metadata. No key begins with `avro.`.
    pub metadata: &'a [(&'a str, String)],
    /// The file's marker.
    pub sync: SyncMarker,
}

impl Header<'_> {
    /// Appends the header's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        put_long(out, i64::try_from(self.metadata.len()).unwrap_or(i64::MAX).saturating_add(2));
        let mut entry = |key: &str, value: &str| {
            put_bytes(out, key.as_bytes());
            put_bytes(out, value.as_bytes());
        };
        entry("avro.schema", self.schema);
        entry("avro.codec", self.codec.as_str());
        for (key, value) in self.metadata {
            entry(key, value);
        }
        put_long(out, 0);
        out.extend_from_slice(self.sync.as_bytes());
    }
}
