use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) mod classic;

/// What a registry can be told. Every key has a default; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Coordinators (`host:port`) in whose tree the schemas lie; any number of registries may work
    /// on the same ones. Empty: the schemas lie in `data_dir`.
    pub coordinators: Vec<String>,
    /// Where the schemas lie if no coordinators are named. Belongs to this registry alone.
    pub data_dir: PathBuf,
    /// How long a request may take, from its first header to its answer.
    pub request_timeout_ms: u64,
    /// The longest request body. A schema of the full megabyte grows when it is quoted as JSON.
    pub max_body_bytes: usize,
    /// Requests in progress at once; those beyond are refused with 503.
    pub max_requests: usize,
    /// Threads that may read the store at once; one more writes.
    pub store_threads: usize,
    /// Text of schemas that is kept in memory.
    pub cache_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            coordinators: Vec::new(),
            data_dir: PathBuf::from("data/registry"),
            request_timeout_ms: 30_000,
            max_body_bytes: 4 * 1024 * 1024,
            max_requests: 512,
            store_threads: 8,
            cache_bytes: 16 * 1024 * 1024,
        }
    }
}
