//! Latencies in an open loop: work is due at fixed times whatever became of the work before, and
//! a latency counts from the moment the work was *due*. A stall therefore shows in everything
//! that had to wait for its end, not in one sample alone (coordinated omission).

use std::io;
use std::thread::{Builder, park_timeout};
use std::time::Duration;

use daemon::clock::Clock;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::mpsc;

/// Work that is due and not begun yet. More is begun late, which its latency shows.
const DUE: usize = 1024;
/// Latencies above are counted as this.
const LONGEST_NANOS: u64 = 60 * 1_000_000_000;

/// When each piece of work is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// When the first one is, by a clock's monotonic time.
    pub start: Duration,
    /// Pieces a second.
    pub rate: u32,
    /// How many pieces.
    pub count: u64,
}

impl Schedule {
    /// When piece `index` is due.
    pub fn due(&self, index: u64) -> Duration {
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
    pub fn begin(self, clock: Clock) -> io::Result<mpsc::Receiver<u64>> {
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

/// Begins pieces of work.
pub trait Begin {
    /// Why a piece cannot begin.
    type Error;

    /// Begins piece `index`, without waiting for its end.
    fn begin(&mut self, index: u64) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Sees pieces of work end, in the order in which they began.
pub trait Done {
    /// Why a piece does not end.
    type Error;

    /// Waits until more pieces have ended, and says how many have ended so far.
    fn done(&mut self) -> impl Future<Output = Result<u64, Self::Error>> + Send;
}

/// Begins each piece when it is `due`, by [`Schedule::begin`], whether or not those before have
/// ended, and tells how long all of them took from when they were due. One that cannot begin in
/// time begins late, and its latency says so.
///
/// # Errors
///
/// What either side reports.
pub async fn open_loop<B, D>(
    schedule: Schedule,
    mut due: mpsc::Receiver<u64>,
    now: impl Fn() -> Duration,
    (mut begin, mut done): (B, D),
) -> Result<Latencies, B::Error>
where
    B: Begin,
    D: Done<Error = B::Error>,
{
    let beginning = async {
        while let Some(index) = due.recv().await {
            begin.begin(index).await?;
        }
        Ok(())
    };
    let ending = async {
        let mut latencies = Latencies::new();
        let mut ended = 0;
        while ended < schedule.count {
            let so_far = done.done().await?;
            let at = now();
            while ended < so_far {
                latencies.record(schedule.due(ended), at);
                ended += 1;
            }
        }
        Ok(latencies)
    };
    let ((), latencies) = tokio::try_join!(beginning, ending)?;
    Ok(latencies)
}

/// How long pieces of work took from the moment they were due.
#[derive(Clone, Debug)]
pub struct Latencies {
    nanos: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// None yet.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the bounds are constants, and a test makes some"
    )]
    pub fn new() -> Self {
        let nanos = Histogram::new_with_bounds(1, LONGEST_NANOS, 3);
        Self { nanos: nanos.expect("1 is less than half of the longest, and 3 digits are few") }
    }

    /// Counts a piece of work that was done at `done`.
    pub fn record(&mut self, due: Duration, done: Duration) {
        let took = done.saturating_sub(due).as_nanos();
        self.nanos.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
    }

    /// Counts what another turn took.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "all are made by `new`, with the same bounds"
    )]
    pub fn add(&mut self, other: &Self) {
        self.nanos.add(&other.nanos).expect("what fits in one fits in the other");
    }

    /// The figures to be shown.
    pub fn percentiles(&self) -> Percentiles {
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
pub struct Percentiles {
    /// How many were taken.
    pub samples: u64,
    /// Half of them are shorter.
    pub p50_us: f64,
    /// One in a hundred is longer.
    pub p99_us: f64,
    /// One in a thousand is longer.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

#[expect(clippy::cast_precision_loss, reason = "at most a minute, in three digits")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::convert::Infallible;

    use tokio::time::{Instant, sleep, sleep_until};

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

    /// A client of a server that takes one piece of work at a time: the next begins when it does.
    struct Asking(mpsc::Sender<u64>);

    impl Begin for Asking {
        type Error = Infallible;

        async fn begin(&mut self, index: u64) -> Result<(), Infallible> {
            self.0.send(index).await.unwrap();
            Ok(())
        }
    }

    struct Answered(mpsc::Receiver<u64>);

    impl Done for Answered {
        type Error = Infallible;

        async fn done(&mut self) -> Result<u64, Infallible> {
            Ok(self.0.recv().await.unwrap() + 1)
        }
    }

    /// What the loop sees of a server that answers at once, but for one piece that it keeps for
    /// `stall`. In tokio's own time, which passes when everybody waits.
    async fn seen_of_a_server_that_stalls(stall: Duration) -> Percentiles {
        let start = Instant::now();
        let schedule = Schedule { start: Duration::ZERO, rate: 1000, count: 10_000 };
        let (tell, due) = mpsc::channel(DUE);
        let ticking = async move {
            for index in 0..schedule.count {
                sleep_until(start + schedule.due(index)).await;
                tell.send(index).await.unwrap();
            }
        };
        let (asking, mut asked) = mpsc::channel(1);
        let (answer, answered) = mpsc::channel(1);
        let serving = async move {
            while let Some(index) = asked.recv().await {
                if index == 5_000 {
                    sleep(stall).await;
                }
                answer.send(index).await.unwrap();
            }
        };
        let sides = (Asking(asking), Answered(answered));
        let measuring = open_loop(schedule, due, || start.elapsed(), sides);
        let ((), (), latencies) = tokio::join!(ticking, serving, measuring);
        latencies.unwrap().percentiles()
    }

    #[tokio::test(start_paused = true)]
    async fn the_loop_sees_a_server_that_stalls_for_200_ms_in_p99_9() {
        let seen = seen_of_a_server_that_stalls(STALL).await;
        assert_eq!(seen.samples, 10_000);
        // A loop that waited with its next request would have one long latency, above p99.99.
        assert!(190_000.0 <= seen.p999_us, "{seen:?}");
        assert!(seen.p50_us <= 1_000.0, "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_loop_sees_nothing_where_nothing_stalls() {
        let seen = seen_of_a_server_that_stalls(Duration::ZERO).await;
        assert!(seen.max_us <= 1_000.0, "{seen:?}");
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
