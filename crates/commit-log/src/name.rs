//! What folders and files are called.

use std::fmt;

use types::{LeaderEpoch, LogId, Offset, PartitionId, TopicId};

/// One log of a data directory: a partition of one life of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// The topic; its id rather than its name, since names are used again.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionId,
}

impl LogKey {
    /// Reads what `Display` writes: `<topic-uuid>-<partition>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (topic_id, partition) = text.rsplit_once('-')?;
        let key = Self {
            topic_id: TopicId::parse(topic_id)?,
            partition: PartitionId::new(partition.parse().ok()?),
        };
        // A uuid can be written in several ways, a folder only in one.
        (key.to_string() == text).then_some(key)
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic_id, self.partition)
    }
}

/// One segment: where it begins and the epoch of all its batches. In the order of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    pub(crate) base: Offset,
    pub(crate) epoch: LeaderEpoch,
}

const LOG: &str = ".log";
const INDEX: &str = ".index";
const SNAPSHOT: &str = ".producers";

impl SegmentName {
    pub(crate) fn log_file(self) -> String {
        format!("{self}{LOG}")
    }

    pub(crate) fn index_file(self) -> String {
        format!("{self}{INDEX}")
    }

    pub(crate) fn parse_log(file: &str) -> Option<Self> {
        Self::parse(file.strip_suffix(LOG)?)
    }

    pub(crate) fn parse_index(file: &str) -> Option<Self> {
        Self::parse(file.strip_suffix(INDEX)?)
    }

    fn parse(stem: &str) -> Option<Self> {
        let (base, epoch) = stem.split_once('-')?;
        let name = Self {
            base: Offset::ZERO.checked_add(base.parse().ok()?)?,
            epoch: LeaderEpoch::new(epoch.parse().ok()?),
        };
        (name.to_string() == stem).then_some(name)
    }
}

/// The file that tells what was known of producers when the log ended at `offset`.
pub(crate) fn snapshot_file(offset: Offset) -> String {
    format!("{:020}{SNAPSHOT}", offset.get())
}

/// Reads what [`snapshot_file`] writes.
pub(crate) fn parse_snapshot_file(file: &str) -> Option<Offset> {
    let offset = Offset::ZERO.checked_add(file.strip_suffix(SNAPSHOT)?.parse().ok()?)?;
    (snapshot_file(offset) == file).then_some(offset)
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{}", self.base.get(), self.epoch)
    }
}

const DELETED: &str = "deleted-";
const NEW: &str = "new-";
const DAMAGED: &str = "damaged-";

/// What a folder of a data directory holds, told by its name.
#[derive(Debug)]
pub(crate) enum Folder {
    /// A log.
    Log(LogKey),
    /// A log on its way in or out, which a crash left behind.
    Leftover,
    /// Nothing of ours, or a damaged log kept for a human.
    Foreign,
}

impl Folder {
    pub(crate) fn parse(name: &str) -> Self {
        if let Some(key) = LogKey::parse(name) {
            Self::Log(key)
        } else if name.starts_with(DELETED) || name.starts_with(NEW) {
            Self::Leftover
        } else {
            Self::Foreign
        }
    }
}

/// The folder in which a log is prepared.
pub(crate) fn new_folder(id: LogId) -> String {
    format!("{NEW}{id}")
}

/// Why a log's folder is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// It is to be removed; what a crash leaves of it is removed at the next start.
    Deleted,
    /// It is damaged, and kept for a human.
    Damaged,
}

/// The folder that a log put aside becomes; numbered, since it can happen again.
pub(crate) fn aside_folder(why: Aside, number: u64, key: LogKey) -> String {
    let prefix = match why {
        Aside::Deleted => DELETED,
        Aside::Damaged => DAMAGED,
    };
    format!("{prefix}{number}-{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_name_reads_back_and_nothing_else_does() {
        let key =
            LogKey { topic_id: TopicId::from_bytes([0xab; 16]), partition: PartitionId::new(7) };
        assert_eq!(LogKey::parse(&key.to_string()), Some(key));
        let upper = key.to_string().to_uppercase();
        for other in ["", "-", "7", upper.as_str(), "abababab-abab-abab-abab-abababababab-07"] {
            assert_eq!(LogKey::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_segment_name_sorts_like_the_log() {
        let name =
            |base, epoch| SegmentName { base: Offset::new(base), epoch: LeaderEpoch::new(epoch) };
        assert_eq!(name(42, 3).log_file(), "00000000000000000042-3.log");
        assert_eq!(SegmentName::parse_log("00000000000000000042-3.log"), Some(name(42, 3)));
        assert_eq!(SegmentName::parse_log("42-3.log"), None);
        assert_eq!(SegmentName::parse_log("00000000000000000042-3.index"), None);
        assert_eq!(SegmentName::parse_log("18446744073709551615-3.log"), None);
        assert!(name(9, 12) < name(10, 1));
        assert!(name(10, 2) < name(10, 11));
    }
}
