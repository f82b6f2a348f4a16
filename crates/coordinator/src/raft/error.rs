use std::io;
use std::path::PathBuf;

use commit_log::{AppendError, DirectoryError, LogError, ReadError};
use kv_store::KvError;
use record::RecordError;
use thiserror::Error;
use types::{Coded, Reason};
use wire::InvalidMessage;

/// Why this coordinator can take no part in the quorum. None of these passes by itself.
#[derive(Debug, Error)]
pub enum RaftError {
    /// The log's directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Entries could not be stored.
    #[error("the metadata log cannot be written")]
    Append(#[from] AppendError),
    /// The log could not be cut.
    #[error("the metadata log cannot be changed")]
    Change(#[from] LogError),
    /// Entries that were durable are missing or wrong.
    #[error(
        "the metadata log in {} is damaged; restore the data directory from a copy, or remove it and start as a new member",
        path.display()
    )]
    LogDamaged {
        /// Its directory.
        path: PathBuf,
    },
    /// Entries could not be read.
    #[error("the metadata log cannot be read")]
    Read(#[from] ReadError),
    /// An entry is not as it was written.
    #[error("entry {index} of the metadata log cannot be read")]
    Entry {
        /// Which one.
        index: u64,
        /// What is wrong.
        #[source]
        source: EntryError,
    },
    /// The file of the hard state cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    HardState {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Neither copy of the hard state passes its checksum.
    #[error(
        "{} is damaged: this member may have forgotten its vote; remove the data directory and start it as a new member, or restore a copy of the whole directory",
        path.display()
    )]
    HardStateDamaged {
        /// The file.
        path: PathBuf,
    },
    /// There is a log, but nothing says whose it is.
    #[error(
        "{} is missing, but there is a metadata log beside it; restore the whole data directory from a copy, or remove it and start anew",
        path.display()
    )]
    HardStateMissing {
        /// The file that is missing.
        path: PathBuf,
    },
    /// The checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Saving a checkpoint ended in a panic.
    #[error("saving a checkpoint panicked; this is a bug")]
    CheckpointPanicked,
    /// The log has lost entries that were committed.
    #[error(
        "the metadata log ends at {last}, but {commit} was committed; what is missing was acknowledged: restore the data directory from a copy, or remove it and start as a new member"
    )]
    LogBehindCommit {
        /// The last entry there is.
        last: u64,
        /// The last that is known to have been committed.
        commit: u64,
    },
    /// Entries between the checkpoint and the log are missing.
    #[error(
        "the metadata log begins at {first}, but the checkpoint ends at {checkpoint}; restore the data directory from a copy, or remove it and start as a new member"
    )]
    LogBehindCheckpoint {
        /// The first entry there is.
        first: u64,
        /// The last entry in the checkpoint.
        checkpoint: u64,
    },
    /// A committed entry is no command.
    #[error("entry {index} of the metadata log cannot be read; run the version that wrote it")]
    Command {
        /// Which one.
        index: u64,
        /// What is wrong.
        #[source]
        source: InvalidMessage,
    },
    /// A committed entry is of a kind that this version does not know.
    #[error(
        "entry {index} of the metadata log is of a kind that this version does not know; run the version that wrote it"
    )]
    UnknownEntry {
        /// Which one.
        index: u64,
    },
    /// The raft library refused.
    #[error("raft failed")]
    Library(#[from] raft::Error),
}

/// Why an entry cannot be stored or read.
#[derive(Debug, Error)]
pub enum EntryError {
    /// Its batch is damaged.
    #[error(transparent)]
    Batch(#[from] RecordError),
    /// Its batch holds something other than one entry.
    #[error("its batch holds something else")]
    Shape,
    /// A term beyond what the log's format can hold.
    #[error("term {term} is too large")]
    Term {
        /// The term.
        term: u64,
    },
}

/// Why there is no checkpoint.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The store failed.
    #[error("the checkpoint store failed")]
    Store(#[from] KvError),
    /// A part is missing or damaged.
    #[error(
        "the checkpoint at {index} is damaged; remove the checkpoint directory only if the metadata log still begins at its first entry, else restore a copy"
    )]
    Damaged {
        /// The last entry it is said to hold.
        index: u64,
    },
    /// It is not as this version writes it.
    #[error("the checkpoint cannot be decoded")]
    Format(#[from] InvalidMessage),
}

impl Coded for RaftError {
    fn reason(&self) -> Reason {
        match self {
            Self::Directory(error) => error.reason(),
            Self::Append(error) => error.reason(),
            Self::Change(error) => error.reason(),
            Self::Read(error) => error.reason(),
            Self::Checkpoint(CheckpointError::Store(error)) => error.reason(),
            Self::LogDamaged { .. }
            | Self::HardState { .. }
            | Self::HardStateDamaged { .. }
            | Self::HardStateMissing { .. }
            | Self::Entry { .. }
            | Self::Checkpoint(_)
            | Self::LogBehindCommit { .. }
            | Self::LogBehindCheckpoint { .. } => Reason::StorageError,
            Self::CheckpointPanicked
            | Self::Command { .. }
            | Self::UnknownEntry { .. }
            | Self::Library(_) => Reason::UnknownServerError,
        }
    }
}

/// Why a proposal was not taken. It will not take effect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ProposeError {
    #[error("this coordinator does not lead")]
    NotLeader,
    #[error("too much is proposed and not yet committed")]
    Busy,
    #[error("a command of {length} bytes is too large")]
    TooLarge { length: usize },
}
