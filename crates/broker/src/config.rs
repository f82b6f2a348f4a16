use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use commit_log::JournalConfig;
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod topic_defaults;

/// What a broker can be told. Every key has a default; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Identifies this broker for the life of the cluster. No two may share one.
    pub broker_id: u32,
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// The address that clients and other brokers are told, as `host:port`. Absent: the one
    /// listened on, which works only where that is a single, reachable address.
    pub advertised: Option<String>,
    /// Where this broker stands; replicas of a partition are spread over racks.
    pub rack: String,
    /// The coordinators, as `host:port`. One that is up is enough to find the others.
    pub coordinators: Vec<String>,
    /// Where the partitions lie. Belongs to this broker alone.
    pub data_dir: PathBuf,
    /// Bytes of the journal through which appends to many partitions at once become durable with
    /// one sync. Allocated when first needed. 0: every partition is synced by itself.
    pub journal_bytes: u64,
    /// Partitions of a topic that is created without saying how many.
    pub num_partitions: u32,
    /// Replicas of a topic that is created without saying how many.
    pub default_replication_factor: u32,
    /// Whether a topic that does not exist is created when it is first produced or subscribed to.
    pub auto_create_topics_enable: bool,
    /// How often partitions are looked at for records that their topics no longer keep.
    pub log_retention_check_interval_ms: u32,
    /// `retention.ms` of topics that do not set it; -1: for ever. Absent: `log_retention_hours`.
    pub log_retention_ms: Option<i64>,
    /// As `log_retention_ms`, in hours.
    pub log_retention_hours: i64,
    /// `retention.bytes` of topics that do not set it; -1: no limit.
    pub log_retention_bytes: i64,
    /// `segment.ms` of topics that do not set it. Absent: `log_roll_hours`.
    pub log_roll_ms: Option<i64>,
    /// As `log_roll_ms`, in hours.
    pub log_roll_hours: i64,
    /// `segment.bytes` of topics that do not set it.
    pub log_segment_bytes: i64,
    /// Bounds of memory and queues.
    pub limits: Limits,
}

/// How much may wait. What does not fit is refused with `BUSY`, or not read off the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Produces that may wait for one partition.
    pub partition_queue: usize,
    /// Requests that may wait for the writer of the data directory.
    pub directory_queue: usize,
    /// Requests that the writer takes up together: what they append becomes durable in one go.
    pub group_commit: usize,
    /// Bytes of all produces that are neither refused nor appended yet.
    pub produce_bytes: u32,
    /// Bytes of one produce stream that were read and not answered yet. Beyond them, the
    /// stream is not read on.
    pub stream_bytes: u32,
    /// The most that one fetch returns, whatever it asks for; a first batch that is larger is
    /// returned whole. A client that does not read its answer costs the broker this much.
    pub fetch_bytes: u32,
    /// Partitions that one fetch or one stream may name.
    pub fetch_partitions: usize,
}

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A number below what is needed.
    #[error("{key} is {found}; it must be at least {least}")]
    TooSmall {
        /// The key.
        key: &'static str,
        /// Its value.
        found: u64,
        /// The least that works.
        least: u64,
    },
    /// What topics would be given by default is not possible.
    #[error("{key}: {source}")]
    TopicDefault {
        /// The key.
        key: &'static str,
        /// Why a topic could not be given that.
        source: cluster::config::ConfigError,
    },
    /// No coordinator is named.
    #[error("coordinators is empty; name at least one as host:port")]
    NoCoordinator,
    /// The advertised address is not `host:port`.
    #[error("advertised is {found:?}; expected host:port")]
    Advertised {
        /// What it is.
        found: String,
    },
    /// Clients cannot connect to the wildcard address.
    #[error(
        "listen is {listen}, an address that no client can connect to; set advertised to the \
         host:port that clients shall use"
    )]
    Unreachable {
        /// Where the broker listens.
        listen: SocketAddr,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            broker_id: 1,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9192)),
            advertised: None,
            rack: String::new(),
            coordinators: vec!["127.0.0.1:7070".to_owned()],
            data_dir: PathBuf::from("data/broker"),
            journal_bytes: 128 * 1024 * 1024,
            num_partitions: 1,
            default_replication_factor: 1,
            auto_create_topics_enable: true,
            log_retention_check_interval_ms: 300_000,
            log_retention_ms: None,
            log_retention_hours: 168,
            log_retention_bytes: -1,
            log_roll_ms: None,
            log_roll_hours: 168,
            log_segment_bytes: 1024 * 1024 * 1024,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            partition_queue: 256,
            directory_queue: 1024,
            group_commit: 1024,
            produce_bytes: 256 * 1024 * 1024,
            stream_bytes: 16 * 1024 * 1024,
            fetch_bytes: 8 * 1024 * 1024,
            fetch_partitions: 10_000,
        }
    }
}

impl Config {
    /// Reads the file that `--config` names and the environment (`DOHLE_BROKER_*`).
    ///
    /// # Errors
    ///
    /// The file is missing, a key is unknown or a value does not fit.
    pub fn from_command_line() -> Result<Self, daemon::config::ConfigError> {
        daemon::config::from_command_line("dohle-broker", "DOHLE_BROKER_")
    }

    /// Checks what no single key can.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let Limits {
            partition_queue,
            directory_queue,
            group_commit,
            produce_bytes,
            stream_bytes: _,
            fetch_bytes,
            fetch_partitions,
        } = self.limits;
        at_least("num_partitions", u64::from(self.num_partitions), 1)?;
        at_least("default_replication_factor", u64::from(self.default_replication_factor), 1)?;
        let interval = u64::from(self.log_retention_check_interval_ms);
        at_least("log_retention_check_interval_ms", interval, 1)?;
        self.topic_defaults()?;
        for (key, found) in [
            ("limits.partition_queue", partition_queue),
            ("limits.directory_queue", directory_queue),
            ("limits.group_commit", group_commit),
            ("limits.fetch_partitions", fetch_partitions),
        ] {
            at_least(key, found as u64, 1)?;
        }
        // A budget below the largest message could never be met.
        let largest = wire::transport::MAX_MESSAGE_BYTES as u64;
        at_least("limits.produce_bytes", u64::from(produce_bytes), largest)?;
        at_least("limits.fetch_bytes", u64::from(fetch_bytes), 1)?;
        if self.coordinators.is_empty() {
            return Err(ConfigError::NoCoordinator);
        }
        Ok(())
    }

    /// How the journal is laid out, if there is to be one.
    pub(crate) fn journal(&self) -> Option<JournalConfig> {
        let config = JournalConfig::default();
        let file_bytes = self.journal_bytes.checked_div(config.files.get() as u64)?;
        (file_bytes > 0).then_some(JournalConfig { file_bytes, ..config })
    }

    /// The host and port that others are told, once `bound` is known.
    pub(crate) fn advertised(&self, bound: SocketAddr) -> Result<(String, u16), ConfigError> {
        let Some(advertised) = &self.advertised else {
            if bound.ip().is_unspecified() {
                return Err(ConfigError::Unreachable { listen: bound });
            }
            return Ok((bound.ip().to_string(), bound.port()));
        };
        let parsed = advertised
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse::<u16>().ok()?)));
        match parsed {
            Some((host, port)) if !host.is_empty() => Ok((host, port)),
            Some(_) | None => Err(ConfigError::Advertised { found: advertised.clone() }),
        }
    }
}

fn at_least(key: &'static str, found: u64, least: u64) -> Result<(), ConfigError> {
    if found < least { Err(ConfigError::TooSmall { key, found, least }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn the_defaults_work() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_budget_that_the_largest_batch_exceeds_is_refused() {
        let limits = Limits { produce_bytes: 1, ..Limits::default() };
        let error = Config { limits, ..Config::default() }.validate().unwrap_err();
        assert!(error.to_string().starts_with("limits.produce_bytes is 1;"), "{error}");
    }

    #[test]
    fn a_port_that_was_chosen_by_the_system_is_advertised() {
        let told = Config::default().advertised(bound("127.0.0.1:40123"));
        assert_eq!(told, Ok(("127.0.0.1".to_owned(), 40123)));
    }

    #[test]
    fn a_wildcard_address_is_not_advertised() {
        let told = Config::default().advertised(bound("0.0.0.0:9192"));
        assert_eq!(told, Err(ConfigError::Unreachable { listen: bound("0.0.0.0:9192") }));
    }

    #[test]
    fn an_advertised_address_needs_host_and_port() {
        let config =
            |advertised: &str| Config { advertised: Some(advertised.into()), ..Config::default() };
        let told = |advertised| config(advertised).advertised(bound("0.0.0.0:1"));
        assert_eq!(told("node1:9192"), Ok(("node1".to_owned(), 9192)));
        for wrong in ["node1", ":9192", "node1:http"] {
            assert_eq!(told(wrong), Err(ConfigError::Advertised { found: wrong.to_owned() }));
        }
    }
}
