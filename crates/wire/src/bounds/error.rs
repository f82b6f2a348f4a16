use thiserror::Error;
use types::{Coded, Reason};

/// A request was refused, or given up, because something had reached its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum BoundError {
    /// There are as many connections as there may be.
    #[error(
        "this server has the most connections that its limits.connections allows ({limit}); close \
         some, or raise it, and connect again"
    )]
    Connections {
        /// How many there may be.
        limit: usize,
    },
    /// There are as many open requests as there may be.
    #[error(
        "this server has the most open requests that its limits.requests allows ({limit}, beyond \
         a few for each connection); back off and retry"
    )]
    Requests {
        /// How many there may be.
        limit: usize,
    },
    /// There was no memory for it in good time.
    #[error(
        "requests that are half received or being worked on hold all of the server's \
         limits.received_bytes; back off and retry"
    )]
    Received,
    /// It announces a message that no such request needs.
    #[error("a message of {announced} bytes is too large: this call takes {limit} at most")]
    TooLarge {
        /// What the client announced.
        announced: u64,
        /// What may be.
        limit: u64,
    },
}

/// What an answer would take is more than one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the answer would take some {bytes} bytes of memory, and {limit} are the most that one may: ask for less at \
     a time"
)]
pub struct AnswerTooLarge {
    /// How much it would take, roughly.
    pub bytes: usize,
    /// How much it may.
    pub limit: usize,
}

impl Coded for AnswerTooLarge {
    fn reason(&self) -> Reason {
        Reason::MessageTooLarge
    }
}

impl Coded for BoundError {
    fn reason(&self) -> Reason {
        match self {
            Self::Connections { .. } | Self::Requests { .. } | Self::Received => Reason::Busy,
            Self::TooLarge { .. } => Reason::MessageTooLarge,
        }
    }
}
