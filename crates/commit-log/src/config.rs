use std::num::NonZeroUsize;

use types::Durability;

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
}

impl Default for DirectoryConfig {
    /// 16 threads: more made no append faster when measured, and each fewer made some slower.
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            sync_threads: NonZeroUsize::new(16).unwrap_or(NonZeroUsize::MIN),
        }
    }
}
