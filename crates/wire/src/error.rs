use thiserror::Error;
use types::{Code, Coded, Reason};

use crate::v1::types::BrokerEndpoint;

/// A protobuf message that cannot be a domain value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidMessage {
    /// A field that must be there is not.
    #[error("{field} is missing")]
    Missing {
        /// The field, as the proto names it.
        field: &'static str,
    },
    /// A field holds something it may not.
    #[error("{field} is {found}; expected {expected}")]
    Value {
        /// The field, as the proto names it.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// A topic name that breaks the rules.
    #[error(transparent)]
    Topic(#[from] types::InvalidTopicName),
    /// A path of the tree that breaks the rules.
    #[error(transparent)]
    Path(#[from] tree::InvalidPath),
}

impl Coded for InvalidMessage {
    fn reason(&self) -> Reason {
        match self {
            Self::Missing { .. } | Self::Value { .. } => Reason::InvalidRequest,
            Self::Topic(error) => error.reason(),
            Self::Path(error) => error.reason(),
        }
    }
}

/// An error that another process answered with, as a status or in the body.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{message}")]
pub struct RemoteError {
    /// Why, in the closed set.
    pub reason: Reason,
    /// What the other side said.
    pub message: String,
    /// Who leads instead, when the other side knows: a partition's leading broker.
    pub leader: Option<BrokerEndpoint>,
    /// The leading coordinator as `host:port`, when the other side knows.
    pub coordinator: Option<String>,
}

impl Coded for RemoteError {
    fn reason(&self) -> Reason {
        self.reason
    }

    fn code(&self) -> Code {
        self.reason.code()
    }
}
