//! Why a broker does not start, or ends early, and what its process then ends with.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use cluster::ListenerName;
use commit_log::DirectoryError;
use thiserror::Error;
use tokio::task::JoinError;

use crate::config::ConfigError;
use crate::session::SessionError;

/// What a process ends with whose data directory is fenced: `EX_IOERR` of `sysexits.h`. Starting
/// it again does not help.
const FENCED: u8 = 74;

/// Why a broker could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Load(#[from] daemon::config::ConfigError),
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port is taken, or the address is not this host's.
    #[error("cannot listen on {listen}: {source}; choose another address with `listen`")]
    Bind {
        /// Where.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The port of another listener is taken, or the address is not this host's.
    #[error(
        "cannot listen on {listen} for listener {name}: {source}; choose another address with its \
         `listen`"
    )]
    BindListener {
        /// Which listener.
        name: ListenerName,
        /// Where.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The port for health and metrics is taken, or the address is not this host's.
    #[error("cannot tell health and metrics on {listen}: {source}; choose another `http_listen`")]
    Probes {
        /// Where.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The system has no random numbers to give.
    #[error("no random bytes: {0}")]
    Random(#[source] io::Error),
    /// Recovery of the data directory died.
    #[error("recovery of the data directory died: {0}")]
    Recovery(#[source] JoinError),
}

/// Why a broker ended early.
#[derive(Debug, Error)]
pub enum RunError {
    /// It cannot be part of the cluster.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The server failed.
    #[error("the server failed: {0}")]
    Server(#[from] tonic::transport::Error),
    /// Health and metrics cannot be told any more.
    #[error("the HTTP socket for health and metrics failed: {0}")]
    Probes(#[source] io::Error),
    /// There is no thread for the writer.
    #[error("the writer of the data directory could not be started: {0}")]
    Writer(#[source] io::Error),
    /// The disk did not keep what it was given: what it holds is not known.
    #[error(
        "data directory {} is fenced ({cause}): its disk did not keep what it was given, and the \
         broker ends so that nobody relies on what the cache still shows; nothing was acknowledged \
         since; check the disk (dmesg, smartctl, df), then start the broker again to be told how to \
         go on", directory.display()
    )]
    Fenced {
        /// The directory.
        directory: PathBuf,
        /// What happened.
        cause: String,
    },
    /// The writer died, or what it cannot do without: its upkeep, or who tells its answers.
    #[error("the writer of the data directory died; its last words are in the log")]
    WriterDied,
    /// Nobody looks after the disk's room any more.
    #[error("the disk's room is no longer looked after; the log tells why")]
    DiskKeeperDied,
    /// A task ended that goes on for as long as the broker does.
    #[error("{task} ended by itself, and the broker cannot do without; the log may tell why")]
    Ended {
        /// Which.
        task: &'static str,
    },
    /// A task died.
    #[error("a task of the broker died: {0}")]
    Task(#[from] JoinError),
}

/// What a broker's process ends with: 74 if its data directory is fenced, else 1.
pub fn exit_code(failure: &(dyn std::error::Error + 'static)) -> u8 {
    let while_running = matches!(failure.downcast_ref(), Some(RunError::Fenced { .. }));
    let at_start = matches!(
        failure.downcast_ref(),
        Some(BuildError::Directory(DirectoryError::Fenced { .. }))
    );
    if while_running || at_start { FENCED } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fenced_directory_has_a_code_of_its_own_wherever_it_is_found() {
        let (directory, cause) = (PathBuf::from("/data"), "EIO".to_owned());
        let found =
            DirectoryError::Fenced { path: directory.clone(), id: None, cause: cause.clone() };
        assert_eq!(exit_code(&BuildError::Directory(found)), 74);
        assert_eq!(exit_code(&RunError::Fenced { directory, cause }), 74);
        assert_eq!(exit_code(&RunError::WriterDied), 1);
    }
}
