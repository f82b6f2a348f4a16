use std::fmt;

/// Position of one record in a partition.
///
/// Dense, starts at 0 and never given out twice. An *end* offset is exclusive: it names the next
/// record to be written. The record format holds offsets as `i64`, so [`Offset::MAX`] is the
/// largest that is ever valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// The position of the first record ever written.
    pub const ZERO: Self = Self(0);
    /// The last position the record format can hold.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Wraps a raw position. Called where bytes or protobuf become domain values, and in tests.
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw position, for encoding.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `records` after this one, or `None` past [`Offset::MAX`].
    pub const fn checked_add(self, records: u64) -> Option<Self> {
        match self.0.checked_add(records) {
            Some(raw) if raw <= Self::MAX.0 => Some(Self(raw)),
            _ => None,
        }
    }

    /// How many positions lie in `earlier..self`; 0 if `earlier` is not before `self`.
    pub const fn distance_from(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($raw);

        impl $name {
            /// The first one.
            pub const ZERO: Self = Self(0);

            /// Wraps a raw number.
            pub const fn new(raw: $raw) -> Self {
                Self(raw)
            }

            /// The raw number, for encoding.
            pub const fn get(self) -> $raw {
                self.0
            }

            /// The one after this, or `None` when the numbers are used up.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// Term of one leader of one partition. Grows by one on each leader change, and when the
    /// leader registers anew. The record format holds it as `i32`.
    LeaderEpoch(u32)
}
counter! {
    /// Version of one partition's metadata. Grows on every change; the token of compare-and-set.
    PartitionEpoch(u32)
}
counter! {
    /// One registration of one broker: the revision of the command that registered it.
    BrokerEpoch(u64)
}
counter! {
    /// Version of the cluster's metadata: the Raft index of the last command applied.
    Revision(u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_never_grows_past_what_the_record_format_holds() {
        assert_eq!(Offset::MAX.checked_add(0), Some(Offset::MAX));
        assert_eq!(Offset::MAX.checked_add(1), None);
        assert_eq!(Offset::new(3).checked_add(4), Some(Offset::new(7)));
    }

    #[test]
    fn a_counter_ends_rather_than_wraps() {
        assert_eq!(LeaderEpoch::new(u32::MAX).next(), None);
        assert_eq!(LeaderEpoch::ZERO.next(), Some(LeaderEpoch::new(1)));
    }
}
