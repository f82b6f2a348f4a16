use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime};
use thiserror::Error;
use types::Timestamp;

use crate::avro::{Captured, Meaning};

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// A moment, the same everywhere.
    Instant(Timestamp),
    /// A reading of a wall clock whose zone is not told.
    Local(NaiveDateTime),
}

/// What a number without a logical type counts since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
}

/// Why a record has no event time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Undated {
    /// The writer's schema has no such field, or the branch taken has none.
    #[error("the datum has no such field")]
    NoSuchField,
    /// The field is null.
    #[error("the field is null")]
    Null,
    /// The field is neither a text nor a whole number.
    #[error("the field's type holds no time")]
    NotATime,
    /// The field's text is in no known form.
    #[error("{text:?} is no time; ISO 8601, RFC 3339 and YYYY-MM-DD HH:MM:SS are read")]
    Unreadable {
        /// The text, cut to 64 characters.
        text: String,
    },
    /// Outside the years 1 to 9999; often a wrong unit.
    #[error("the time lies outside the years 1 to 9999; is the field's unit right?")]
    OutOfRange,
}

pub(super) fn read(field: &Captured<'_>, unit: EpochUnit) -> Result<EventTime, Undated> {
    match field {
        Captured::Absent => Err(Undated::NoSuchField),
        Captured::Null => Err(Undated::Null),
        Captured::Other => Err(Undated::NotATime),
        Captured::Whole { value, meaning } => number(*value, *meaning, unit),
        Captured::Text(text) => parse(text),
    }
}

fn number(value: i64, meaning: Meaning, unit: EpochUnit) -> Result<EventTime, Undated> {
    let instant = |millis| Ok(EventTime::Instant(Timestamp::from_millis(millis)));
    let local = |millis| {
        DateTime::from_timestamp_millis(millis)
            .map(|moment| EventTime::Local(moment.naive_utc()))
            .ok_or(Undated::OutOfRange)
    };
    match meaning {
        Meaning::Plain => match unit {
            EpochUnit::Seconds => instant(value.checked_mul(1_000).ok_or(Undated::OutOfRange)?),
            EpochUnit::Millis => instant(value),
            EpochUnit::Micros => instant(value.div_euclid(1_000)),
        },
        Meaning::Days => {
            let epoch = NaiveDate::default();
            let days = Days::new(value.unsigned_abs());
            let day =
                if value < 0 { epoch.checked_sub_days(days) } else { epoch.checked_add_days(days) };
            day.map(|day| EventTime::Local(NaiveDateTime::new(day, NaiveTime::MIN)))
                .ok_or(Undated::OutOfRange)
        }
        Meaning::Millis => instant(value),
        Meaning::Micros => instant(value.div_euclid(1_000)),
        Meaning::Nanos => instant(value.div_euclid(1_000_000)),
        Meaning::LocalMillis => local(value),
        Meaning::LocalMicros => local(value.div_euclid(1_000)),
        Meaning::LocalNanos => local(value.div_euclid(1_000_000)),
        Meaning::NotATime => Err(Undated::NotATime),
    }
}

/// Forms with a zone, beyond RFC 3339.
const ZONED: &[&str] = &["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];
/// Forms without a zone.
const LOCAL: &[&str] =
    &["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];

fn parse(text: &str) -> Result<EventTime, Undated> {
    let instant = |moment: DateTime<chrono::FixedOffset>| {
        EventTime::Instant(Timestamp::from_millis(moment.timestamp_millis()))
    };
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant(moment));
    }
    for form in LOCAL {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, form) {
            return Ok(EventTime::Local(local));
        }
    }
    for form in ZONED {
        if let Ok(moment) = DateTime::parse_from_str(text, form) {
            return Ok(instant(moment));
        }
    }
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) => Ok(EventTime::Local(NaiveDateTime::new(day, NaiveTime::MIN))),
        Err(_no_known_form) => Err(Undated::Unreadable { text: text.chars().take(64).collect() }),
    }
}
