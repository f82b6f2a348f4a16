use std::time::Duration;

/// Bytes that are read at once at most, and at least.
const MOST_AT_ONCE: u64 = 1024 * 1024;
const LEAST_AT_ONCE: u64 = 64 * 1024;

/// Spreads reading over time: so many bytes in a second, and no more.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    /// All that was read is paid for by then.
    paid_by: Duration,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid_by: Duration::ZERO }
    }

    /// What to read at once: some eighth of a second's worth, so that others get their turn.
    pub(super) fn bytes_at_once(&self) -> u64 {
        (self.bytes_per_second / 8).clamp(LEAST_AT_ONCE, MOST_AT_ONCE)
    }

    /// How long to wait after `bytes` were read from `began` to `now`.
    pub(super) fn wait_after(&mut self, bytes: u64, began: Duration, now: Duration) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_by = self.paid_by.max(began).saturating_add(cost);
        self.paid_by.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn reading_takes_as_long_as_it_must_and_the_time_it_took_counts() {
        let mut pace = Pace::new(1000);
        assert_eq!(pace.wait_after(500, millis(0), millis(100)), millis(400));
        assert_eq!(pace.wait_after(500, millis(500), millis(2_000)), millis(0));
        assert_eq!(pace.wait_after(500, millis(2_000), millis(2_000)), millis(500));
    }

    #[test]
    fn nobody_saves_up_time_in_which_nothing_was_read() {
        let mut pace = Pace::new(1000);
        pace.wait_after(1, millis(0), millis(0));
        assert_eq!(pace.wait_after(1_000, millis(60_000), millis(60_000)), millis(1_000));
    }

    #[test]
    fn a_slow_pace_takes_small_steps() {
        assert_eq!(Pace::new(1).bytes_at_once(), LEAST_AT_ONCE);
        assert_eq!(Pace::new(u64::MAX).bytes_at_once(), MOST_AT_ONCE);
        assert_eq!(Pace::new(4 * 1024 * 1024).bytes_at_once(), 512 * 1024);
    }
}
