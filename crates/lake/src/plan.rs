//! What a run is to read, decided from the last commit and what the source holds.

use std::collections::BTreeMap;

use thiserror::Error;
use types::{Offset, PartitionId, TopicId};

use crate::commit::{CommitRecord, Gap};

/// What the source holds of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTopic {
    /// Which life of the topic.
    pub id: TopicId,
    /// All its partitions.
    pub partitions: BTreeMap<PartitionId, Bounds>,
}

/// The readable offsets of a partition: `earliest..latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is still there.
    pub earliest: Offset,
    /// End of what may be read, exclusive: the high watermark.
    pub latest: Offset,
}

/// What to do when retention removed records before they were landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapPolicy {
    /// Stop, and let someone decide.
    Fail,
    /// Go on with what is left, and say so in the commit record.
    Skip,
}

/// Bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At most this many offsets of each partition; the next run goes on from there.
    pub max_records_per_partition: Option<u64>,
}

/// One run's work on one topic, fixed before the first record is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    topic_id: TopicId,
    next_seq: u64,
    /// The next offset to read of every partition any run has known, before this run.
    positions: BTreeMap<PartitionId, Offset>,
    partitions: Vec<PartitionPlan>,
}

/// The offsets of one partition that a run is to land: `from..to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionPlan {
    /// The partition.
    pub partition: PartitionId,
    /// The first offset to read.
    pub from: Offset,
    /// Where to stop, exclusive.
    pub to: Offset,
    /// What retention removed between the last run's position and `from`.
    pub gap: Option<Gap>,
}

/// Why no run can be planned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The topic was deleted and made again: the offsets in the lake mean other records.
    #[error(
        "the topic was made anew since the last run (was {landed}, is {found}): land the new one in another lake, or move this topic's data and _state away first"
    )]
    TopicRecreated {
        /// The life that was landed so far.
        landed: TopicId,
        /// The life the source knows now.
        found: TopicId,
    },
    /// Retention was quicker than the sink.
    #[error(
        "partition {partition}: offsets {} to {} were removed by retention before they were landed; rerun with the gap policy `skip` to record the gap and go on", gap.from, gap.to
    )]
    Gap {
        /// The partition.
        partition: PartitionId,
        /// What is missing; `to` is exclusive.
        gap: Gap,
    },
    /// The source ends before what was landed: it lost records.
    #[error(
        "partition {partition}: the lake holds everything below offset {position}, but the topic ends at {latest}: the source lost records; nothing was read"
    )]
    SourceBehind {
        /// The partition.
        partition: PartitionId,
        /// Where the next run was to begin.
        position: Offset,
        /// Where the source ends, exclusive.
        latest: Offset,
    },
    /// A partition that was landed is not there.
    #[error("partition {partition} was landed before, but the source does not know it")]
    PartitionGone {
        /// The partition.
        partition: PartitionId,
    },
    /// The log has no more numbers.
    #[error("the commit log is at its last sequence number")]
    LogFull,
}

/// Another run moved the same partitions first; this one's work is void.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "run {} committed partition {partition} first (commit {seq}); this run's work was dropped, and the next run goes on from there",
    by
)]
pub struct Fenced {
    /// The run that won.
    pub by: crate::RunId,
    /// Its commit.
    pub seq: u64,
    /// The first partition both wanted.
    pub partition: PartitionId,
}

/// Plans a run over what `source` holds beyond `head`, the last commit.
///
/// The first run of all begins at what is left of each partition. Later, a partition that is new
/// begins at 0.
///
/// # Errors
///
/// [`PlanError`] when the source does not continue what was landed.
pub fn plan(
    head: Option<&CommitRecord>,
    source: &SourceTopic,
    limits: Limits,
    gaps: GapPolicy,
) -> Result<Plan, PlanError> {
    let (next_seq, positions) = match head {
        // What retention took before the first run was never to be landed, and is no gap later:
        // so the partitions with nothing to read have a position too.
        None => (0, source.partitions.iter().map(|(id, bounds)| (*id, bounds.earliest)).collect()),
        Some(head) if head.topic_id == source.id => {
            (head.seq.checked_add(1).ok_or(PlanError::LogFull)?, head.positions.clone())
        }
        Some(head) => {
            return Err(PlanError::TopicRecreated { landed: head.topic_id, found: source.id });
        }
    };
    if let Some(gone) = positions.keys().find(|known| !source.partitions.contains_key(known)) {
        return Err(PlanError::PartitionGone { partition: *gone });
    }
    let mut partitions = Vec::new();
    for (partition, bounds) in &source.partitions {
        let position = positions.get(partition).copied().unwrap_or(Offset::ZERO);
        partitions.extend(plan_partition(*partition, position, *bounds, limits, gaps)?);
    }
    Ok(Plan { topic_id: source.id, next_seq, positions, partitions })
}

fn plan_partition(
    partition: PartitionId,
    position: Offset,
    bounds: Bounds,
    limits: Limits,
    gaps: GapPolicy,
) -> Result<Option<PartitionPlan>, PlanError> {
    let Bounds { earliest, latest } = bounds;
    if latest < position {
        return Err(PlanError::SourceBehind { partition, position, latest });
    }
    let gap = (position < earliest).then_some(Gap { from: position, to: earliest });
    if let (Some(gap), GapPolicy::Fail) = (gap, gaps) {
        return Err(PlanError::Gap { partition, gap });
    }
    let from = position.max(earliest);
    let limit = limits.max_records_per_partition.and_then(|records| from.checked_add(records));
    let to = limit.map_or(latest, |limit| limit.min(latest)).max(from);
    let work = from < to || gap.is_some();
    Ok(work.then_some(PartitionPlan { partition, from, to, gap }))
}

impl Plan {
    /// The life of the topic that is read.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The sequence number of the commit this run will try to make.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The partitions that have something to land, in order.
    pub fn partitions(&self) -> &[PartitionPlan] {
        &self.partitions
    }

    /// Whether there is nothing to do: then a run writes nothing at all.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// How many offsets there are to read.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|plan| plan.to.distance_from(plan.from)).sum()
    }

    /// The next offset to read of every partition, as the last commit left it.
    pub(crate) fn positions(&self) -> &BTreeMap<PartitionId, Offset> {
        &self.positions
    }

    /// The same work on top of `head`, a commit that took this run's sequence number.
    ///
    /// # Errors
    ///
    /// [`Fenced`] when `head` moved a partition of this plan.
    pub fn rebase(&mut self, head: &CommitRecord) -> Result<(), Fenced> {
        let moved = self.partitions.iter().find(|plan| {
            head.positions.get(&plan.partition) != self.positions.get(&plan.partition)
        });
        let other_life = self.partitions.first().filter(|_| head.topic_id != self.topic_id);
        if let Some(plan) = moved.or(other_life) {
            let (by, seq) = (head.run_id.clone(), head.seq);
            return Err(Fenced { by, seq, partition: plan.partition });
        }
        self.next_seq = head.seq.saturating_add(1);
        self.positions.clone_from(&head.positions);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
