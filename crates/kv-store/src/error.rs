use std::io;
use std::path::PathBuf;

use thiserror::Error;
use types::{Coded, Reason};

use crate::{MAX_KEY_LEN, MAX_VALUE_LEN};

/// Why a store did not do as asked.
#[derive(Debug, Error)]
pub enum KvError {
    /// Another process, or another part of this one, has the directory open.
    #[error(
        "the store in {dir} is in use by another process; stop that one or choose another directory"
    )]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// What the directory holds is not a store that can be read.
    #[error("the store in {dir} is corrupted ({cause}); restore it from a copy, or rebuild it")]
    Corrupted {
        /// The store's directory.
        dir: PathBuf,
        /// What was found.
        #[source]
        cause: CorruptionCause,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried: "sync", "open".
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// An earlier write failed, so nobody knows what the disk holds.
    #[error(
        "the store in {dir} stopped after a failed write; see the first error, mend the disk and restart"
    )]
    Failed {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The store is in other processes, and they did not do it.
    #[error("{message}")]
    Remote {
        /// Why, in the closed set.
        reason: Reason,
        /// What happened, and what to do.
        message: String,
    },
    /// A key over [`MAX_KEY_LEN`].
    #[error("a key of {length} bytes is too long; at most {MAX_KEY_LEN} are stored")]
    KeyTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A value over [`MAX_VALUE_LEN`].
    #[error(
        "the value of {:?} has {length} bytes; at most {MAX_VALUE_LEN} are stored, cut it up",
        String::from_utf8_lossy(key)
    )]
    ValueTooLong {
        /// Whose value.
        key: Vec<u8>,
        /// Its length in bytes.
        length: usize,
    },
}

/// How sled said that it cannot read its files.
#[derive(Debug, Error)]
pub enum CorruptionCause {
    /// It returned an error.
    #[error(transparent)]
    Reported(sled::Error),
    /// It found nothing where a store was made before: its log does not begin as it should.
    #[error("a store was made there, and sled finds none")]
    Emptied,
    /// It panicked, as it does on some damage.
    #[error("sled panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
}

impl Coded for KvError {
    fn reason(&self) -> Reason {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Reason::StorageFull
            }
            Self::Remote { reason, .. } => *reason,
            Self::Locked { .. }
            | Self::Corrupted { .. }
            | Self::Io { .. }
            | Self::Failed { .. } => Reason::StorageError,
            Self::KeyTooLong { .. } | Self::ValueTooLong { .. } => Reason::InvalidRequest,
        }
    }
}
