use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Admin, OffsetAt};
use cluster::Topic;
use types::{Offset, PartitionId, TopicPartition};

use crate::exit::{Exit, Failure};
use crate::lookup::{Lookup, Offsets};
use crate::offsets::{Extent, Range};
use crate::session::Session;

/// The part of one partition that is still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The first offset wanted.
    pub(super) from: Offset,
    /// Exclusive; absent: go on for ever.
    pub(super) until: Option<Offset>,
}

impl Reading {
    /// Whether nothing is wanted.
    pub(super) fn is_over(self) -> bool {
        self.until.is_some_and(|until| until <= self.from)
    }
}

/// When reading is over at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// At the end, as it is now.
    AtEnd,
    /// Where the range ends, if it does.
    WithRange,
}

/// Places the range in every partition asked for, as the partitions are now.
pub(super) async fn plan(
    topics: &[Arc<Topic>],
    wanted: &[u32],
    (range, leave): (Range, Leave),
    admin: &Admin,
    session: &Session,
) -> Result<BTreeMap<TopicPartition, Reading>, Failure> {
    let mut partitions = Vec::new();
    for topic in topics {
        partitions.extend(partitions_of(topic, wanted)?);
    }
    let now = session.clock.now();
    let lookup = Lookup::new(admin, &partitions, session.common.timeout);
    let starts = lookup.offsets(OffsetAt::Earliest).await?;
    let ends = lookup.offsets(OffsetAt::Latest).await?;
    let from = lookup.moment(Some(range.from), now).await?;
    let until = lookup.moment(range.until, now).await?;
    let mut readings = BTreeMap::new();
    for partition in &partitions {
        let at = |offsets: &Offsets| offsets.get(partition).copied();
        let start = at(&starts).unwrap_or(Offset::ZERO);
        let extent = Extent { start, end: at(&ends).unwrap_or(start) };
        let until = range.until.map(|point| point.place(extent, at(&until)));
        let reading = Reading {
            from: range.from.place(extent, at(&from)),
            until: match leave {
                Leave::AtEnd => Some(until.unwrap_or(extent.end).min(extent.end)),
                Leave::WithRange => until,
            },
        };
        readings.insert(partition.clone(), reading);
    }
    Ok(readings)
}

fn partitions_of(topic: &Topic, wanted: &[u32]) -> Result<Vec<TopicPartition>, Failure> {
    let named = |partition| TopicPartition::new(topic.name.clone(), partition);
    if wanted.is_empty() {
        return Ok(topic.numbered_partitions().map(|(id, _)| named(id)).collect());
    }
    for partition in wanted {
        if topic.partition(PartitionId::new(*partition)).is_none() {
            let Topic { name, partitions, .. } = topic;
            let there = partitions.len();
            let message = format!("topic {name} has {there} partitions, and no {partition}");
            let failure = Failure::new(Exit::NotFound, message);
            return Err(failure.next(format!("topic describe {name}")));
        }
    }
    Ok(wanted.iter().map(|partition| named(PartitionId::new(*partition))).collect())
}
