//! How full the disk is, and what follows: below a first limit no records are taken, so that there
//! is room to delete some; below a second one nothing is made that could be left undone, and the
//! ballast is given up.

mod keeper;

use commit_log::{Ballast, Room};
use disk::{RealDisk, Space};

pub(crate) use keeper::{DiskKeeper, FullSeen, full_seen};

use crate::config::DiskLimits;

/// How full a disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Level {
    /// Records are taken.
    #[default]
    Ample,
    /// No records are.
    Low,
    /// Nothing is.
    Critical,
}

/// The limits of one disk, in bytes that are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Thresholds {
    /// With fewer, no records are taken.
    low: u64,
    /// With fewer, nothing else is.
    critical: u64,
}

impl Thresholds {
    /// What `limits` mean on a disk of `total` bytes.
    fn of(limits: &DiskLimits, total: u64) -> Self {
        let part = |percent: u8| total / 100 * u64::from(percent);
        Self {
            low: limits.min_free_bytes.min(part(limits.min_free_percent)),
            critical: limits.critical_free_bytes.min(part(limits.critical_free_percent)),
        }
    }

    /// So much has to be free for records to be taken again: a quarter more than the limit, or
    /// every deletion of a little would be followed by a few produces and the next refusal.
    const fn ample_again(self) -> u64 {
        with_margin(self.low)
    }

    /// How much room `free` bytes are, after there was `last`.
    fn judge(self, last: Level, free: u64) -> Level {
        let back = |limit, was_below: bool| if was_below { with_margin(limit) } else { limit };
        if free < back(self.critical, last == Level::Critical) {
            Level::Critical
        } else if free < back(self.low, last != Level::Ample) {
            Level::Low
        } else {
            Level::Ample
        }
    }
}

const fn with_margin(limit: u64) -> u64 {
    limit.saturating_add(limit / 4)
}

/// The disk as it was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiskState {
    /// How full it is.
    pub(crate) level: Level,
    /// Bytes that are free for records.
    free: u64,
    thresholds: Thresholds,
}

impl DiskState {
    /// What a first look shows. Without one, there is room until a second says otherwise.
    pub(crate) fn first(ballast: &Ballast<RealDisk>, limits: &DiskLimits) -> Self {
        let state = Self::default();
        let looked = ballast.space().and_then(|space| Ok((space, ballast.missing()?)));
        looked.map_or(state, |(space, missing)| state.next(space, missing, limits))
    }

    /// The state after a look at the disk. Room that the ballast is missing is not free.
    fn next(self, space: Space, missing_ballast: u64, limits: &DiskLimits) -> Self {
        let thresholds = Thresholds::of(limits, space.total);
        let free = space.free.saturating_sub(missing_ballast);
        Self { level: thresholds.judge(self.level, free), free, thresholds }
    }

    /// What the data directory goes by.
    pub(crate) fn room(self) -> Room {
        let (free, needed) = (self.free, self.thresholds.ample_again());
        match self.level {
            Level::Ample => Room::Ample,
            Level::Low => Room::Low { free, needed },
            Level::Critical => Room::Critical { free, needed },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_limit_is_the_lesser_of_bytes_and_percent() {
        let limits = DiskLimits::default();
        let of = |total| Thresholds::of(&limits, total);
        assert_eq!(of(1_000 * GIB), Thresholds { low: 5 * GIB, critical: GIB });
        assert_eq!(of(1_000_000), Thresholds { low: 50_000, critical: 10_000 });
    }

    #[test]
    fn there_has_to_be_a_quarter_more_before_it_is_enough_again() {
        let thresholds = Thresholds { low: 100, critical: 20 };
        let mut level = Level::Ample;
        let mut seen = |free| {
            level = thresholds.judge(level, free);
            level
        };
        assert_eq!([100, 99, 124, 125].map(&mut seen), {
            [Level::Ample, Level::Low, Level::Low, Level::Ample]
        });
        assert_eq!([19, 24, 25, 124, 125].map(&mut seen), {
            [Level::Critical, Level::Critical, Level::Low, Level::Low, Level::Ample]
        });
        assert_eq!([10, 125].map(&mut seen), [Level::Critical, Level::Ample]);
    }

    #[test]
    fn a_ballast_that_was_given_up_is_no_room() {
        let limits =
            DiskLimits { min_free_bytes: 100, critical_free_bytes: 20, ..DiskLimits::default() };
        let space = |free| Space { free, total: 1_000_000 };
        let state = DiskState::default().next(space(150), 60, &limits);
        assert_eq!((state.free, state.level), (90, Level::Low));
        assert_eq!(state.next(space(150), 0, &limits).level, Level::Ample);
    }

    #[test]
    fn a_disk_without_limits_is_never_too_full() {
        let limits =
            DiskLimits { min_free_percent: 0, critical_free_percent: 0, ..DiskLimits::default() };
        let state = DiskState::default().next(Space { free: 0, total: GIB }, 0, &limits);
        assert_eq!(state.level, Level::Ample);
    }
}
