use std::io;
use std::path::PathBuf;

use client::ClientError;
use thiserror::Error;

use crate::nats::NatsError;

/// Why nothing was measured.
#[derive(Debug, Error)]
pub(crate) enum PeerError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The program to compare with is missing.
    #[error("{} cannot be started ({source}); install nats-server or name it with --nats-server", program.display())]
    Missing {
        /// What was started.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// NATS does not do as expected.
    #[error("NATS: {0}")]
    Nats(#[from] NatsError),
    /// Dohle does not answer.
    #[error("Dohle: {0}")]
    Client(#[from] ClientError),
    /// Dohle does not start or end.
    #[error("Dohle: {0}")]
    Cluster(String),
    /// What was sent is not what is there.
    #[error("{side}: {sent} records were sent and {stored} are there")]
    Lost {
        /// Whose.
        side: &'static str,
        /// Acknowledged.
        sent: u64,
        /// Found.
        stored: u64,
    },
    /// A task died.
    #[error("a task died: {0}")]
    Died(#[from] tokio::task::JoinError),
    /// No round was completed.
    #[error("nothing was measured")]
    Unmeasured,
}
