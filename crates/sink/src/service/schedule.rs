use std::str::FromStr;
use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Tz;
use croner::Cron;
use thiserror::Error;
use types::Timestamp;

/// When runs are due.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// At the times of a cron expression, on the wall clock of a time zone.
    Cron {
        /// The expression: minute, hour, day of the month, month, day of the week.
        cron: Box<Cron>,
        /// Whose wall clock.
        timezone: Tz,
    },
    /// So long after the last run was due.
    Every(Duration),
}

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "schedule {text:?} is neither a cron expression nor an interval: {reason}; write \"0 * * * *\" \
     (minute hour day month weekday) or \"@every 10m\""
)]
pub struct InvalidSchedule {
    text: String,
    reason: String,
}

const EVERY: &str = "@every ";
/// A shorter interval would be a busy loop over the name node.
const SHORTEST: Duration = Duration::from_secs(1);
/// Longer ones are mistakes of units.
const LONGEST: Duration = Duration::from_hours(24 * 366);

impl Schedule {
    /// Reads `0 * * * *`, `@hourly` or `@every 10m` (s, m, h, d). Cron expressions are read on the
    /// wall clock of `timezone`.
    ///
    /// # Errors
    ///
    /// [`InvalidSchedule`] says what would do.
    pub fn parse(text: &str, timezone: Tz) -> Result<Self, InvalidSchedule> {
        let invalid = |reason: String| InvalidSchedule { text: text.to_owned(), reason };
        if let Some(interval) = text.strip_prefix(EVERY) {
            return interval_of(interval.trim()).map(Self::Every).map_err(invalid);
        }
        let cron = Cron::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let schedule = Self::Cron { cron: Box::new(cron), timezone };
        // The 31st of February is a cron expression, too.
        match schedule.next_after(Timestamp::from_millis(0)) {
            Some(_) => Ok(schedule),
            None => Err(invalid("it never comes".to_owned())),
        }
    }

    /// The first time after `last` at which a run is due; `None` if there is none.
    pub fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(interval) => {
                let interval = i64::try_from(interval.as_millis()).ok()?;
                last.as_millis().checked_add(interval).map(Timestamp::from_millis)
            }
            Self::Cron { cron, timezone } => {
                let last = DateTime::from_timestamp_millis(last.as_millis())?;
                let last = last.with_timezone(timezone);
                let next = cron.find_next_occurrence(&last, false).ok()?;
                Some(Timestamp::from_millis(next.timestamp_millis()))
            }
        }
    }
}

fn interval_of(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let number: u64 = number.parse().map_err(|_no| "it has no number".to_owned())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err("its unit is none of s, m, h, d".to_owned()),
    };
    let interval = Duration::from_secs(number.saturating_mul(seconds));
    if (SHORTEST..=LONGEST).contains(&interval) {
        Ok(interval)
    } else {
        Err("it is shorter than a second or longer than a year".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    fn next(schedule: &str, timezone: Tz, last: &str) -> Option<Timestamp> {
        Schedule::parse(schedule, timezone).unwrap().next_after(at(last))
    }

    #[test]
    fn a_cron_expression_names_times_on_a_wall_clock() {
        let last = "2026-11-26T10:00:00Z";
        assert_eq!(next("0 * * * *", Tz::UTC, last), Some(at("2026-11-26T11:00:00Z")));
        assert_eq!(next("30 2 * * *", Tz::UTC, last), Some(at("2026-11-27T02:30:00Z")));
        let paris = Tz::Europe__Paris;
        assert_eq!(next("0 12 * * *", paris, last), Some(at("2026-11-26T11:00:00Z")));
    }

    #[test]
    fn an_interval_counts_from_the_last_one() {
        let last = "2026-11-26T10:00:07Z";
        assert_eq!(next("@every 90s", Tz::UTC, last), Some(at("2026-11-26T10:01:37Z")));
        assert_eq!(next("@every 1d", Tz::UTC, last), Some(at("2026-11-27T10:00:07Z")));
    }

    #[test]
    fn what_is_no_schedule_says_what_would_do() {
        for text in
            ["", "hourly", "* * *", "61 * * * *", "@every", "@every 10", "@every 0s", "0 0 31 2 *"]
        {
            let error = Schedule::parse(text, Tz::UTC).unwrap_err().to_string();
            assert!(error.contains("\"0 * * * *\""), "{error}");
        }
    }
}
