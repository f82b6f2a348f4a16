use std::num::NonZeroUsize;

use types::{DirectoryId, Durability};

use crate::producers::ProducerLimits;

/// How one log is laid out and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment that holds as many bytes is followed by a new one. Capped at
    /// [`LogConfig::MAX_SEGMENT_BYTES`]; an append larger than this gets a segment of its own.
    pub segment_bytes: u64,
    /// A segment that is as many milliseconds old is followed by a new one.
    pub segment_ms: u64,
    /// One index entry for as many bytes of a segment.
    pub index_interval_bytes: u32,
    /// When an append may be answered.
    pub durability: Durability,
    /// For how long idempotent producers are known, and how many.
    pub producers: ProducerLimits,
    /// Whose records it holds.
    pub owner: LogOwner,
}

/// Whose records a log holds, which says how long they are taken on a disk that fills up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogOwner {
    /// Those of clients, who have to wait while there is [little room](crate::Room::Low).
    #[default]
    Clients,
    /// Those that the platform itself needs to go on, of which there are few.
    Platform,
}

impl LogConfig {
    /// What positions within a segment allow.
    pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 256 << 20,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            index_interval_bytes: 4096,
            durability: Durability::Fsync,
            producers: ProducerLimits::default(),
            owner: LogOwner::default(),
        }
    }
}

/// How a data directory works.
#[derive(Clone, Debug)]
pub struct DirectoryConfig {
    /// What logs found at start go by until [`Directory::set_config`](crate::Directory::set_config).
    pub log: LogConfig,
    /// Threads that sync files side by side when several logs need it; 1 for the caller's own.
    pub sync_threads: NonZeroUsize,
    /// The journal, where many logs are appended to at once. `None`: each log is synced by itself,
    /// which is as safe, and for a single log quicker.
    pub journal: Option<JournalConfig>,
    /// How large the [ballast](crate::Ballast) is.
    pub ballast: BallastConfig,
    /// A directory whose fence is to be lifted when it is opened: an operator relies on it.
    pub trusted: Option<DirectoryId>,
}

/// How large a ballast is: the lesser of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BallastConfig {
    /// In bytes; 0 for none.
    pub bytes: u64,
    /// In percent of the disk.
    pub percent: u8,
}

impl BallastConfig {
    pub(crate) fn of(self, total: u64) -> u64 {
        self.bytes.min(total / 100 * u64::from(self.percent))
    }
}

/// When small appends go through the journal, and how large that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// How many files it has. Once half of them are full, the logs that have entries there are
    /// synced while entries go to the others.
    pub files: NonZeroUsize,
    /// Bytes of each file, allocated when the journal is first needed. A step whose small appends
    /// are more is synced log by log.
    pub file_bytes: u64,
    /// What a step appends to one log is journalled below as many bytes; from there on writing
    /// them twice costs more than a sync.
    pub large_append_bytes: u64,
    /// Steps that have small appends for fewer logs sync these.
    pub few_logs: NonZeroUsize,
    /// How much of what it took may wait in memory before it is written to the logs, too.
    pub write_buffers: WriteBufferConfig,
}

/// What may wait in memory, once the journal made it durable, for more that goes to the same log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteBufferConfig {
    /// Bytes of one log.
    pub log_bytes: usize,
    /// Bytes of all logs together, and never more than the [ballast](BallastConfig) has. 0: every
    /// append is written to its log at once.
    pub bytes: usize,
}

impl WriteBufferConfig {
    /// Nothing waits.
    pub const NONE: Self = Self { log_bytes: 0, bytes: 0 };
}

impl Default for WriteBufferConfig {
    /// 64 KiB of each of a thousand logs.
    fn default() -> Self {
        Self { log_bytes: 64 << 10, bytes: 64 << 20 }
    }
}

impl Default for JournalConfig {
    /// Eight files of 32 MiB. Measured on a disk that syncs in 0.25 ms: 4 KiB appends to 3 logs and
    /// more are quicker through the journal, appends of 64 KiB to any number are not. Two go there,
    /// too: their files often have earlier appends to write back that were journalled. With half as
    /// much, appends to a thousand logs fill it while those are being synced.
    fn default() -> Self {
        Self {
            files: NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN),
            file_bytes: 32 << 20,
            large_append_bytes: 64 << 10,
            few_logs: NonZeroUsize::new(2).unwrap_or(NonZeroUsize::MIN),
            write_buffers: WriteBufferConfig::default(),
        }
    }
}

impl Default for DirectoryConfig {
    /// 16 threads: more made no append faster when measured, and each fewer made some slower. No
    /// journal and no ballast.
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            sync_threads: NonZeroUsize::new(16).unwrap_or(NonZeroUsize::MIN),
            journal: None,
            ballast: BallastConfig::default(),
            trusted: None,
        }
    }
}
