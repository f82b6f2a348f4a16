use std::fmt;

/// A moment in milliseconds since 1970-01-01T00:00:00Z; negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Whose clock the timestamps of records are from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's: each record has its own.
    #[default]
    Create,
    /// The broker's: every record of a batch has the time at which it was appended.
    LogAppend,
}

impl Timestamp {
    /// Wraps milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Milliseconds from `earlier` to this moment; 0 if `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        if self.0 <= earlier.0 { 0 } else { self.0.abs_diff(earlier.0) }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_between_extremes_does_not_overflow() {
        let first = Timestamp::from_millis(i64::MIN);
        let last = Timestamp::from_millis(i64::MAX);
        assert_eq!(last.millis_since(first), u64::MAX);
        assert_eq!(first.millis_since(last), 0);
    }
}
