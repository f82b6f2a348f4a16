//! Logs: readable lines on a terminal, one JSON object a line anywhere else. Always on stderr;
//! stdout belongs to data.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What is logged when `DOHLE_LOG` says nothing: state changes of ours, troubles of others.
const DEFAULT_FILTER: &str = "info,h2=warn,hyper=warn,tower=warn,sled=warn,raft=warn";

/// Starts logging, filtered by the environment variable `DOHLE_LOG` (`debug`, or
/// `broker=debug,info`). Later calls in one process change nothing.
///
/// # Errors
///
/// `DOHLE_LOG` is not a filter.
pub fn init() -> Result<(), ParseError> {
    init_with_default(DEFAULT_FILTER)
}

/// Like [`init`], for a tool that stays silent unless something is wrong.
///
/// # Errors
///
/// `DOHLE_LOG` is not a filter.
pub fn init_quiet() -> Result<(), ParseError> {
    init_with_default("error")
}

fn init_with_default(default: &str) -> Result<(), ParseError> {
    let filter = match std::env::var("DOHLE_LOG") {
        Ok(filter) => EnvFilter::builder().parse(filter)?,
        Err(_unset) => EnvFilter::builder().parse(default)?,
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if io::stderr().is_terminal() { logs.try_init() } else { logs.json().try_init() };
    // Already started: the lab runs several services in one process.
    started.ok();
    Ok(())
}
