use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use chrono_tz::Tz;
use daemon::config::Classic;
use lake::partitioner::{
    DirectoryFormat, EpochUnit, InvalidDirectoryFormat, Partitioner, TimeSource, UndatedPolicy,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{InvalidTopicName, TopicName};

use super::schedule::{InvalidSchedule, Schedule};
use crate::store::LakePlace;

/// What a scheduled sink can be told. Every key has a default; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which topics are landed, in this order.
    pub topics: Vec<String>,
    /// Where: `hdfs://namenode:port/path`, `file:///path`, or a path.
    pub lake: String,
    /// When: a cron expression (`0 * * * *`) or an interval (`@every 10m`).
    pub schedule: String,
    /// A run begins up to so many seconds after its time, at random, so that many sinks do not begin
    /// together.
    pub jitter_seconds: u32,
    /// Whether there is a run at the start, too.
    pub run_at_start: bool,
    /// Brokers to begin with, as `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// The schema registry.
    pub registry: String,
    /// How long a request to the brokers or the registry may take.
    pub request_timeout_ms: u32,
    /// Where health, readiness and metrics are told over HTTP.
    pub http_listen: SocketAddr,
    /// Directories: hourly, daily, hive-hourly, hive-daily, or a pattern such as `%Y/%m/%d/%H`.
    pub directories: String,
    /// The field that says when a record happened (`header.time`). Absent: its timestamp.
    pub time_field: Option<String>,
    /// What numbers in that field count.
    pub time_unit: TimeUnit,
    /// Whose wall clock names the directories and is meant by the schedule.
    pub timezone: String,
}

/// What a number that is a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millis,
    /// Microseconds.
    #[serde(rename = "us")]
    Micros,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            lake: String::new(),
            schedule: "0 * * * *".to_owned(),
            jitter_seconds: 0,
            run_at_start: false,
            bootstrap_servers: vec!["localhost:9192".to_owned()],
            registry: "http://localhost:8081".to_owned(),
            request_timeout_ms: 30_000,
            http_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9392)),
            directories: "hourly".to_owned(),
            time_field: None,
            time_unit: TimeUnit::Millis,
            timezone: "UTC".to_owned(),
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// There is nothing to land.
    #[error("topics is empty; name at least one: topics = [\"people\"]")]
    NoTopic,
    /// No topic can be called that.
    #[error("topics: {0}")]
    Topic(#[from] InvalidTopicName),
    /// There is nowhere to land it.
    #[error("lake: {reason}")]
    Lake {
        /// What would do.
        reason: String,
    },
    /// Runs would never be due.
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
    /// There is no such time zone.
    #[error("timezone {found:?} is unknown; write Europe/Paris or UTC")]
    Timezone {
        /// What was asked for.
        found: String,
    },
    /// Directories cannot be named so.
    #[error("directories: {0}")]
    Directories(#[from] InvalidDirectoryFormat),
}

/// The same, as the runs take it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) topics: Vec<TopicName>,
    pub(super) lake: LakePlace,
    pub(super) schedule: Schedule,
    pub(super) partitioner: Partitioner,
}

impl Config {
    /// Reads the file that the command line names, the environment (`DOHLE_SINK_*`) and the flags.
    ///
    /// # Errors
    ///
    /// The file is missing, a key is unknown or a value does not fit.
    pub fn from_command_line() -> Result<Self, daemon::config::ConfigError> {
        daemon::config::from_command_line("dohle-sink", "DOHLE_SINK_", no_classic_file)
    }

    /// Checks all of it.
    pub(super) fn plan(&self) -> Result<Plan, ConfigError> {
        let topics: Result<Vec<_>, _> =
            self.topics.iter().map(|topic| TopicName::new(topic)).collect();
        let topics = topics?;
        if topics.is_empty() {
            return Err(ConfigError::NoTopic);
        }
        let timezone: Tz = self
            .timezone
            .parse()
            .map_err(|_unknown| ConfigError::Timezone { found: self.timezone.clone() })?;
        let schedule = Schedule::parse(&self.schedule, timezone)?;
        let format: DirectoryFormat = self.directories.parse()?;
        let unit = match self.time_unit {
            TimeUnit::Seconds => EpochUnit::Seconds,
            TimeUnit::Millis => EpochUnit::Millis,
            TimeUnit::Micros => EpochUnit::Micros,
        };
        let source = match &self.time_field {
            Some(field) => {
                TimeSource::Field { path: field.split('.').map(str::to_owned).collect(), unit }
            }
            None => TimeSource::RecordTimestamp,
        };
        let partitioner = Partitioner::new(source, format, timezone, UndatedPolicy::Quarantine);
        let lake = self.lake.parse().map_err(|reason| ConfigError::Lake { reason })?;
        Ok(Plan { topics, lake, schedule, partitioner })
    }
}

/// Camus's properties describe one run rather than a service.
fn no_classic_file(_lines: BTreeMap<String, String>) -> Result<Classic, String> {
    Err("a scheduled sink is configured in TOML; see deploy/sink.toml".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let topics = vec!["people".to_owned()];
        Config { topics, lake: "file:///lake".to_owned(), ..Config::default() }
    }

    #[test]
    fn topics_and_a_lake_are_enough() {
        let plan = config().plan().unwrap();
        assert_eq!((plan.topics.len(), plan.lake), (1, LakePlace::Local("/lake".into())));
    }

    #[test]
    fn what_cannot_work_is_said_at_the_start() {
        let said = |config: Config| config.plan().unwrap_err().to_string();
        assert!(said(Config { topics: vec![], ..config() }).contains("topics = "));
        assert!(said(Config { lake: String::new(), ..config() }).contains("file:///path"));
        assert!(said(Config { lake: "s3://b".into(), ..config() }).contains("s3://"));
        assert!(said(Config { schedule: "x".into(), ..config() }).contains("@every"));
        assert!(said(Config { timezone: "Paris".into(), ..config() }).contains("Europe/Paris"));
        assert!(said(Config { topics: vec!["a b".into()], ..config() }).starts_with("topics: "));
    }
}
