use bytes::Bytes;
use lake::avro::{BlockEncoder, Header, SyncMarker};
use lake::commit::Sha256Hash;
use lake::{FileKind, LakePath};
use sha2::{Digest, Sha256};
use types::Offset;

/// One container file in the making: what of it is not written out yet, and what is known of all.
#[derive(Debug)]
pub(super) struct RowFile {
    /// Its name in staging.
    pub(super) stage: LakePath,
    pub(super) kind: FileKind,
    pub(super) rows: u64,
    pub(super) first: Offset,
    pub(super) last: Offset,
    /// Bytes of the file so far, written out or not; the open block does not count.
    pub(super) len: u64,
    hasher: Sha256,
    sync: SyncMarker,
    /// The open block: datums back to back.
    block: Vec<u8>,
    block_rows: u64,
    /// Closed blocks that are not written out yet.
    encoded: Vec<u8>,
}

/// What stands in a file's header beside what every Avro reader needs.
pub(super) struct HeaderText<'a> {
    pub(super) schema: &'a str,
    pub(super) metadata: &'a [(&'a str, String)],
}

impl RowFile {
    pub(super) fn new(stage: LakePath, kind: FileKind, first: Offset, sync: SyncMarker) -> Self {
        Self {
            stage,
            kind,
            rows: 0,
            first,
            last: first,
            len: 0,
            hasher: Sha256::new(),
            sync,
            block: Vec::new(),
            block_rows: 0,
            encoded: Vec::new(),
        }
    }

    /// Appends a row to the open block.
    pub(super) fn push(&mut self, offset: Offset, datum: &[u8]) {
        self.block.extend_from_slice(datum);
        self.block_rows += 1;
        self.rows += 1;
        self.last = offset;
    }

    /// Uncompressed bytes of the open block.
    pub(super) fn open_bytes(&self) -> usize {
        self.block.len()
    }

    /// Bytes of memory that writing the file out would free.
    pub(super) fn memory(&self) -> usize {
        self.block.len() + self.encoded.len()
    }

    /// Closes the open block; the file's first one brings the header with it.
    pub(super) fn close_block(&mut self, encoder: &mut BlockEncoder, header: &HeaderText<'_>) {
        let before = self.encoded.len();
        if self.len == 0 {
            let HeaderText { schema, metadata } = *header;
            let (codec, sync) = (encoder.codec(), self.sync);
            Header { schema, codec, metadata, sync }.encode(&mut self.encoded);
        }
        if 0 < self.block_rows {
            encoder.encode(self.block_rows, &self.block, self.sync, &mut self.encoded);
            self.block = Vec::new();
            self.block_rows = 0;
        }
        let added = self.encoded.get(before..).unwrap_or_default();
        self.hasher.update(added);
        self.len += u64::try_from(added.len()).unwrap_or(u64::MAX);
    }

    /// The closed blocks that were not taken yet.
    pub(super) fn take_encoded(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.encoded))
    }

    /// Hash of all closed blocks.
    pub(super) fn sha256(&self) -> Sha256Hash {
        Sha256Hash::from_bytes(self.hasher.clone().finalize().into())
    }
}
