//! Agreement: a log that all coordinators have in common, and how far it is certain.
//!
//! The only module that knows the `raft` crate. Outside, an entry is an index, a term and bytes.
//!
//! What lies on the disk, below the data directory:
//!
//! | path | holds |
//! |---|---|
//! | `log/` | the entries, in a `commit-log` directory: one entry is one batch, its offset the index, its epoch the term |
//! | `hard-state` | raft id, term, vote and commit index, twice, each with a checksum |
//! | `checkpoint/` | the state as of some index, in a `kv-store` |
//!
//! Orders that must hold: entries are durable before the hard state, both before anything is sent
//! or answered (rule C2); a checkpoint and a commit index not below it are durable before the log
//! gives up what the checkpoint covers (rule C3).

mod checkpoint;
mod codec;
mod entry_log;
mod error;
mod hard_state;
mod logger;
mod recovery;
mod replica;
mod storage;

#[cfg(test)]
mod tests;

pub(crate) use checkpoint::{Checkpoint, Checkpoints};
pub(crate) use error::ProposeError;
pub use error::{CheckpointError, EntryError, RaftError};
pub(crate) use recovery::Recovery;
pub(crate) use replica::{Committed, ELECTION_TICKS, Place, Replica, Role};
