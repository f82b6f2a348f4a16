//! The state as of one index, in a key-value store, in chunks.
//!
//! The chunks are written first, under the checkpoint's index; then one small value names them,
//! which is the moment the checkpoint counts; then the older one's chunks go.

use std::sync::Arc;

use bytes::Bytes;
use kv_store::{KvStore, MAX_VALUE_LEN, Transaction};
use prost::Message;
use wire::convert::{snapshot_from_chunks, snapshot_to_chunks};
use wire::v1::storage as v1;

use super::error::CheckpointError;
use super::hard_state::crc32c;
use crate::replicated::Replicated;

const VERSION: u32 = 1;
const HEAD_KEY: &str = "checkpoint";
const CHUNK_PREFIX: &str = "chunk/";
/// Chunks that are written or deleted at once.
const CHUNKS_PER_COMMIT: usize = 16;

/// The state as of `index`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    /// The last entry that is in it.
    pub(crate) index: u64,
    /// That entry's term.
    pub(crate) term: u64,
    /// Who belonged to the quorum then.
    pub(crate) membership: v1::Membership,
    pub(crate) state: Replicated,
}

/// Where checkpoints are kept: at any moment, one.
#[derive(Clone)]
pub(crate) struct Checkpoints {
    store: Arc<dyn KvStore>,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").finish_non_exhaustive()
    }
}

impl Checkpoints {
    pub(crate) fn new(store: Arc<dyn KvStore>) -> Self {
        Self { store }
    }

    /// Durable when it returns. A crash before leaves the one there was.
    pub(crate) fn save(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let Replicated { cluster, tree } = &checkpoint.state;
        let chunks = snapshot_to_chunks(cluster, tree, MAX_VALUE_LEN);
        let prefix = chunk_prefix(checkpoint.index);
        for (group, numbered) in chunks.chunks(CHUNKS_PER_COMMIT).enumerate() {
            let mut transaction = Transaction::new();
            for (place, chunk) in numbered.iter().enumerate() {
                let key = format!("{prefix}{:08}", group * CHUNKS_PER_COMMIT + place);
                transaction = transaction.put(key, chunk.as_ref());
            }
            self.commit(transaction)?;
        }
        let head = v1::Checkpoint {
            version: VERSION,
            index: checkpoint.index,
            term: checkpoint.term,
            chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
            crc32c: crc32c(&chunks.concat()),
            membership: Some(checkpoint.membership.clone()),
        };
        self.commit(Transaction::new().put(HEAD_KEY, head.encode_to_vec()))?;
        self.sweep(&prefix)
    }

    pub(crate) fn load(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let Some(head) = self.store.get(HEAD_KEY.as_bytes())? else { return Ok(None) };
        let head = v1::Checkpoint::decode(head.as_slice())
            .ok()
            .filter(|head| head.version == VERSION)
            .ok_or(CheckpointError::Damaged { index: 0 })?;
        let damaged = || CheckpointError::Damaged { index: head.index };
        let expected = usize::try_from(head.chunks).unwrap_or(usize::MAX);
        let found = self.store.scan(chunk_prefix(head.index).as_bytes(), None, expected)?;
        let chunks: Vec<Bytes> = found.into_iter().map(|(_, chunk)| chunk.into()).collect();
        if chunks.len() != expected || crc32c(&chunks.concat()) != head.crc32c {
            return Err(damaged());
        }
        let (cluster, tree) = snapshot_from_chunks(chunks)?;
        let state = Replicated { cluster, tree };
        let membership = head.membership.clone().ok_or_else(damaged)?;
        Ok(Some(Checkpoint { index: head.index, term: head.term, membership, state }))
    }

    /// Deletes the chunks of every other checkpoint, finished or not.
    fn sweep(&self, keep: &str) -> Result<(), CheckpointError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let found =
                self.store.scan(CHUNK_PREFIX.as_bytes(), after.as_deref(), CHUNKS_PER_COMMIT)?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            after = Some(last.clone());
            let other = found.into_iter().filter(|(key, _)| !key.starts_with(keep.as_bytes()));
            let transaction = other.fold(Transaction::new(), |all, (key, _)| all.delete(key));
            self.commit(transaction)?;
        }
    }

    fn commit(&self, transaction: Transaction) -> Result<(), CheckpointError> {
        match self.store.commit(transaction)? {
            // Nothing is checked: one writer.
            kv_store::Committed::Yes | kv_store::Committed::Conflict { .. } => Ok(()),
        }
    }
}

fn chunk_prefix(index: u64) -> String {
    format!("{CHUNK_PREFIX}{index:020}/")
}
