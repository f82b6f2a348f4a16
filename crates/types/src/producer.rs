use std::fmt;
use std::time::Duration;

/// By how many of its last appends at least a log recognises what an idempotent producer sends
/// again, and so how many requests a producer may have under way to one partition at a time. Each
/// may hold several batches.
pub const RETAINED_APPENDS: usize = 5;

/// For how long at least a log knows a producer after it wrote. One that sends a batch again later
/// than that may double it.
pub const PRODUCER_REMEMBERED: Duration = Duration::from_mins(15);

/// Which life of an idempotent producer a batch is from. A log that has seen a later one takes
/// nothing of an earlier one any more.
///
/// The record format holds it as `i16`, so [`ProducerEpoch::MAX`] is the largest there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(u16);

impl ProducerEpoch {
    /// That of a producer with a new id.
    pub const ZERO: Self = Self(0);
    /// The last one that the record format can hold.
    pub const MAX: Self = Self(i16::MAX.unsigned_abs());

    /// Wraps a raw number, `None` past [`ProducerEpoch::MAX`].
    pub const fn new(raw: u16) -> Option<Self> {
        if raw <= Self::MAX.0 { Some(Self(raw)) } else { None }
    }

    /// The raw number, for encoding.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The one after this, or `None` behind the last: then a new producer id is due.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl fmt::Display for ProducerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a record among those that one life of an idempotent producer wrote to one
/// partition.
///
/// Counted from 0 in each partition and each epoch. The record format holds it as `i32`, so behind
/// [`Sequence::MAX`] comes 0 again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u32);

impl Sequence {
    /// That of the first record.
    pub const ZERO: Self = Self(0);
    /// The last one before they start again.
    pub const MAX: Self = Self(i32::MAX.unsigned_abs());

    /// Wraps a raw number, `None` past [`Sequence::MAX`].
    pub const fn new(raw: u32) -> Option<Self> {
        if raw <= Self::MAX.0 { Some(Self(raw)) } else { None }
    }

    /// The raw number, for encoding.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number that `records` records later has.
    #[must_use]
    pub const fn advanced_by(self, records: u32) -> Self {
        // There are as many numbers as 31 bits hold.
        Self(self.0.wrapping_add(records) & Self::MAX.0)
    }

    /// How many records later `other` comes, if it comes later.
    #[must_use]
    pub const fn records_until(self, other: Self) -> u32 {
        other.0.wrapping_sub(self.0) & Self::MAX.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_end_where_the_record_format_does() {
        assert_eq!(ProducerEpoch::new(32_767), Some(ProducerEpoch::MAX));
        assert_eq!(ProducerEpoch::new(32_768), None);
        assert_eq!(ProducerEpoch::MAX.next(), None);
        assert_eq!(ProducerEpoch::ZERO.next(), ProducerEpoch::new(1));
    }

    #[test]
    fn sequences_start_again_behind_the_last_one() {
        assert_eq!(Sequence::new(2_147_483_647), Some(Sequence::MAX));
        assert_eq!(Sequence::new(2_147_483_648), None);
        assert_eq!(Sequence::MAX.advanced_by(1), Sequence::ZERO);
        assert_eq!(Sequence::MAX.advanced_by(0), Sequence::MAX);
        assert_eq!(Sequence::MAX.records_until(Sequence::ZERO), 1);
        assert_eq!(Sequence::ZERO.records_until(Sequence::MAX), Sequence::MAX.get());
        assert_eq!(Sequence::new(5).map(|five| five.advanced_by(u32::MAX)), Sequence::new(4));
    }
}
