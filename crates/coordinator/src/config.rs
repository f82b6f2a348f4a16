use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

mod classic;

/// What a coordinator can be told. Every key has a default; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where health, readiness and metrics are told over HTTP. Absent: `listen`, with 100 added to its
    /// port.
    pub http_listen: Option<SocketAddr>,
    /// Where `ZooKeeper`'s four-letter words (`ruok`, `stat`, `srvr`, `mntr`) are answered over plain
    /// TCP, on the host of `listen`. Absent: nowhere.
    pub zookeeper_port: Option<u16>,
    /// The address that others are told, as `host:port`. Absent: the one listened on.
    pub advertised: Option<String>,
    /// Where the metadata lies. Belongs to this coordinator alone.
    pub data_dir: PathBuf,
    /// How long a broker may be silent before it is fenced.
    pub session_timeout_ms: u32,
    /// How long a broker may lead after it sent the last heartbeat that was answered. Shorter
    /// than the session.
    pub lease_ms: u32,
    /// Between two ticks of raft's clock; an election takes 10 to 20 of them.
    pub tick_ms: u32,
    /// A checkpoint is taken, and the log cut, after so many entries.
    pub checkpoint_entries: u64,
    /// Requests that may wait for the loop; those beyond are refused as busy.
    pub queue: usize,
    /// Changes that are kept for watchers, in bytes.
    pub feed_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            http_listen: None,
            zookeeper_port: None,
            advertised: None,
            data_dir: PathBuf::from("data/coordinator"),
            session_timeout_ms: 9_000,
            lease_ms: 6_000,
            tick_ms: 100,
            checkpoint_entries: 10_000,
            queue: 4_096,
            feed_bytes: 16 * 1024 * 1024,
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A number that must not be 0.
    #[error("{key} is 0; it must be at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// A broker could lead for longer than the coordinator waits for it.
    #[error(
        "lease_ms is {lease_ms} and session_timeout_ms {session_timeout_ms}; the lease must be shorter"
    )]
    Lease {
        /// The lease.
        lease_ms: u32,
        /// The session.
        session_timeout_ms: u32,
    },
}

impl Config {
    /// Reads the file that the command line names, the environment (`DOHLE_COORDINATOR_*`) and the flags.
    ///
    /// # Errors
    ///
    /// The file is missing, a key is unknown or a value does not fit.
    pub fn from_command_line() -> Result<Self, daemon::config::ConfigError> {
        daemon::config::from_command_line(
            "dohle-coordinator",
            "DOHLE_COORDINATOR_",
            classic::translate,
        )
    }

    /// Where health and metrics are told.
    pub(crate) fn http_listen(&self) -> SocketAddr {
        self.http_listen.unwrap_or_else(|| daemon::http::beside(self.listen))
    }

    /// Checks what types cannot.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let numbers = [
            ("lease_ms", u64::from(self.lease_ms)),
            ("tick_ms", u64::from(self.tick_ms)),
            ("checkpoint_entries", self.checkpoint_entries),
            ("queue", self.queue as u64),
            ("feed_bytes", self.feed_bytes as u64),
        ];
        if let Some((key, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
            return Err(ConfigError::Zero { key });
        }
        if self.session_timeout_ms <= self.lease_ms {
            let Self { lease_ms, session_timeout_ms, .. } = *self;
            return Err(ConfigError::Lease { lease_ms, session_timeout_ms });
        }
        Ok(())
    }
}
