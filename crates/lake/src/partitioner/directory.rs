use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use thiserror::Error;

use super::Bucket;
use crate::path::LakePath;

/// The first day that has four digits of year.
pub(super) const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(1, 1, 1) {
    Some(day) => day,
    None => NaiveDate::MIN,
};
/// The last day that has four digits of year.
pub(super) const LAST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(9999, 12, 31) {
    Some(day) => day,
    None => NaiveDate::MAX,
};

/// How a time becomes a directory: `%Y/%m/%d/%H`, with `%Y %m %d %H %M %j` as in strftime.
///
/// Reads a pattern or one of the names `hourly` (`hourly/%Y/%m/%d/%H`, Camus's), `daily`
/// (`daily/%Y/%m/%d`), `hive-hourly` (`dt=%Y-%m-%d/hr=%H`) and `hive-daily` (`dt=%Y-%m-%d`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryFormat {
    pieces: Vec<Piece>,
    finest: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    Minute,
}

/// From coarse to fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Span {
    Year,
    Month,
    Day,
    Hour,
    Minute,
}

/// Why a text is no [`DirectoryFormat`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidDirectoryFormat {
    /// Neither a known name nor a pattern.
    #[error(
        "{text:?} is no directory format: use hourly, daily, hive-hourly, hive-daily, or a pattern such as %Y/%m/%d/%H"
    )]
    NotAPattern {
        /// The text given.
        text: String,
    },
    /// A `%` that is followed by something else than `Y m d H M j`.
    #[error("directory format {text:?} holds %{found}; only %Y %m %d %H %M %j are known")]
    UnknownField {
        /// The text given.
        text: String,
        /// What follows the `%`; empty at the end of the text.
        found: String,
    },
    /// The directories would not be names inside the lake.
    #[error(
        "directory format {text:?} makes no directory inside the lake: no empty name, '.', '..' and none that begins with '_' or '.'"
    )]
    NotInside {
        /// The text given.
        text: String,
    },
    /// Two spans of time would share a directory, such as 2013's and 2014's in `%m/%d`.
    #[error("directory format {text:?} mixes different times in one directory: add {missing}")]
    Ambiguous {
        /// The text given.
        text: String,
        /// The field that is missing.
        missing: &'static str,
    },
}

impl FromStr for DirectoryFormat {
    type Err = InvalidDirectoryFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pattern = match text {
            "hourly" => "hourly/%Y/%m/%d/%H",
            "daily" => "daily/%Y/%m/%d",
            "hive-hourly" => "dt=%Y-%m-%d/hr=%H",
            "hive-daily" => "dt=%Y-%m-%d",
            other if other.contains('%') => other,
            _ => return Err(InvalidDirectoryFormat::NotAPattern { text: text.to_owned() }),
        };
        let pieces = pieces(pattern)?;
        let finest = finest(pattern, &pieces)?;
        let format = Self { pieces, finest };
        // One directory stands for all: what the fields put in is digits.
        let sample = format.render(NaiveDateTime::new(LAST_DAY, NaiveTime::MIN));
        let hidden = sample.split('/').any(|name| name.starts_with(['_', '.']));
        if hidden || LakePath::new(&sample).is_err() {
            return Err(InvalidDirectoryFormat::NotInside { text: text.to_owned() });
        }
        Ok(format)
    }
}

fn pieces(pattern: &str) -> Result<Vec<Piece>, InvalidDirectoryFormat> {
    let mut parts = pattern.split('%');
    let mut pieces = Vec::new();
    pieces.extend(parts.next().filter(|text| !text.is_empty()).map(|t| Piece::Text(t.to_owned())));
    for part in parts {
        let mut rest = part.chars();
        let field = rest.next();
        pieces.push(match field {
            Some('Y') => Piece::Year,
            Some('m') => Piece::Month,
            Some('d') => Piece::Day,
            Some('j') => Piece::DayOfYear,
            Some('H') => Piece::Hour,
            Some('M') => Piece::Minute,
            Some(_) | None => {
                let found = field.map(String::from).unwrap_or_default();
                return Err(InvalidDirectoryFormat::UnknownField {
                    text: pattern.to_owned(),
                    found,
                });
            }
        });
        if !rest.as_str().is_empty() {
            pieces.push(Piece::Text(rest.as_str().to_owned()));
        }
    }
    Ok(pieces)
}

/// The finest field, if all coarser ones are there too.
fn finest(pattern: &str, pieces: &[Piece]) -> Result<Span, InvalidDirectoryFormat> {
    let has = |piece: &Piece| pieces.contains(piece);
    let day_of_year = has(&Piece::DayOfYear);
    let ladder = [
        (Span::Year, "%Y", has(&Piece::Year)),
        (Span::Month, "%m", has(&Piece::Month) || day_of_year),
        (Span::Day, "%d", has(&Piece::Day) || day_of_year),
        (Span::Hour, "%H", has(&Piece::Hour)),
        (Span::Minute, "%M", has(&Piece::Minute)),
    ];
    let finest = ladder.iter().rev().find(|(_, _, present)| *present);
    let finest = finest.map_or(Span::Year, |(span, _, _)| *span);
    match ladder.iter().find(|(span, _, present)| *span <= finest && !present) {
        Some((_, missing, _)) => {
            Err(InvalidDirectoryFormat::Ambiguous { text: pattern.to_owned(), missing })
        }
        None => Ok(finest),
    }
}

impl DirectoryFormat {
    /// The first moment whose directory is the same as `time`'s.
    pub(super) fn start_of_span(&self, time: NaiveDateTime) -> NaiveDateTime {
        let day = time.date();
        let (first_day, clock) = match self.finest {
            Span::Year => (day.with_ordinal(1), None),
            Span::Month => (day.with_day(1), None),
            Span::Day => (Some(day), None),
            Span::Hour => (Some(day), NaiveTime::from_hms_opt(time.hour(), 0, 0)),
            Span::Minute => (Some(day), NaiveTime::from_hms_opt(time.hour(), time.minute(), 0)),
        };
        NaiveDateTime::new(first_day.unwrap_or(day), clock.unwrap_or(NaiveTime::MIN))
    }

    pub(super) fn directory(&self, bucket: Bucket) -> LakePath {
        let text = match bucket {
            Bucket::Span(start) => self.render(start),
            Bucket::Undated => "undated".to_owned(),
        };
        #[expect(clippy::expect_used, reason = "parsing the format checked a sample of its output")]
        LakePath::new(&text).expect("a legal path")
    }

    fn render(&self, time: NaiveDateTime) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Year => format!("{:04}", time.year()),
            Piece::Month => format!("{:02}", time.month()),
            Piece::Day => format!("{:02}", time.day()),
            Piece::DayOfYear => format!("{:03}", time.ordinal()),
            Piece::Hour => format!("{:02}", time.hour()),
            Piece::Minute => format!("{:02}", time.minute()),
        };
        self.pieces.iter().map(piece).collect()
    }
}
