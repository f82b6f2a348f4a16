use std::fmt;

use lake::LakePath;
use thiserror::Error;
use types::{Coded, Reason};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What was asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Create a file.
    Create,
    /// Append to a file.
    Write,
    /// Close a file.
    Close,
    /// Rename a file or directory.
    Rename,
    /// Make a directory.
    MakeDirectories,
    /// List a directory.
    List,
    /// Look what a name stands for.
    Stat,
    /// Read a file.
    Read,
    /// Delete a file or directory.
    Delete,
    /// Make a directory's names last.
    SyncDirectory,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "creating",
            Self::Write => "writing",
            Self::Close => "closing",
            Self::Rename => "renaming",
            Self::MakeDirectories => "making the directory",
            Self::List => "listing",
            Self::Stat => "looking up",
            Self::Read => "reading",
            Self::Delete => "deleting",
            Self::SyncDirectory => "syncing the directory",
        })
    }
}

/// Why a store did not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is nothing of that name, or not its directory.
    #[error("{path} is not in the lake")]
    NotFound {
        /// The name.
        path: LakePath,
    },
    /// The name is taken.
    #[error("{path} is in the lake already")]
    AlreadyExists {
        /// The name.
        path: LakePath,
    },
    /// The name is taken by a file that was not closed.
    #[error("{path} is being written by another process, or was left open by one that died")]
    BeingWritten {
        /// The name.
        path: LakePath,
    },
    /// No room is left, or a quota is used up.
    #[error("the lake is full ({operation} {path}): {source}; make room and run again")]
    Full {
        /// What was asked.
        operation: Operation,
        /// Of which name.
        path: LakePath,
        /// What the store reports.
        #[source]
        source: Cause,
    },
    /// No answer came: the operation may have taken effect, or may yet.
    #[error(
        "{operation} {path} was not answered, and whether it took effect is unknown: {source}; run again when the lake answers: nothing is lost, nothing lands twice"
    )]
    Unknown {
        /// What was asked.
        operation: Operation,
        /// Of which name.
        path: LakePath,
        /// What is known.
        #[source]
        source: Cause,
    },
    /// The caller may not do that.
    #[error("{operation} {path} was denied: {source}")]
    Denied {
        /// What was asked.
        operation: Operation,
        /// Of which name.
        path: LakePath,
        /// What the store reports.
        #[source]
        source: Cause,
    },
    /// The store cannot be reached or does not serve at the moment. It did not take effect.
    #[error("{operation} {path} failed: {source}; then run again: nothing is lost")]
    Unavailable {
        /// What was asked.
        operation: Operation,
        /// Of which name.
        path: LakePath,
        /// What the store reports, and what to do about it.
        #[source]
        source: Cause,
    },
    /// It was refused and did not take effect.
    #[error("{operation} {path} failed: {source}")]
    Failed {
        /// What was asked.
        operation: Operation,
        /// Of which name.
        path: LakePath,
        /// What the store reports.
        #[source]
        source: Cause,
    },
}

impl Coded for StoreError {
    fn reason(&self) -> Reason {
        match self {
            Self::NotFound { .. }
            | Self::AlreadyExists { .. }
            | Self::BeingWritten { .. }
            | Self::Denied { .. }
            | Self::Failed { .. } => Reason::StorageError,
            Self::Unavailable { .. } => Reason::CoordinatorNotAvailable,
            Self::Full { .. } => Reason::StorageFull,
            Self::Unknown { .. } => Reason::RequestTimedOut,
        }
    }
}
