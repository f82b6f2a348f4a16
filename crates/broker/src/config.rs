use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cluster::ListenerName;
use commit_log::{BallastConfig, DirectoryConfig, JournalConfig, WriteBufferConfig};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::DirectoryId;
use wire::bounds::Bounds;

mod classic;
mod listeners;
mod topic_defaults;

pub use listeners::Listener;

/// What a broker can be told. Every key has a default; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Identifies this broker for the life of the cluster. No two may share one.
    pub broker_id: u32,
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where health, readiness and metrics are told over HTTP. Absent: `listen`, with 100 added to its
    /// port.
    pub http_listen: Option<SocketAddr>,
    /// The address that clients and other brokers are told, as `host:port`. Absent: the one
    /// listened on, which works only where that is a single, reachable address.
    pub advertised: Option<String>,
    /// Where to listen besides, for clients that are to be told other addresses: from outside a
    /// container network, say.
    pub listeners: Vec<Listener>,
    /// Where this broker stands; replicas of a partition are spread over racks.
    pub rack: String,
    /// The coordinators, as `host:port`. One that is up is enough to find the others.
    pub coordinators: Vec<String>,
    /// Where the partitions lie. Belongs to this broker alone.
    pub data_dir: PathBuf,
    /// A fenced data directory, by its id, that is to be used all the same: its fence is lifted, and
    /// its logs are what its disk holds of them. For one start.
    pub trust_fenced_directory: Option<String>,
    /// Bytes of the journal through which appends to many partitions at once become durable with
    /// one sync. Allocated when first needed. 0: every partition is synced by itself.
    pub journal_bytes: u64,
    /// Memory in which what the journal made durable may wait until there is more for the same
    /// partition's file. Never more than the ballast has. 0: nothing waits.
    pub write_buffer_bytes: u64,
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
    /// From the beginning of one reading of all sealed segments, in search of damage, to that of
    /// the next; 0: never.
    pub log_scrub_interval_ms: u64,
    /// How many bytes of them are read in a second.
    pub log_scrub_bytes_per_second: u64,
    /// Room that is left on the disk.
    pub disk: DiskLimits,
    /// Bounds of memory and queues.
    pub limits: Limits,
}

/// How much of the disk is left free. Of bytes and percent the lesser counts, so that one setting
/// fits large disks and small ones. 0 is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskLimits {
    /// With fewer bytes free, what clients produce is refused with `STORAGE_FULL`; everything else
    /// goes on: reading, retention, deleting records and topics, copies for other replicas, and
    /// internal topics. It is taken again once a quarter more is free. 5 GiB are what Redpanda's
    /// `storage_min_free_bytes` has, and some seconds of writing.
    pub min_free_bytes: u64,
    /// As `min_free_bytes`, in percent of the disk.
    pub min_free_percent: u8,
    /// With fewer bytes free, nothing is taken but what frees space: no records of any kind, and no
    /// partitions are made. The ballast is given up.
    pub critical_free_bytes: u64,
    /// As `critical_free_bytes`, in percent of the disk.
    pub critical_free_percent: u8,
    /// A file that holds nothing, so that a full disk has room for what has to be written before
    /// something can be deleted, and for a start. It is made again when there is room.
    pub ballast_bytes: u64,
    /// As `ballast_bytes`, in percent of the disk.
    pub ballast_percent: u8,
}

/// How much may wait. What does not fit is refused with `BUSY`, or not read off the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests that may wait for the writer of the data directory.
    pub directory_queue: usize,
    /// Requests that the writer takes up together: what they append becomes durable in one go.
    pub group_commit: usize,
    /// Connections that clients may have open. One more is told so and closed. 10,000 is what a
    /// cluster of some thousand clients needs; each takes some 100 KiB at worst.
    pub connections: usize,
    /// Requests that may be open at once, streams included, beyond the four that every connection
    /// may have. One more is refused. Each takes some 16 KiB: its headers, its tasks and their
    /// queues.
    pub requests: usize,
    /// Bytes that one connection may hold, whatever the others do: requests half received or being
    /// worked on, answers that its client has not taken yet. What is larger takes from the two
    /// below. 64 KiB let a client that sends and reads small batches go on when those are used up.
    pub connection_bytes: u32,
    /// Bytes of all requests that are half received or being worked on, beyond
    /// `connection_bytes`. A client that needs more waits; its messages are not read on.
    pub received_bytes: u32,
    /// Bytes of all answers that were read and not taken by their clients yet, beyond
    /// `connection_bytes`. While they are used up, answers are smaller.
    pub answer_bytes: u32,
    /// Bytes of the HTTP/2 windows of connections that have wide ones, 8 MiB each: those that
    /// connect first. All others have 64 KiB, which slows them down where the way is long.
    pub window_bytes: usize,
    /// How long a connection may take to begin to speak HTTP/2.
    pub handshake_ms: u32,
    /// How long a client that makes the broker hold `received_bytes` or `answer_bytes` may go
    /// without sending or taking 64 KiB; it is cut off then. Two seconds, if others wait for them.
    pub stall_ms: u32,
    /// How long a connection may rest without a request once there are `connections` of them.
    pub idle_ms: u32,
    /// Bytes of all produces that are neither refused nor appended yet.
    pub produce_bytes: u32,
    /// Bytes of one produce stream that were read and not answered yet. Beyond them, the
    /// stream is not read on.
    pub stream_bytes: u32,
    /// The most that one fetch returns, whatever it asks for; a first batch that is larger is
    /// returned whole.
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
    /// More than all.
    #[error("{key} is {found}; it must be at most 100")]
    Percent {
        /// The key.
        key: &'static str,
        /// Its value.
        found: u8,
    },
    /// Not the id of a directory.
    #[error(
        "trust_fenced_directory is {found:?}; expected the id of a data directory, as the refusal to \
         use it names it"
    )]
    DirectoryId {
        /// What it is.
        found: String,
    },
    /// No coordinator is named.
    #[error("coordinators is empty; name at least one as host:port")]
    NoCoordinator,
    /// The advertised address is not `host:port`.
    #[error("{of}advertised is {found:?}; expected host:port")]
    Advertised {
        /// Which listener, in words.
        of: String,
        /// What it is.
        found: String,
    },
    /// The advertised address is the wildcard one.
    #[error(
        "{of}advertised is {found:?}, an address that no client can connect to; set it to the \
         host:port that clients shall use"
    )]
    AdvertisedWildcard {
        /// Which listener, in words.
        of: String,
        /// What it is.
        found: String,
    },
    /// Clients cannot connect to the wildcard address.
    #[error(
        "{of}listen is {listen}, an address that no client can connect to; set advertised to the \
         host:port that clients shall use"
    )]
    Unreachable {
        /// Which listener, in words.
        of: String,
        /// Where the broker listens.
        listen: SocketAddr,
    },
    /// A listener cannot be called that.
    #[error("listeners has one with the name {found:?}; expected {}", ListenerName::RULE)]
    ListenerName {
        /// What it is called.
        found: String,
    },
    /// Two listeners have one name.
    #[error("listeners has two with the name {name}; give each its own")]
    ListenerTwice {
        /// The name.
        name: ListenerName,
    },
    /// More listeners than the coordinator takes.
    #[error("listeners has {found}; expected at most {}", ListenerName::MAX_COUNT)]
    TooManyListeners {
        /// How many there are.
        found: usize,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            broker_id: 1,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9192)),
            http_listen: None,
            advertised: None,
            listeners: Vec::new(),
            rack: String::new(),
            coordinators: vec!["127.0.0.1:7070".to_owned()],
            data_dir: PathBuf::from("data/broker"),
            trust_fenced_directory: None,
            journal_bytes: 256 * 1024 * 1024,
            write_buffer_bytes: 64 * 1024 * 1024,
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
            log_scrub_interval_ms: 7 * 24 * 60 * 60 * 1000,
            log_scrub_bytes_per_second: 10 * 1024 * 1024,
            disk: DiskLimits::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for DiskLimits {
    fn default() -> Self {
        Self {
            min_free_bytes: 5 << 30,
            min_free_percent: 5,
            critical_free_bytes: 1 << 30,
            critical_free_percent: 1,
            ballast_bytes: 256 << 20,
            ballast_percent: 1,
        }
    }
}

impl DiskLimits {
    fn validate(&self) -> Result<(), ConfigError> {
        for (key, percent) in [
            ("disk.min_free_percent", self.min_free_percent),
            ("disk.critical_free_percent", self.critical_free_percent),
            ("disk.ballast_percent", self.ballast_percent),
        ] {
            if 100 < percent {
                return Err(ConfigError::Percent { key, found: percent });
            }
        }
        at_least("disk.min_free_bytes", self.min_free_bytes, self.critical_free_bytes)?;
        let critical = u64::from(self.critical_free_percent);
        at_least("disk.min_free_percent", u64::from(self.min_free_percent), critical)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            directory_queue: 1024,
            group_commit: 1024,
            connections: 10_000,
            requests: 16_384,
            connection_bytes: 64 * 1024,
            received_bytes: 256 * 1024 * 1024,
            answer_bytes: 256 * 1024 * 1024,
            window_bytes: 1024 * 1024 * 1024,
            handshake_ms: 10_000,
            stall_ms: 30_000,
            idle_ms: 600_000,
            produce_bytes: 256 * 1024 * 1024,
            stream_bytes: 16 * 1024 * 1024,
            fetch_bytes: 8 * 1024 * 1024,
            fetch_partitions: 10_000,
        }
    }
}

impl Limits {
    /// What the server goes by.
    pub(crate) fn bounds(&self) -> Bounds {
        let millis = |millis: u32| Duration::from_millis(u64::from(millis));
        Bounds {
            connections: self.connections,
            requests: self.requests,
            connection_bytes: self.connection_bytes as usize,
            received_bytes: self.received_bytes as usize,
            answer_bytes: self.answer_bytes as usize,
            window_bytes: self.window_bytes,
            handshake: millis(self.handshake_ms),
            stall: millis(self.stall_ms),
            idle: millis(self.idle_ms),
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        // A budget below the largest message could never be met.
        let largest = wire::transport::MAX_MESSAGE_BYTES as u64;
        for (key, found, least) in [
            ("limits.directory_queue", self.directory_queue as u64, 1),
            ("limits.group_commit", self.group_commit as u64, 1),
            ("limits.fetch_partitions", self.fetch_partitions as u64, 1),
            ("limits.connections", self.connections as u64, 1),
            ("limits.requests", self.requests as u64, 1),
            ("limits.received_bytes", u64::from(self.received_bytes), largest),
            ("limits.answer_bytes", u64::from(self.answer_bytes), largest),
            ("limits.handshake_ms", u64::from(self.handshake_ms), 1_000),
            ("limits.stall_ms", u64::from(self.stall_ms), 1_000),
            ("limits.produce_bytes", u64::from(self.produce_bytes), largest),
            ("limits.fetch_bytes", u64::from(self.fetch_bytes), 1),
        ] {
            at_least(key, found, least)?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads the file that the command line names, the environment (`DOHLE_BROKER_*`) and the flags.
    ///
    /// # Errors
    ///
    /// The file is missing, a key is unknown or a value does not fit.
    pub fn from_command_line() -> Result<Self, daemon::config::ConfigError> {
        daemon::config::from_command_line("dohle-broker", "DOHLE_BROKER_", classic::translate)
    }

    /// Checks what no single key can.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        at_least("num_partitions", u64::from(self.num_partitions), 1)?;
        at_least("default_replication_factor", u64::from(self.default_replication_factor), 1)?;
        let interval = u64::from(self.log_retention_check_interval_ms);
        at_least("log_retention_check_interval_ms", interval, 1)?;
        self.topic_defaults()?;
        at_least("log_scrub_bytes_per_second", self.log_scrub_bytes_per_second, 1)?;
        self.trusted_directory()?;
        self.disk.validate()?;
        self.limits.validate()?;
        self.named_listeners()?;
        if self.coordinators.is_empty() {
            return Err(ConfigError::NoCoordinator);
        }
        Ok(())
    }

    /// Where health and metrics are told.
    pub(crate) fn http_listen(&self) -> SocketAddr {
        self.http_listen.unwrap_or_else(|| daemon::http::beside(self.listen))
    }

    /// How the journal is laid out, if there is to be one.
    pub(crate) fn journal(&self) -> Option<JournalConfig> {
        let config = JournalConfig::default();
        let file_bytes = self.journal_bytes.checked_div(config.files.get() as u64)?;
        let bytes = usize::try_from(self.write_buffer_bytes).unwrap_or(usize::MAX);
        let write_buffers = WriteBufferConfig { bytes, ..config.write_buffers };
        (file_bytes > 0).then_some(JournalConfig { file_bytes, write_buffers, ..config })
    }

    /// How often it is looked for records that their topics no longer keep.
    pub(crate) fn retention_interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.log_retention_check_interval_ms))
    }

    /// How often all sealed segments are read; `None`: never.
    pub(crate) fn scrub_interval(&self) -> Option<Duration> {
        let millis = Some(self.log_scrub_interval_ms).filter(|millis| *millis != 0);
        millis.map(Duration::from_millis)
    }

    /// The directory whose fence is to be lifted.
    pub(crate) fn trusted_directory(&self) -> Result<Option<DirectoryId>, ConfigError> {
        let parse = |text: &String| {
            let refused = || ConfigError::DirectoryId { found: text.clone() };
            DirectoryId::parse(text).ok_or_else(refused)
        };
        self.trust_fenced_directory.as_ref().map(parse).transpose()
    }

    /// How the data directory works.
    pub(crate) fn directory_config(&self) -> Result<DirectoryConfig, ConfigError> {
        let DiskLimits { ballast_bytes, ballast_percent, .. } = self.disk;
        let ballast = BallastConfig { bytes: ballast_bytes, percent: ballast_percent };
        let (journal, trusted) = (self.journal(), self.trusted_directory()?);
        Ok(DirectoryConfig { journal, ballast, trusted, ..DirectoryConfig::default() })
    }
}

fn at_least(key: &'static str, found: u64, least: u64) -> Result<(), ConfigError> {
    if found < least { Err(ConfigError::TooSmall { key, found, least }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
