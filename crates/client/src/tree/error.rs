use std::time::Duration;

use thiserror::Error;
use tree::InvalidPath;
use types::{Coded, Reason};
use wire::{InvalidMessage, RemoteError};

/// Why the tree was not read or changed. The reason tells the refusals apart:
/// [`Reason::NoNode`], [`Reason::NodeExists`], [`Reason::BadVersion`] and so on.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TreeError {
    /// No connection came about; nothing was sent.
    #[error(
        "no coordinator answers at {addresses}: {detail}; check that they are up and that the \
         addresses are theirs"
    )]
    Unreachable {
        /// Every address tried.
        addresses: String,
        /// What the last one said.
        detail: String,
    },
    /// A coordinator refused, and nothing was changed.
    #[error(transparent)]
    Refused(#[from] RemoteError),
    /// It may have been done or not.
    #[error("whether {request} took effect is not known ({cause}); look before trying again")]
    OutcomeUnknown {
        /// What was asked.
        request: &'static str,
        /// What went wrong.
        #[source]
        cause: Box<TreeError>,
    },
    /// The answer did not come in time.
    #[error("{request} was not answered within {} ms; the coordinators may have no leader", waited.as_millis())]
    Timeout {
        /// What was asked.
        request: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// An answer makes no sense.
    #[error("an answer cannot be read: {0}; check that both sides have the same version")]
    InvalidAnswer(#[from] InvalidMessage),
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// The stream of changes ended.
    #[error("the watch was broken off; begin it again at the last revision")]
    BrokenOff,
}

impl Coded for TreeError {
    fn reason(&self) -> Reason {
        match self {
            Self::Unreachable { .. } => Reason::CoordinatorNotAvailable,
            Self::Refused(error) => error.reason(),
            Self::OutcomeUnknown { .. } | Self::Timeout { .. } => Reason::RequestTimedOut,
            Self::InvalidAnswer(_) => Reason::UnknownServerError,
            Self::Path(error) => error.reason(),
            Self::BrokenOff => Reason::ShuttingDown,
        }
    }
}
