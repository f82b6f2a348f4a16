use std::fmt;

use chrono::{DateTime, NaiveDateTime};
use thiserror::Error;
use types::Timestamp;

const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// One run of the sink over one topic: when it began (UTC, to the second) and four random bytes.
///
/// Reads `20261121T042432Z-1a2b3c4d`, so that runs list in the order they began.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    text: String,
    started: Timestamp,
}

/// A text that is no [`RunId`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no run id; one reads 20261121T042432Z-1a2b3c4d")]
pub struct InvalidRunId {
    /// The text given.
    pub text: String,
}

impl RunId {
    /// Names the run that began at `now`. The shell draws `noise`, anew for each run.
    pub fn new(now: Timestamp, noise: [u8; 4]) -> Self {
        let moment = DateTime::from_timestamp_millis(now.as_millis()).unwrap_or_default();
        let text = format!("{}-{:08x}", moment.format(STAMP), u32::from_be_bytes(noise));
        Self { text, started: Timestamp::from_millis(moment.timestamp() * 1_000) }
    }

    /// Reads what `Display` writes.
    ///
    /// # Errors
    ///
    /// [`InvalidRunId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidRunId> {
        let invalid = || InvalidRunId { text: text.to_owned() };
        let (stamp, noise) = text.split_once('-').ok_or_else(invalid)?;
        let moment = NaiveDateTime::parse_from_str(stamp, STAMP).map_err(|_source| invalid())?;
        if noise.len() != 8 || !noise.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid());
        }
        let started = Timestamp::from_millis(moment.and_utc().timestamp_millis());
        Ok(Self { text: text.to_owned(), started })
    }

    /// When the run began, by the clock of the machine it ran on, to the second.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// The id as text; fit for a file's name.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_reads_its_own_text_and_tells_when_the_run_began() {
        let id = RunId::new(Timestamp::from_millis(1_795_235_072_500), [0x1a, 0x2b, 0x3c, 0x4d]);
        assert_eq!(id.to_string(), "20261121T042432Z-1a2b3c4d");
        assert_eq!(RunId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!(id.started(), Timestamp::from_millis(1_795_235_072_000));
    }

    #[test]
    fn a_stray_directory_is_no_run() {
        for text in ["", "tmp", "20261121T042432Z-", "20261121T042432Z-1A2B3C4D", "x-00000000"] {
            assert!(RunId::parse(text).is_err(), "{text:?}");
        }
    }
}
