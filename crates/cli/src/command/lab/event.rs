use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::command::sink::FileRow;
use crate::output::counted;

/// What a lab tells, one line each.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// A service is up.
    Listening { service: &'static str, address: SocketAddr },
    /// The demo's schema has an id.
    Registered { subject: &'static str, schema_id: u32 },
    /// The demo's records are in the log.
    Produced { topic: &'static str, records: u64, partitions: Vec<Span>, milliseconds: u128 },
    /// They were read back, and decoded.
    Consumed { topic: &'static str, records: u64, milliseconds: u128 },
    /// They are in the lake.
    Landed { topic: &'static str, commit: u64, rows: u64, quarantined: u64, partitions: Vec<Span> },
    /// One file of that commit.
    File(FileRow),
    /// What all runs so far have landed.
    Lake { directory: String, commits: u64, files: u64, rows: u64 },
    /// The demo is over, and the services stay.
    Ready { directory: String, commands: Vec<String> },
    /// Every service has drained.
    Stopped,
}

/// Offsets of one partition, `to` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    pub(super) partition: u32,
    pub(super) from: u64,
    pub(super) to: u64,
}

struct Spans<'a>(&'a [Span]);

impl fmt::Display for Spans<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Span { partition, from, to }) in self.0.iter().enumerate() {
            let between = if position == 0 { "" } else { ", " };
            write!(f, "{between}{partition}: {from}..{to}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { service, address } => {
                let scheme = if *service == "registry" { "http://" } else { "" };
                write!(f, "{service:<12}{scheme}{address}")
            }
            Self::Registered { subject, schema_id } => {
                write!(f, "registered  schema {schema_id} under {subject}")
            }
            Self::Produced { topic, records, partitions, milliseconds } => write!(
                f,
                "produced    {records} Avro records to {topic} in {milliseconds} ms \
                 (partition: offsets {})",
                Spans(partitions)
            ),
            Self::Consumed { topic, records, milliseconds } => {
                write!(f, "consumed    {records} records of {topic} in {milliseconds} ms")
            }
            Self::Landed { topic, commit, rows, quarantined, partitions } => write!(
                f,
                "landed      {rows} rows of {topic} in commit {commit}, {quarantined} in quarantine \
                 (partition: offsets {})",
                Spans(partitions)
            ),
            Self::File(FileRow { path, rows, bytes, .. }) => {
                write!(f, "  {rows:>6} rows {bytes:>8} bytes  {path}")
            }
            Self::Lake { directory, commits, files, rows } => {
                let commits = counted(*commits, "commit");
                write!(
                    f,
                    "lake        {rows} rows in {files} files of {commits}, file://{directory}"
                )
            }
            Self::Ready { directory, commands } => {
                write!(f, "ready       everything lies below {directory}; Ctrl-C stops; now try")?;
                commands.iter().try_for_each(|command| write!(f, "\n  {command}"))
            }
            Self::Stopped => f.write_str("stopped     every service has drained"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_told_for_each_partition() {
        let spans = [Span { partition: 0, from: 0, to: 7 }, Span { partition: 2, from: 5, to: 6 }];
        assert_eq!(Spans(&spans).to_string(), "0: 0..7, 2: 5..6");
    }

    #[test]
    fn every_event_is_named_for_programs() {
        let json =
            serde_json::to_value(Event::Ready { directory: "/lab".into(), commands: vec![] })
                .unwrap();
        assert_eq!(json["event"], "ready");
        assert_eq!(json["directory"], "/lab");
    }
}
