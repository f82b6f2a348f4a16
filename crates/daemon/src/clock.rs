//! The only place that reads the machine's clocks. Everything else is told the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use types::Timestamp;

/// Reads the machine's clocks. Copies share one starting point.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// The wall clock. It may jump, forwards and back: fit for timestamps, not for deadlines.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    #[expect(clippy::unused_self, reason = "who wants the time has to be given a clock")]
    pub fn now(&self) -> Timestamp {
        let now = SystemTime::now();
        let millis = match now.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A clock that is set before 1970.
            Err(before) => {
                i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis)
            }
        };
        Timestamp::from_millis(millis)
    }

    /// Time since this clock was made. It never jumps and never runs backwards: fit for leases,
    /// sessions and deadlines.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn monotonic(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
