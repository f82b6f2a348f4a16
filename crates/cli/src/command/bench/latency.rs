//! Latencies in an open loop: work is due at fixed times whatever became of the work before, and
//! a latency counts from the moment the work was *due*. A stall therefore shows in everything
//! that had to wait for its end, not in one sample alone (coordinated omission).

use std::thread::{Builder, park_timeout};
use std::time::Duration;

use daemon::clock::Clock;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::exit::Failure;

/// Work that is due and not begun yet. More is begun late, which its latency shows.
const DUE: usize = 1024;
/// Latencies above are counted as this.
const LONGEST_NANOS: u64 = 60 * 1_000_000_000;

/// When each piece of work is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// When the first one is, by a clock's monotonic time.
    pub(super) start: Duration,
    /// Pieces a second.
    pub(super) rate: u32,
    /// How many pieces.
    pub(super) count: u64,
}

impl Schedule {
    /// When piece `index` is due.
    pub(super) fn due(&self, index: u64) -> Duration {
        let rate = u64::from(self.rate.max(1));
        let (seconds, rest) = (index / rate, index % rate);
        self.start
            + Duration::from_secs(seconds)
            + Duration::from_nanos(rest * 1_000_000_000 / rate)
    }

    /// Says of each piece that it is due, at the time, from a thread of its own: timers of tokio
    /// tick in milliseconds. Ends after the last piece, or when nobody listens.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub(super) fn begin(self, clock: Clock) -> Result<mpsc::Receiver<u64>, Failure> {
        let (tell, due) = mpsc::channel(DUE);
        let tick = move || {
            for index in 0..self.count {
                let at = self.due(index);
                while let Some(rest) = at.checked_sub(clock.monotonic()).filter(|it| !it.is_zero())
                {
                    park_timeout(rest);
                }
                if tell.blocking_send(index).is_err() {
                    return;
                }
            }
        };
        Builder::new().name("bench-schedule".to_owned()).spawn(tick)?;
        Ok(due)
    }
}

/// How long pieces of work took from the moment they were due.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    nanos: Histogram<u64>,
}

impl Latencies {
    /// None yet.
    #[expect(clippy::expect_used, reason = "the bounds are constants, and a test makes some")]
    pub(super) fn new() -> Self {
        let nanos = Histogram::new_with_bounds(1, LONGEST_NANOS, 3);
        Self { nanos: nanos.expect("1 is less than half of the longest, and 3 digits are few") }
    }

    /// Counts a piece of work that was done at `done`.
    pub(super) fn record(&mut self, due: Duration, done: Duration) {
        let took = done.saturating_sub(due).as_nanos();
        self.nanos.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
    }

    /// Counts what another turn took.
    #[expect(clippy::expect_used, reason = "all are made by `new`, with the same bounds")]
    pub(super) fn add(&mut self, other: &Self) {
        self.nanos.add(&other.nanos).expect("what fits in one fits in the other");
    }

    /// The figures to be shown.
    pub(super) fn percentiles(&self) -> Percentiles {
        let at = |quantile| micros(self.nanos.value_at_quantile(quantile));
        Percentiles {
            samples: self.nanos.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(self.nanos.max()),
        }
    }
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) samples: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
}

#[expect(clippy::cast_precision_loss, reason = "at most a minute, in three digits")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SERVICE: Duration = Duration::from_micros(100);
    const STALL: Duration = Duration::from_millis(200);

    fn schedule(rate: u32, count: u64) -> Schedule {
        Schedule { start: SECOND, rate, count }
    }

    /// What a server takes that does one thing after the other and once stops for [`STALL`].
    fn stalled_server(schedule: Schedule, stalls_at: u64) -> Latencies {
        let mut latencies = Latencies::new();
        let mut free = Duration::ZERO;
        for index in 0..schedule.count {
            let stall = if index == stalls_at { STALL } else { Duration::ZERO };
            free = free.max(schedule.due(index)) + SERVICE + stall;
            latencies.record(schedule.due(index), free);
        }
        latencies
    }

    #[track_caller]
    fn check_about(found_us: f64, expected: Duration) {
        let expected = expected.as_secs_f64() * 1e6;
        assert!((found_us - expected).abs() < expected / 50.0, "{found_us} is not {expected}");
    }

    #[test]
    fn a_stall_of_200_ms_shows_in_p99_9_and_not_in_the_median() {
        let percentiles = stalled_server(schedule(1000, 10_000), 5_000).percentiles();
        check_about(percentiles.p50_us, SERVICE);
        // 200 ms of 10 s stood still: the slowest thousandth are the first ten of those.
        check_about(percentiles.p999_us, Duration::from_millis(190));
        check_about(percentiles.max_us, STALL + SERVICE);
    }

    #[test]
    fn without_a_stall_p99_9_is_as_quick_as_the_rest() {
        let percentiles = stalled_server(schedule(1000, 10_000), u64::MAX).percentiles();
        check_about(percentiles.p999_us, SERVICE);
    }

    #[test]
    fn due_times_do_not_drift_at_rates_that_do_not_divide_a_second() {
        let thirds = schedule(3, 0);
        assert_eq!(thirds.due(0), SECOND);
        assert_eq!(thirds.due(3), 2 * SECOND);
        assert_eq!(thirds.due(3_000_000_000), SECOND + 1_000_000_000 * SECOND);
        assert_eq!(thirds.due(1), SECOND + Duration::from_nanos(333_333_333));
    }

    #[test]
    fn turns_add_up() {
        let mut both = stalled_server(schedule(1000, 100), u64::MAX);
        both.add(&stalled_server(schedule(1000, 50), 0));
        let percentiles = both.percentiles();
        assert_eq!(percentiles.samples, 150);
        check_about(percentiles.max_us, STALL + SERVICE);
    }

    #[test]
    fn nothing_is_called_due_before_its_time() {
        let clock = Clock::new();
        let schedule = Schedule { start: Duration::from_millis(5), rate: 1000, count: 3 };
        let mut due = schedule.begin(clock).unwrap();
        for expected in 0..3 {
            assert_eq!(due.blocking_recv(), Some(expected));
            assert!(schedule.due(expected) <= clock.monotonic());
        }
        assert_eq!(due.blocking_recv(), None);
    }
}
