//! The commit record: everything one run changed, in the one file whose existence is the commit.

mod format;

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;
use types::{Offset, PartitionId, Timestamp, TopicId, TopicName};

use crate::names::FileKind;
use crate::path::LakePath;
use crate::plan::Plan;
use crate::run_id::RunId;

/// What one run landed.
///
/// Records of a topic form a chain by `seq`; each carries the positions of all partitions forward,
/// so the last one alone tells where the next run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRecord {
    /// The topic.
    pub topic: TopicName,
    /// Which life of it.
    pub topic_id: TopicId,
    /// Place in the log, from 0, without holes.
    pub seq: u64,
    /// The run that made it.
    pub run_id: RunId,
    /// When it was made, by that run's clock.
    pub committed_at: Timestamp,
    /// The partitions it moved.
    pub partitions: Vec<PartitionCommit>,
    /// The next offset to read of every partition, after this commit.
    pub positions: BTreeMap<PartitionId, Offset>,
    /// The files it makes visible.
    pub files: Vec<CommittedFile>,
}

/// How one partition's offsets `from..to` were accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCommit {
    /// The partition.
    pub partition: PartitionId,
    /// The first offset of the run.
    pub from: Offset,
    /// Its end, exclusive.
    pub to: Offset,
    /// What retention removed before `from`.
    pub gap: Option<Gap>,
    /// Records that became rows.
    pub rows: u64,
    /// Records that went to quarantine.
    pub quarantined: u64,
    /// Records without a value that were left out on purpose.
    pub tombstones: u64,
    /// Offsets without a record: compaction, or markers of the platform.
    pub holes: u64,
}

/// Offsets `from..to` that nobody can land any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first offset lost.
    pub from: Offset,
    /// The first one that is there again.
    pub to: Offset,
}

/// A file of a commit, where it was staged and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedFile {
    /// Its name in the run's staging directory.
    pub stage: LakePath,
    /// Its place in the lake.
    pub path: LakePath,
    /// Its length in bytes.
    pub len: u64,
    /// Its rows.
    pub rows: u64,
    /// Hash of its bytes.
    pub sha256: Sha256Hash,
    /// The partition its rows come from.
    pub partition: PartitionId,
    /// Offset of its first row.
    pub first: Offset,
    /// Offset of its last row, inclusive.
    pub last: Offset,
    /// Data or quarantine.
    pub kind: FileKind,
}

/// A SHA-256 hash; reads and writes hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Hash([u8; 32]);

impl Sha256Hash {
    /// Wraps the 32 bytes of a hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why bytes are no commit record.
#[derive(Debug, Error)]
pub enum InvalidRecord {
    /// Not JSON of the expected form.
    #[error("the commit record is damaged: {source}")]
    Malformed {
        /// What the JSON parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A value of a field cannot be.
    #[error("the commit record is damaged: {field} cannot be {found:?}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// Written by a newer version of the sink.
    #[error("the commit record has version {found}; this program reads version 1: upgrade it")]
    Version {
        /// The version found.
        found: u32,
    },
    /// Its numbers do not add up.
    #[error("the commit record does not add up: {source}")]
    Imbalance {
        /// Where.
        #[source]
        source: Imbalance,
    },
}

/// Where the numbers of a commit do not add up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Imbalance {
    /// `to - from` is not rows + quarantined + tombstones + holes.
    #[error(
        "partition {partition} covers {offsets} offsets, but {accounted} are accounted for as rows, quarantined, tombstones and holes"
    )]
    Offsets {
        /// The partition.
        partition: PartitionId,
        /// `to - from`.
        offsets: u64,
        /// The sum.
        accounted: u64,
    },
    /// The files of a partition do not hold the rows it counts.
    #[error("partition {partition} counts {counted} records, but its files hold {filed}")]
    Files {
        /// The partition.
        partition: PartitionId,
        /// Rows and quarantined records.
        counted: u64,
        /// Rows of its files.
        filed: u64,
    },
    /// The position after the commit is not the end of what it landed.
    #[error("partition {partition} was landed up to {to}, but its position is elsewhere")]
    Position {
        /// The partition.
        partition: PartitionId,
        /// End of what was landed, exclusive.
        to: Offset,
    },
}

/// Where a commit does not continue the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BrokenChain {
    /// A sequence number is missing.
    #[error("commit {expected} is missing before commit {found}")]
    Sequence {
        /// The number that should come next.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// Offsets were landed twice or not at all.
    #[error(
        "partition {partition}: the commit before ends at offset {expected}, this one begins at {found}"
    )]
    Offsets {
        /// The partition.
        partition: PartitionId,
        /// Where the commit before left it.
        expected: Offset,
        /// Where this one takes it up, gap included.
        found: Offset,
    },
    /// A partition changed its position without having been landed.
    #[error("partition {partition} changed its position without being landed")]
    Position {
        /// The partition.
        partition: PartitionId,
    },
}

impl CommitRecord {
    /// Checks that this record continues `before`, or begins the log if there is none: every offset
    /// is landed once, over all commits.
    ///
    /// # Errors
    ///
    /// [`BrokenChain`] names the first break.
    pub fn continues(&self, before: Option<&Self>) -> Result<(), BrokenChain> {
        let expected = before.map_or(0, |before| before.seq.saturating_add(1));
        if self.seq != expected {
            return Err(BrokenChain::Sequence { expected, found: self.seq });
        }
        let Some(before) = before else { return Ok(()) };
        for (partition, position) in &self.positions {
            let partition = *partition;
            let known = before.positions.get(&partition);
            let moved = self.partitions.iter().find(|moved| moved.partition == partition);
            match (moved, known) {
                (Some(moved), _) => {
                    // A partition that is new to the lake begins at 0.
                    let expected = known.copied().unwrap_or(Offset::ZERO);
                    let found = moved.begins();
                    if expected != found {
                        return Err(BrokenChain::Offsets { partition, expected, found });
                    }
                }
                (None, Some(known)) if known == position => {}
                (None, _) => return Err(BrokenChain::Position { partition }),
            }
        }
        match before.positions.keys().find(|known| !self.positions.contains_key(known)) {
            Some(forgotten) => Err(BrokenChain::Position { partition: *forgotten }),
            None => Ok(()),
        }
    }

    /// The record of a run that did what `plan` says.
    ///
    /// # Errors
    ///
    /// [`Imbalance`] when `partitions` and `files` do not add up: then nothing may be committed.
    pub fn of_run(
        plan: &Plan,
        topic: &TopicName,
        run_id: &RunId,
        now: Timestamp,
        partitions: &[PartitionCommit],
        files: &[CommittedFile],
    ) -> Result<Self, Imbalance> {
        let mut positions = plan.positions().clone();
        positions.extend(partitions.iter().map(|moved| (moved.partition, moved.to)));
        let record = Self {
            topic: topic.clone(),
            topic_id: plan.topic_id(),
            seq: plan.next_seq(),
            run_id: run_id.clone(),
            committed_at: now,
            partitions: partitions.to_vec(),
            positions,
            files: files.to_vec(),
        };
        record.audit()?;
        Ok(record)
    }

    /// Source against loaded: every offset is accounted for once, and every row is in a file.
    ///
    /// # Errors
    ///
    /// [`Imbalance`] names the first partition that does not add up.
    pub fn audit(&self) -> Result<(), Imbalance> {
        let mut filed: BTreeMap<PartitionId, u64> = BTreeMap::new();
        for file in &self.files {
            let rows = filed.entry(file.partition).or_default();
            *rows = rows.saturating_add(file.rows);
        }
        for moved in &self.partitions {
            let PartitionCommit { partition, to, .. } = *moved;
            let (offsets, accounted) = (moved.offsets(), moved.accounted());
            if offsets != accounted || to < moved.from {
                return Err(Imbalance::Offsets { partition, offsets, accounted });
            }
            let counted = moved.rows.saturating_add(moved.quarantined);
            let filed = filed.remove(&partition).unwrap_or(0);
            if counted != filed {
                return Err(Imbalance::Files { partition, counted, filed });
            }
            if self.positions.get(&partition) != Some(&to) {
                return Err(Imbalance::Position { partition, to });
            }
        }
        match filed.first_key_value() {
            Some((partition, filed)) => {
                Err(Imbalance::Files { partition: *partition, counted: 0, filed: *filed })
            }
            None => Ok(()),
        }
    }

    /// The record as the bytes of its file.
    pub fn encode(&self) -> Vec<u8> {
        format::encode(self)
    }

    /// Reads what [`CommitRecord::encode`] writes, and audits it.
    ///
    /// # Errors
    ///
    /// [`InvalidRecord`] when the bytes are damaged, newer, or do not add up.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        let record = format::decode(bytes)?;
        record.audit().map_err(|source| InvalidRecord::Imbalance { source })?;
        Ok(record)
    }
}

impl PartitionCommit {
    /// How many offsets the run covered.
    pub fn offsets(&self) -> u64 {
        self.to.distance_from(self.from)
    }

    /// How many of them it can tell the fate of.
    pub fn accounted(&self) -> u64 {
        [self.rows, self.quarantined, self.tombstones, self.holes]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Where the partition stood before the commit: `from`, or the start of the gap before it.
    pub fn begins(&self) -> Offset {
        self.gap.map_or(self.from, |gap| gap.from)
    }
}

#[cfg(test)]
mod tests;
