//! Durations as people write them: `500ms`, `10s`, `90m`, `2h`, `7d`.

use std::time::Duration;

use thiserror::Error;

/// The text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no duration; write a number and a unit: 500ms, 10s, 90m, 2h, 7d")]
pub(crate) struct InvalidDuration {
    text: String,
}

/// Reads a whole number and a unit.
///
/// # Errors
///
/// No number, no unit, another unit, or more than a `u64` of milliseconds.
pub(crate) fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    millis(text).map(Duration::from_millis).ok_or_else(|| InvalidDuration { text: text.to_owned() })
}

fn millis(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("7d"), Ok(Duration::from_hours(7 * 24)));
        for text in ["", "10", "s", "-1s", "1.5s", "1w", "99999999999999999999d", "1 s"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
