//! Which records a topic no longer keeps.

use commit_log::SegmentExtent;
use types::{Offset, Timestamp};

/// What a topic keeps; `None`: everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Age of a segment beyond which it goes (`retention.ms`): that of its youngest record, and
    /// never less than the time since it was written. Records may say that they are of the future,
    /// or nothing at all; that keeps them no longer.
    pub(crate) millis: Option<u64>,
    /// Size of the partition beyond which its oldest segments go (`retention.bytes`).
    pub(crate) bytes: Option<u64>,
}

impl Retention {
    /// Where a log of these segments, oldest first, should begin; `None` if everything is kept.
    ///
    /// Whole segments go, from the oldest on, and only what lies before `up_to`: what is not
    /// committed is not anyone's to remove. A partition keeps at least `retention.bytes`. By age the
    /// last segment goes too, or a topic that rests would keep its last records for ever.
    pub(crate) fn new_start(
        self,
        segments: &[SegmentExtent],
        now: Timestamp,
        up_to: Offset,
    ) -> Option<Offset> {
        let mut left = segments.iter().map(|segment| segment.bytes).sum::<u64>();
        let mut start = None;
        for segment in segments.iter().take_while(|segment| segment.end <= up_to) {
            left = left.saturating_sub(segment.bytes);
            let old = self.millis.is_some_and(|keep| keep < now.millis_since(dated(segment)));
            let beyond = self.bytes.is_some_and(|keep| keep <= left);
            if !old && !beyond {
                break;
            }
            start = Some(segment.end);
        }
        start
    }
}

/// From when on a segment ages.
fn dated(segment: &SegmentExtent) -> Timestamp {
    if segment.newest < Timestamp::from_millis(0) {
        // Kafka's clients say -1 where a record has no time.
        segment.written
    } else {
        segment.newest.min(segment.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    /// Three segments of ten records and 100 bytes, whose youngest are 300, 200 and 100 ms old.
    fn segments() -> [SegmentExtent; 3] {
        [(10, 700), (20, 800), (30, 900)].map(|(end, newest)| SegmentExtent {
            end: Offset::new(end),
            bytes: 100,
            newest: Timestamp::from_millis(newest),
            written: NOW,
        })
    }

    #[track_caller]
    fn check(millis: Option<u64>, bytes: Option<u64>, up_to: u64, expected: Option<u64>) {
        let start = Retention { millis, bytes }.new_start(&segments(), NOW, Offset::new(up_to));
        assert_eq!(start, expected.map(Offset::new));
    }

    #[test]
    fn without_limits_everything_is_kept() {
        check(None, None, 30, None);
    }

    #[test]
    fn what_is_older_than_the_limit_goes_the_last_segment_too() {
        check(Some(300), None, 30, None);
        check(Some(299), None, 30, Some(10));
        check(Some(150), None, 30, Some(20));
        check(Some(0), None, 30, Some(30));
    }

    #[test]
    fn a_partition_keeps_at_least_its_limit_of_bytes() {
        check(None, Some(300), 30, None);
        check(None, Some(201), 30, None);
        check(None, Some(200), 30, Some(10));
        check(None, Some(100), 30, Some(20));
        check(None, Some(101), 30, Some(10));
        check(None, Some(0), 30, Some(30));
    }

    #[test]
    fn j12_what_is_not_committed_and_durable_stays_whatever_its_age() {
        check(Some(0), None, 19, Some(10));
        check(Some(0), Some(0), 9, None);
    }

    #[test]
    fn a_young_segment_protects_those_behind_it() {
        let [first, second, third] = segments();
        let out_of_order = [second, first, third];
        let retention = Retention { millis: Some(250), bytes: None };
        assert_eq!(retention.new_start(&out_of_order, NOW, Offset::new(30)), None);
    }

    #[test]
    fn a_record_of_the_future_or_of_no_time_ages_from_when_it_was_written() {
        for claimed in [5_000, i64::MAX, -1, i64::MIN] {
            let segment = SegmentExtent {
                end: Offset::new(10),
                bytes: 100,
                newest: Timestamp::from_millis(claimed),
                written: Timestamp::from_millis(600),
            };
            let start = |millis| {
                let retention = Retention { millis: Some(millis), bytes: None };
                retention.new_start(&[segment], NOW, Offset::new(10))
            };
            assert_eq!(start(400), None, "{claimed}");
            assert_eq!(start(399), Some(Offset::new(10)), "{claimed}");
        }
    }

    #[test]
    fn a_record_that_came_late_is_as_old_as_it_says() {
        let [first, ..] = segments();
        let retention = Retention { millis: Some(299), bytes: None };
        assert_eq!(retention.new_start(&[first], NOW, Offset::new(10)), Some(first.end));
    }
}
