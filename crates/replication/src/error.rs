use thiserror::Error;
use types::{Coded, Reason};

/// Why a produce was not acknowledged. `E` is what the log answers when it refuses an append.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProduceError<E> {
    /// Refused before anything was written.
    #[error(
        "{in_sync} replicas are in sync and min.insync.replicas asks for {required}; nothing was \
         written: retry when more brokers are up, or produce with acks=leader"
    )]
    NotEnoughReplicas {
        /// Replicas in sync, leader included.
        in_sync: usize,
        /// Replicas that must be.
        required: usize,
    },
    /// The log refused the append; nothing was written.
    #[error(transparent)]
    Log(E),
    /// The acks asked for did not come in time.
    #[error(
        "the acks did not come within the timeout; the records may or may not be kept: retry if \
         duplicates do no harm"
    )]
    TimedOut,
    /// Leadership ended before the acks were there.
    #[error(
        "this broker stopped leading the partition before the acks were there; the records may \
         or may not be kept: refresh the metadata and retry at the new leader"
    )]
    NoLongerLeader,
}

impl<E: Coded + 'static> Coded for ProduceError<E> {
    fn reason(&self) -> Reason {
        match self {
            Self::NotEnoughReplicas { .. } => Reason::NotEnoughReplicas,
            Self::Log(error) => error.reason(),
            // Both leave the outcome open. `NotLeaderOrFollower` would say that nothing was written,
            // and invite a retry that may double the records.
            Self::TimedOut | Self::NoLongerLeader => Reason::RequestTimedOut,
        }
    }
}
