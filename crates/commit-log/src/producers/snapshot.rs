use std::collections::BTreeSet;

use types::{
    LeaderEpoch, LogId, Offset, ProducerEpoch, ProducerId, RETAINED_APPENDS, Sequence, Timestamp,
};

use super::producer::{Producer, Run};
use super::{ProducerLimits, ProducerStates};
use crate::checksum::crc32c;

const MAGIC: [u8; 4] = *b"DLP1";
const NO_EPOCH: u32 = u32::MAX;

/// Of which records a snapshot knows: those of `log` before `end`, the last of them of `last_epoch`.
///
/// Two logs that hold a record of one epoch at one offset hold the same records up to there. So a
/// snapshot is right for a log that has this point and wrong for any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPoint {
    /// Which life of the log.
    pub log: LogId,
    /// Behind the last record.
    pub end: Offset,
    /// Epoch of the last record before `end`, held or deleted; `None` if there never was one.
    pub last_epoch: Option<LeaderEpoch>,
}

/// What a log knew of its producers at some point, as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSnapshot {
    /// To be compared with what the log holds there before anything else is believed.
    pub point: SnapshotPoint,
    /// Those idle for longest first.
    producers: Vec<(ProducerId, Producer)>,
}

impl ProducerStates {
    /// The stored form of what is known, which is all that `point` names and no more.
    pub fn snapshot(&self, point: SnapshotPoint) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.len() * 100);
        bytes.extend(MAGIC);
        bytes.extend(point.log.to_bytes());
        bytes.extend(point.end.get().to_be_bytes());
        bytes.extend(point.last_epoch.map_or(NO_EPOCH, LeaderEpoch::get).to_be_bytes());
        for id in self.by_use.values() {
            if let Some(producer) = self.producers.get(id) {
                encode(*id, producer, &mut bytes);
            }
        }
        bytes.extend(crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// What was known at a snapshot's point. What the log holds behind it is to be
    /// [applied](ProducerStates::apply).
    pub fn restore(limits: ProducerLimits, snapshot: ProducerSnapshot, now: Timestamp) -> Self {
        let mut states = Self::new(limits);
        for (id, mut producer) in snapshot.producers {
            // A clock that was ahead must not keep anyone for ever.
            producer.used_at = producer.used_at.min(now);
            producer.use_number = states.next_use();
            states.replace(id, Some(producer));
        }
        states
    }
}

impl ProducerSnapshot {
    /// Whether nobody was known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Reads what [`ProducerStates::snapshot`] wrote; `None` for anything else. That it is whole
    /// does not make it right for a log: see [`SnapshotPoint`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c(fields) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut rest = fields.strip_prefix(&MAGIC)?;
        let rest = &mut rest;
        let log = LogId::from_bytes(take(rest)?);
        let end = offset(rest)?;
        let last_epoch = u32::from_be_bytes(take(rest)?);
        let last_epoch = (last_epoch != NO_EPOCH).then(|| LeaderEpoch::new(last_epoch));
        let mut producers = Vec::new();
        let mut ids = BTreeSet::new();
        while !rest.is_empty() {
            let (id, producer) = decode(rest, end)?;
            if !ids.insert(id) {
                return None;
            }
            producers.push((id, producer));
        }
        Some(Self { point: SnapshotPoint { log, end, last_epoch }, producers })
    }
}

fn encode(id: ProducerId, producer: &Producer, bytes: &mut Vec<u8>) {
    let mut runs: [Option<Run>; RETAINED_APPENDS] = [None; _];
    for (slot, run) in runs.iter_mut().rev().zip(producer.retained()) {
        *slot = Some(run);
    }
    let oldest_first = runs.into_iter().flatten();
    bytes.extend(id.get().to_be_bytes());
    bytes.extend(producer.epoch.get().to_be_bytes());
    bytes.extend(producer.used_at.as_millis().to_be_bytes());
    // At most five.
    bytes.push(u8::try_from(oldest_first.clone().count()).unwrap_or(u8::MAX));
    for Run { first, records, base_offset } in oldest_first {
        bytes.extend(first.get().to_be_bytes());
        bytes.extend(records.to_be_bytes());
        bytes.extend(base_offset.get().to_be_bytes());
    }
}

/// Reads one producer, none of whose runs may reach beyond `end`.
fn decode(rest: &mut &[u8], end: Offset) -> Option<(ProducerId, Producer)> {
    let id = ProducerId::new(u64::from_be_bytes(take(rest)?));
    let epoch = ProducerEpoch::new(u16::from_be_bytes(take(rest)?))?;
    let used_at = Timestamp::from_millis(i64::from_be_bytes(take(rest)?));
    let [count] = take(rest)?;
    let mut producer: Option<Producer> = None;
    if RETAINED_APPENDS < usize::from(count) {
        return None;
    }
    for _ in 0..count {
        let first = Sequence::new(u32::from_be_bytes(take(rest)?))?;
        let records = u32::from_be_bytes(take(rest)?);
        let base_offset = offset(rest)?;
        let behind = base_offset.checked_add(u64::from(records))?;
        if records == 0 || end < behind {
            return None;
        }
        let run = Run { first, records, base_offset };
        producer = Some(match producer {
            Some(producer) => producer.interrupted(run, used_at),
            None => Producer::first(epoch, run, used_at),
        });
    }
    Some((id, producer?))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*taken)
}

fn offset(rest: &mut &[u8]) -> Option<Offset> {
    Offset::ZERO.checked_add(u64::from_be_bytes(take(rest)?))
}
