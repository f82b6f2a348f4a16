use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use disk::{LockError, is_out_of_descriptors, is_out_of_space};
use thiserror::Error;
use types::{Coded, DirectoryId, LeaderEpoch, Offset, Reason};

use crate::LogKey;
use crate::flaw::Flaw;
use crate::producers::ProducerRefusal;

/// What was being done to a file when the disk refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Creating it.
    Create,
    /// Opening it.
    Open,
    /// Listing it.
    List,
    /// Locking it.
    Lock,
    /// Reading it.
    Read,
    /// Writing to it.
    Write,
    /// Making it durable.
    Sync,
    /// Cutting it.
    Cut,
    /// Renaming it.
    Rename,
    /// Removing it.
    Remove,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::List => "list",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Write => "write to",
            Self::Sync => "sync",
            Self::Cut => "cut",
            Self::Rename => "rename",
            Self::Remove => "remove",
        }
    }

    /// Names the path an error belongs to.
    pub(crate) fn failed(self, path: &Path) -> impl FnOnce(io::Error) -> StorageFault + '_ {
        move |source| StorageFault { action: self, path: path.to_path_buf(), source }
    }
}

/// A file operation that the disk refused.
#[derive(Debug, Error)]
#[error("cannot {} {}", action.as_str(), path.display())]
pub struct StorageFault {
    /// What was being done.
    pub action: Action,
    /// To which file or directory.
    pub path: PathBuf,
    /// What the system reported.
    #[source]
    pub source: io::Error,
}

impl StorageFault {
    /// Whether it passes when space is freed. A sync that ran out of space is no such case: what
    /// it was to keep may be gone.
    pub fn is_out_of_space(&self) -> bool {
        self.action != Action::Sync && is_out_of_space(&self.source)
    }

    /// Whether nothing on the disk can be relied on from here.
    pub(crate) fn is_final(&self) -> bool {
        match self.action {
            // A directory is opened to be synced: one that could not be was not tried.
            Action::Sync => !is_out_of_descriptors(&self.source),
            Action::Write | Action::Cut | Action::Remove | Action::Rename => {
                !is_out_of_space(&self.source)
            }
            // Nothing was changed: too many open files, say, which passes.
            Action::Create | Action::Open | Action::List | Action::Lock | Action::Read => false,
        }
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// Another process works in it.
    #[error(
        "data directory {} is in use by {}: stop that process or give this one another directory",
        path.display(),
        holder.as_deref().unwrap_or("another process")
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// What is known of the other.
        holder: Option<String>,
    },
    /// A sync failed in it, so that what is readable there may not be what is stored, or its journal
    /// lost entries that had been synced.
    #[error(
        "data directory {} is fenced ({cause}): its disk did not keep what it was given; check the \
         disk (dmesg, smartctl, df), then start with an empty directory on a good one, or, to go on \
         with what this one really holds, start once with trust_fenced_directory = \"{}\"",
        path.display(),
        id.map(|id| id.to_string()).unwrap_or_default()
    )]
    Fenced {
        /// The directory.
        path: PathBuf,
        /// Which it is, if it says so.
        id: Option<DirectoryId>,
        /// What happened.
        cause: String,
    },
    /// It holds logs but does not say which directory it is.
    #[error(
        "data directory {} has no valid {file} although it holds logs: bring that file back from \
         where the directory came from, or start with an empty directory",
        path.display()
    )]
    Unidentified {
        /// The directory.
        path: PathBuf,
        /// The file that should tell.
        file: &'static str,
    },
    /// The file that says how far the logs are synced is not valid, or an old copy.
    #[error(
        "{} is damaged, or older than the journal, so that lost records could not be told from ones \
         never written: bring back what belongs there; or, if you accept that, remove it: the logs \
         then count as they are, with what the journal holds beyond their ends",
        file.display()
    )]
    Checkpoint {
        /// The file.
        file: PathBuf,
    },
    /// The disk refused.
    #[error("data directory {} cannot be used", path.display())]
    Storage {
        /// The directory.
        path: PathBuf,
        /// What failed.
        #[source]
        source: StorageFault,
    },
}

impl DirectoryError {
    pub(crate) fn of(path: &Path) -> impl Fn(StorageFault) -> Self + '_ {
        move |source| Self::Storage { path: path.to_path_buf(), source }
    }

    pub(crate) fn from_lock(error: LockError, path: &Path) -> Self {
        let path = path.to_path_buf();
        match error {
            LockError::Held { path: _, holder } => Self::InUse { path, holder },
            LockError::Io { path: file, source } => {
                let source = StorageFault { action: Action::Lock, path: file, source };
                Self::Storage { path, source }
            }
        }
    }
}

impl Coded for DirectoryError {
    fn reason(&self) -> Reason {
        match self {
            Self::Fenced { .. } => Reason::DirectoryFenced,
            Self::InUse { .. }
            | Self::Unidentified { .. }
            | Self::Checkpoint { .. }
            | Self::Storage { .. } => Reason::StorageError,
        }
    }
}

/// The directory takes nothing any more: what its disk holds is not known.
#[derive(Clone, Debug, Error)]
#[error(
    "data directory {} is fenced ({cause}): the broker ends, and nothing that was not acknowledged \
     before is promised; its operator has to check the disk",
    path.display()
)]
pub struct Fenced {
    /// The directory.
    pub path: PathBuf,
    /// What happened.
    pub cause: String,
}

/// Why an append was refused. Nothing of it is in the log, unless the variant says otherwise.
#[derive(Debug, Error)]
pub enum AppendError {
    /// No such log.
    #[error("there is no log {log} in this data directory")]
    UnknownLog {
        /// Which.
        log: LogKey,
    },
    /// The log was found damaged at start and takes nothing.
    #[error("log {log} is damaged: quarantine it and copy it from another replica")]
    Damaged {
        /// Which.
        log: LogKey,
    },
    /// It was to go elsewhere than the end.
    #[error("the append was meant for offset {asked}, but the log ends at {end}")]
    NotAtEnd {
        /// Where it was to go.
        asked: Offset,
        /// Where the log ends (exclusive).
        end: Offset,
    },
    /// An epoch older than what the log ends with.
    #[error("the append is of epoch {epoch}, but the log already holds epoch {last}")]
    StaleEpoch {
        /// The append's.
        epoch: LeaderEpoch,
        /// The log's.
        last: LeaderEpoch,
    },
    /// Its producer may not write it.
    #[error(transparent)]
    Producer(#[from] ProducerRefusal),
    /// More bytes than a segment can hold.
    #[error(
        "the append has {bytes} bytes; at most {limit} go into one: send fewer batches at once"
    )]
    TooLarge {
        /// How many.
        bytes: u64,
        /// How many may be.
        limit: u64,
    },
    /// The record format has no more room for offsets or epochs.
    #[error("log {log} has used up what the record format can count")]
    Exhausted {
        /// Which.
        log: LogKey,
    },
    /// The disk is full. Frees itself when there is room again.
    #[error("the disk is full: free space or shorten retention")]
    Full {
        /// What failed.
        #[source]
        source: StorageFault,
    },
    /// Less of the disk is free than the directory was [told](crate::Directory::set_room) to leave.
    #[error(
        "the disk is full: {free} bytes are free for records, and {needed} are needed; free space \
         or shorten retention, or delete topics or records"
    )]
    LowSpace {
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to be for records to be taken.
        needed: u64,
    },
    /// The disk refused; the next append may succeed.
    #[error("the append could not be written")]
    Failed {
        /// What failed.
        #[source]
        source: StorageFault,
    },
    /// The directory is fenced. Whether what was appended in the same step is there is unknown.
    #[error(transparent)]
    Fenced(#[from] Fenced),
}

impl AppendError {
    pub(crate) fn storage(source: StorageFault) -> Self {
        if source.is_out_of_space() { Self::Full { source } } else { Self::Failed { source } }
    }
}

impl Coded for AppendError {
    fn reason(&self) -> Reason {
        match self {
            Self::UnknownLog { .. } => Reason::UnknownTopicOrPartition,
            Self::NotAtEnd { .. } => Reason::OffsetOutOfRange,
            Self::StaleEpoch { .. } => Reason::FencedLeaderEpoch,
            Self::Producer(refusal) => refusal.reason(),
            Self::TooLarge { .. } => Reason::MessageTooLarge,
            Self::Full { .. } | Self::LowSpace { .. } => Reason::StorageFull,
            Self::Fenced(_) => Reason::DirectoryFenced,
            Self::Damaged { .. } | Self::Exhausted { .. } | Self::Failed { .. } => {
                Reason::StorageError
            }
        }
    }
}

/// Why something other than an append was refused.
#[derive(Debug, Error)]
pub enum LogError {
    /// No such log.
    #[error("there is no log {log} in this data directory")]
    Unknown {
        /// Which.
        log: LogKey,
    },
    /// The log was found damaged at start: only deletion and quarantine are possible.
    #[error("log {log} is damaged: quarantine it and copy it from another replica")]
    Damaged {
        /// Which.
        log: LogKey,
    },
    /// There is one already.
    #[error("log {log} exists already in this data directory")]
    Exists {
        /// Which.
        log: LogKey,
    },
    /// An offset that the log does not have.
    #[error("offset {asked} is outside {start}..={end}")]
    OutOfRange {
        /// The offset.
        asked: Offset,
        /// First offset held.
        start: Offset,
        /// First offset not written.
        end: Offset,
    },
    /// The disk is full. Frees itself when there is room again.
    #[error("the disk is full: free space or shorten retention")]
    Full {
        /// What failed.
        #[source]
        source: StorageFault,
    },
    /// Less of the disk is free than the directory was [told](crate::Directory::set_room) to leave.
    #[error(
        "the disk is full: {free} bytes are free, and {needed} are needed for new logs; free space \
         or shorten retention, or delete topics or records"
    )]
    LowSpace {
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to be for logs to be made.
        needed: u64,
    },
    /// The disk refused; trying again may succeed.
    #[error("the log could not be changed")]
    Failed {
        /// What failed.
        #[source]
        source: StorageFault,
    },
    /// The directory is fenced.
    #[error(transparent)]
    Fenced(#[from] Fenced),
}

impl LogError {
    pub(crate) fn storage(source: StorageFault) -> Self {
        if source.is_out_of_space() { Self::Full { source } } else { Self::Failed { source } }
    }
}

impl Coded for LogError {
    fn reason(&self) -> Reason {
        match self {
            Self::Unknown { .. } => Reason::UnknownTopicOrPartition,
            Self::Exists { .. } => Reason::TopicAlreadyExists,
            Self::OutOfRange { .. } => Reason::OffsetOutOfRange,
            Self::Full { .. } | Self::LowSpace { .. } => Reason::StorageFull,
            Self::Fenced(_) => Reason::DirectoryFenced,
            Self::Damaged { .. } | Self::Failed { .. } => Reason::StorageError,
        }
    }
}

/// Why nothing was read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The offset is gone or not written yet.
    #[error("offset {asked} is outside {start}..={end}")]
    OutOfRange {
        /// The offset.
        asked: Offset,
        /// First offset held.
        start: Offset,
        /// First offset not written.
        end: Offset,
    },
    /// What lies there is no batch, or not the one that belongs there.
    #[error(
        "offsets {} to {} (exclusive) are damaged, {} {flaw}; what lies behind them can be read",
        lost.start, lost.end, path.display()
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// What is wrong.
        flaw: Flaw,
        /// The offsets that cannot be read for that.
        lost: Range<Offset>,
    },
    /// The disk refused.
    #[error("the log could not be read")]
    Storage {
        /// What failed.
        #[source]
        source: StorageFault,
    },
}

impl Coded for ReadError {
    fn reason(&self) -> Reason {
        match self {
            Self::OutOfRange { .. } => Reason::OffsetOutOfRange,
            Self::Damaged { .. } => Reason::CorruptMessage,
            Self::Storage { .. } => Reason::StorageError,
        }
    }
}
