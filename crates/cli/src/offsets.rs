//! The grammar of `-o`: which part of a partition to read.
//!
//! ```text
//! start  end         the first offset held; the end, as it is now
//! N                  offset N
//! +N  -N             N after the start; N before the end
//! @TS                the first record at or after a moment
//! A:B  A:  :B        from A up to, not including, B; either may be any of the above
//! ```
//!
//! A moment is milliseconds or seconds since 1970, a date, a date and time (`Z` or an offset,
//! else UTC), or an age: `@-90m`. Since times hold colons, a range that begins with a time is cut
//! at `:@` or `:end`: `@2026-01-01T10:00:00Z:@2026-01-01T11:00:00Z`.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use thiserror::Error;
use types::{Offset, Timestamp};

use crate::duration;

/// Seconds have up to this many digits; more mean milliseconds.
const DIGITS_OF_SECONDS: usize = 10;

/// A part of a partition, as the user named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first record wanted.
    pub(crate) from: Point,
    /// Exclusive; absent: go on for ever.
    pub(crate) until: Option<Point>,
}

/// One place in a partition, as the user named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The first offset held.
    Start,
    /// Behind the last committed record.
    End,
    /// This very offset.
    Exact(Offset),
    /// So many records after the start, or the end if there are fewer.
    AfterStart(u64),
    /// So many records before the end, or the start if there are fewer.
    BeforeEnd(u64),
    /// The first record at or after a moment.
    At(Moment),
}

/// A point in time, as the user named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// By the calendar.
    Time(Timestamp),
    /// So long ago.
    Ago(Duration),
}

/// What a broker says about one partition, enough to place any [`Point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first offset held.
    pub(crate) start: Offset,
    /// The high watermark.
    pub(crate) end: Offset,
}

/// Why the text names no part of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum OffsetError {
    /// No form of the grammar.
    #[error(
        "{text:?} is no offset; use start, end, N, +N, -N, A:B, :end or @TIME \
         (milliseconds, 2026-01-31, 2026-01-31T10:00:00Z or -90m)"
    )]
    Unknown {
        /// As given.
        text: String,
    },
    /// Larger than any offset.
    #[error("{text:?} is beyond the last offset there can be, {}", Offset::MAX)]
    TooLarge {
        /// As given.
        text: String,
    },
}

impl Range {
    /// What Kafka's tools do unless told otherwise: follow from the end.
    pub(crate) const FOLLOW: Self = Self { from: Point::End, until: None };
    /// Everything there is, and what comes.
    pub(crate) const FROM_BEGINNING: Self = Self { from: Point::Start, until: None };
}

impl FromStr for Range {
    type Err = OffsetError;

    fn from_str(text: &str) -> Result<Self, OffsetError> {
        let Some((from, until)) = cut(text) else {
            return Ok(Self { from: text.parse()?, until: None });
        };
        if from.is_empty() && until.is_empty() {
            return Err(OffsetError::Unknown { text: text.to_owned() });
        }
        Ok(Self {
            from: if from.is_empty() { Point::Start } else { from.parse()? },
            until: if until.is_empty() { None } else { Some(until.parse()?) },
        })
    }
}

/// Splits at the colon between two points, not at one inside a time.
fn cut(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('@') {
        return text.split_once(':');
    }
    if let Some(at) = text.find(":@") {
        let (from, rest) = text.split_at_checked(at)?;
        return Some((from, rest.strip_prefix(':')?));
    }
    text.strip_suffix(":end").map(|from| (from, "end"))
}

impl FromStr for Point {
    type Err = OffsetError;

    fn from_str(text: &str) -> Result<Self, OffsetError> {
        match text {
            "start" | "beginning" | "earliest" => return Ok(Self::Start),
            "end" | "latest" => return Ok(Self::End),
            _ => {}
        }
        if let Some(moment) = text.strip_prefix('@') {
            return match parse_moment(moment) {
                Some(moment) => Ok(Self::At(moment)),
                None => Err(OffsetError::Unknown { text: text.to_owned() }),
            };
        }
        if let Some(count) = text.strip_prefix('+') {
            return Ok(Self::AfterStart(count_of(count, text)?));
        }
        if let Some(count) = text.strip_prefix('-') {
            return Ok(Self::BeforeEnd(count_of(count, text)?));
        }
        Ok(Self::Exact(Offset::new(count_of(text, text)?)))
    }
}

fn count_of(digits: &str, text: &str) -> Result<u64, OffsetError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(OffsetError::Unknown { text: text.to_owned() });
    }
    match digits.parse() {
        Ok(count) if count <= Offset::MAX.get() => Ok(count),
        Ok(_) | Err(_) => Err(OffsetError::TooLarge { text: text.to_owned() }),
    }
}

fn parse_moment(text: &str) -> Option<Moment> {
    if let Some(age) = text.strip_prefix('-') {
        return duration::parse(age).ok().map(Moment::Ago);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        let millis =
            if text.len() <= DIGITS_OF_SECONDS { number.checked_mul(1000)? } else { number };
        return Some(Moment::Time(Timestamp::from_millis(millis)));
    }
    let millis = if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        time.timestamp_millis()
    } else if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S") {
        time.and_utc().timestamp_millis()
    } else {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        date.and_time(NaiveTime::MIN).and_utc().timestamp_millis()
    };
    Some(Moment::Time(Timestamp::from_millis(millis)))
}

impl Moment {
    /// The moment, as of `now`.
    pub(crate) fn timestamp(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Time(time) => time,
            Self::Ago(age) => {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(age))
            }
        }
    }
}

impl Point {
    /// The offset meant. `found` is what the broker answered when asked for the moment of a
    /// [`Point::At`]: absent when no record is that young.
    ///
    /// An exact offset stays what it is: if it lies outside, the broker's error says so.
    pub(crate) fn place(self, extent: Extent, found: Option<Offset>) -> Offset {
        match self {
            Self::Start => extent.start,
            Self::End => extent.end,
            Self::Exact(offset) => offset,
            Self::AfterStart(count) => {
                extent.start.checked_add(count).unwrap_or(extent.end).min(extent.end)
            }
            Self::BeforeEnd(count) => {
                Offset::new(extent.end.get().saturating_sub(count)).max(extent.start)
            }
            Self::At(_) => found.unwrap_or(extent.end),
        }
    }

    /// The moment that has to be looked up before this can be placed.
    pub(crate) const fn moment(self) -> Option<Moment> {
        match self {
            Self::At(moment) => Some(moment),
            Self::Start | Self::End | Self::Exact(_) | Self::AfterStart(_) | Self::BeforeEnd(_) => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
