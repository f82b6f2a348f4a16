use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use commit_log::LogKey;
use commit_log::scrub::{Finding, Verdict};
use types::{Offset, Timestamp};

/// What scrubs know of the logs, as far as there is something to know.
#[derive(Debug, Default)]
pub(crate) struct Known {
    logs: BTreeMap<LogKey, KnownLog>,
}

/// What scrubs know of one log.
#[derive(Debug, Default)]
pub(crate) struct KnownLog {
    /// When it was last read through.
    pub(crate) scrubbed: Option<Timestamp>,
    /// What is damaged, by the first offset of its segment.
    damaged: BTreeMap<Offset, Damaged>,
}

#[derive(Debug)]
struct Damaged {
    findings: Vec<Finding>,
    unlisted: u64,
}

/// What of a segment's damage was not known before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) findings: Vec<Finding>,
    /// How much more damage the segment has than is listed anywhere.
    pub(super) unlisted: u64,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.unlisted == 0
    }
}

impl Known {
    /// Findings that are kept of all logs; of more there is only the number. A disk that rots
    /// everywhere needs no list.
    pub(super) const MOST_FINDINGS: usize = 10_000;

    /// What is known of a log.
    pub(crate) fn of(&self, log: LogKey) -> Option<&KnownLog> {
        self.logs.get(&log)
    }

    /// The damage that hits records of a log in `range`.
    pub(crate) fn losses(&self, log: LogKey, range: Range<Offset>) -> Vec<Finding> {
        let Some(known) = self.logs.get(&log) else { return Vec::new() };
        let is_hit = |finding: &&Finding| {
            let Range { start, end } = finding.offsets;
            finding.hits_records() && start < range.end && range.start < end
        };
        // A segment before the one in which the range begins holds nothing of it.
        let from = known.damaged.range(..=range.start).next_back().map(|(base, _)| *base);
        let damaged = known.damaged.range(from.unwrap_or(range.start)..);
        let near = damaged.take_while(|(base, _)| **base < range.end);
        near.flat_map(|(_, damaged)| &damaged.findings).filter(is_hit).cloned().collect()
    }

    /// Every segment that is damaged.
    pub(super) fn segments(&self) -> BTreeSet<(LogKey, Offset)> {
        let of = |(key, log): (&LogKey, &KnownLog)| {
            let key = *key;
            log.damaged.keys().map(move |base| (key, *base)).collect::<Vec<_>>()
        };
        self.logs.iter().flat_map(of).collect()
    }

    /// Replaces what is known of a segment; returns what was not known before.
    pub(super) fn note(&mut self, log: LogKey, base: Offset, verdict: Verdict) -> News {
        let known = self.logs.entry(log).or_default();
        let before = known.damaged.remove(&base);
        let Verdict::Damaged { mut findings, mut unlisted } = verdict else {
            return News::default();
        };
        let room = Self::MOST_FINDINGS.saturating_sub(self.listed());
        unlisted += findings.len().saturating_sub(room) as u64;
        findings.truncate(room);
        let is_new = |finding: &&Finding| {
            before.as_ref().is_none_or(|before| !before.findings.contains(finding))
        };
        let news = News {
            findings: findings.iter().filter(is_new).cloned().collect(),
            unlisted: if before.is_some_and(|before| before.unlisted == unlisted) {
                0
            } else {
                unlisted
            },
        };
        let known = self.logs.entry(log).or_default();
        known.damaged.insert(base, Damaged { findings, unlisted });
        news
    }

    /// The log was read through, and has these segments.
    pub(super) fn scrubbed(&mut self, log: LogKey, segments: &BTreeSet<Offset>, at: Timestamp) {
        let known = self.logs.entry(log).or_default();
        known.scrubbed = Some(at);
        known.damaged.retain(|base, _| segments.contains(base));
    }

    /// Forgets logs that are not there any more.
    pub(super) fn retain(&mut self, logs: &BTreeSet<LogKey>) {
        self.logs.retain(|log, _| logs.contains(log));
    }

    /// How many findings there are.
    pub(crate) fn listed(&self) -> usize {
        let damaged = self.logs.values().flat_map(|log| log.damaged.values());
        damaged.map(|damaged| damaged.findings.len()).sum()
    }
}

impl KnownLog {
    /// Whether nothing is known to be damaged.
    pub(crate) fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }

    /// What is damaged, in the order of the log that has these `segments` and begins at
    /// `log_start`: retention may have taken some of what was found. And how much more there is.
    pub(crate) fn standing(
        &self,
        segments: &BTreeSet<Offset>,
        log_start: Offset,
    ) -> (Vec<&Finding>, u64) {
        let damaged = || self.damaged.iter().filter(|(base, _)| segments.contains(base));
        let is_missed =
            |finding: &&Finding| !finding.hits_records() || log_start < finding.offsets.end;
        let findings = damaged().flat_map(|(_, damaged)| &damaged.findings).filter(is_missed);
        (findings.collect(), damaged().map(|(_, damaged)| damaged.unlisted).sum())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use commit_log::scrub::FindingKind;
    use types::{PartitionId, TopicId};

    use super::*;

    fn log(partition: u32) -> LogKey {
        LogKey { topic_id: TopicId::from_bytes([7; 16]), partition: PartitionId::new(partition) }
    }

    fn finding(start: u64, end: u64) -> Finding {
        Finding {
            file: PathBuf::from("/data/0.log"),
            bytes: 0..1,
            offsets: Offset::new(start)..Offset::new(end),
            after: None,
            before: None,
            kind: FindingKind::Missing,
        }
    }

    fn damaged(hits: &[(u64, u64)]) -> Verdict {
        let findings = hits.iter().map(|(start, end)| finding(*start, *end)).collect();
        Verdict::Damaged { findings, unlisted: 0 }
    }

    const BASE: Offset = Offset::ZERO;

    fn news<const N: usize>(findings: [Finding; N]) -> News {
        News { findings: findings.into(), unlisted: 0 }
    }

    #[test]
    fn what_is_found_again_is_not_new_and_what_is_gone_is_forgotten() {
        let mut known = Known::default();
        assert_eq!(known.note(log(0), BASE, damaged(&[(3, 5)])), news([finding(3, 5)]));
        assert_eq!(known.note(log(0), BASE, damaged(&[(3, 5), (8, 9)])), news([finding(8, 9)]));
        assert_eq!(known.segments(), BTreeSet::from([(log(0), BASE)]));
        assert_eq!(known.note(log(0), BASE, Verdict::Sound), news([]));
        assert_eq!(known.segments(), BTreeSet::new());
        known.note(log(0), BASE, damaged(&[(3, 5)]));
        known.scrubbed(log(0), &BTreeSet::from([Offset::new(10)]), Timestamp::from_millis(1));
        assert_eq!(known.segments(), BTreeSet::new(), "retention took the segment");
    }

    #[test]
    fn a_reader_hears_of_the_damage_in_what_it_reads() {
        let mut known = Known::default();
        known.note(log(0), BASE, damaged(&[(0, 0), (3, 5), (8, 9)]));
        known.note(log(0), Offset::new(10), damaged(&[(10, 12)]));
        let losses = |start, end| {
            let losses = known.losses(log(0), Offset::new(start)..Offset::new(end));
            losses.iter().map(|loss| loss.offsets.start.get()).collect::<Vec<_>>()
        };
        assert_eq!(losses(0, 3), [0_u64; 0]);
        assert_eq!(losses(0, 4), [3]);
        assert_eq!(losses(4, 11), [3, 8, 10]);
        assert_eq!(losses(5, 8), [0_u64; 0]);
        assert_eq!(losses(11, 20), [10]);
        assert_eq!(losses(12, 20), [0_u64; 0]);
        assert_eq!(known.losses(log(1), BASE..Offset::new(20)), []);
    }

    #[test]
    fn what_retention_took_is_not_damaged_any_more() {
        let mut known = Known::default();
        known.note(log(0), BASE, damaged(&[(0, 0), (3, 5)]));
        known.note(log(0), Offset::new(10), damaged(&[(12, 14)]));
        let standing = |segments: &[u64], start| {
            let segments = segments.iter().copied().map(Offset::new).collect();
            let (findings, _) = known.of(log(0)).unwrap().standing(&segments, Offset::new(start));
            findings.iter().map(|finding| finding.offsets.start.get()).collect::<Vec<_>>()
        };
        assert_eq!(standing(&[0, 10], 0), [0, 3, 12]);
        assert_eq!(standing(&[0, 10], 4), [0, 3, 12]);
        assert_eq!(standing(&[0, 10], 5), [0, 12], "the index is still there");
        assert_eq!(standing(&[10], 10), [12]);
        assert_eq!(standing(&[10], 14), [0_u64; 0]);
    }

    #[test]
    fn a_disk_that_rots_everywhere_is_counted_and_not_listed() {
        let mut known = Known::default();
        let many: Vec<_> =
            (0..Known::MOST_FINDINGS as u64).map(|at| (2 * at, 2 * at + 1)).collect();
        known.note(log(0), BASE, damaged(&many[1..]));
        let two = [(3, 5), (8, 9)];
        let first = known.note(log(1), BASE, damaged(&two));
        assert_eq!(first, News { findings: vec![finding(3, 5)], unlisted: 1 });
        assert!(known.note(log(1), BASE, damaged(&two)).is_empty(), "it is said once");
        let segments = BTreeSet::from([BASE]);
        assert_eq!(known.of(log(1)).unwrap().standing(&segments, BASE).1, 1);
    }
}
