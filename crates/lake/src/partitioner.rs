//! Which directory a record belongs in: an event time, cut to the hour or day.

mod directory;
mod event_time;

pub use directory::{DirectoryFormat, InvalidDirectoryFormat};
pub use event_time::{EpochUnit, EventTime, Undated};

use chrono::{DateTime, NaiveDateTime, NaiveTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;
use types::Timestamp;

use crate::avro::Captured;
use crate::path::LakePath;

/// Where a record's time is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// The timestamp of the record itself.
    RecordTimestamp,
    /// A field of the datum.
    Field {
        /// Field names from the outside in: `["header", "time"]`.
        path: Vec<String>,
        /// What a number without a logical type counts.
        unit: EpochUnit,
    },
}

/// What happens to a record whose field holds no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndatedPolicy {
    /// Its payload goes to quarantine with the reason.
    Quarantine,
    /// Its row lands in the directory `undated`.
    Directory,
}

/// Maps records to directories.
///
/// A time with a zone is seen on the wall clock of `timezone`; a time without one (a zone-less
/// text, a date, a local timestamp) is a wall-clock reading already and is taken as it is. Where
/// clocks are put back, both passes of the hour share its directory.
#[derive(Clone, Debug)]
pub struct Partitioner {
    source: TimeSource,
    format: DirectoryFormat,
    timezone: Tz,
    undated: UndatedPolicy,
}

/// One directory's worth of time: its first moment on the wall clock, or no time at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// A span that begins here.
    Span(NaiveDateTime),
    /// Records without a time, under [`UndatedPolicy::Directory`].
    Undated,
}

impl Partitioner {
    /// A partitioner of its settings.
    pub fn new(
        source: TimeSource,
        format: DirectoryFormat,
        timezone: Tz,
        undated: UndatedPolicy,
    ) -> Self {
        Self { source, format, timezone, undated }
    }

    /// The datum's field to capture; empty when the record's own timestamp decides.
    pub fn field(&self) -> &[String] {
        match &self.source {
            TimeSource::RecordTimestamp => &[],
            TimeSource::Field { path, .. } => path,
        }
    }

    /// Which bucket a record belongs in.
    ///
    /// # Errors
    ///
    /// [`Undated`] when its time is missing, unreadable or outside the years 1 to 9999, and the
    /// policy is quarantine.
    pub fn bucket(&self, record: Timestamp, field: &Captured<'_>) -> Result<Bucket, Undated> {
        let time = match &self.source {
            TimeSource::RecordTimestamp => Ok(EventTime::Instant(record)),
            TimeSource::Field { unit, .. } => event_time::read(field, *unit),
        };
        match (time.and_then(|time| self.wall_clock(time)), self.undated) {
            (Ok(time), _) => Ok(Bucket::Span(self.format.start_of_span(time))),
            (Err(_undated), UndatedPolicy::Directory) => Ok(Bucket::Undated),
            (Err(undated), UndatedPolicy::Quarantine) => Err(undated),
        }
    }

    /// The directory of a bucket, seen from the topic's directory.
    pub fn directory(&self, bucket: Bucket) -> LakePath {
        self.format.directory(bucket)
    }

    fn wall_clock(&self, time: EventTime) -> Result<NaiveDateTime, Undated> {
        let local = match time {
            EventTime::Local(local) => local,
            EventTime::Instant(instant) => {
                let moment = DateTime::from_timestamp_millis(instant.as_millis());
                let moment = moment.ok_or(Undated::OutOfRange)?.naive_utc();
                // At the ends of the calendar a zone's wall clock has no reading.
                let offset = self.timezone.offset_from_utc_datetime(&moment).fix();
                moment.checked_add_offset(offset).ok_or(Undated::OutOfRange)?
            }
        };
        let first = NaiveDateTime::new(directory::FIRST_DAY, NaiveTime::MIN);
        let in_range = first <= local && local.date() <= directory::LAST_DAY;
        in_range.then_some(local).ok_or(Undated::OutOfRange)
    }
}

#[cfg(test)]
mod tests;
