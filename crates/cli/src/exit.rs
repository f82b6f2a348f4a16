//! How the process ends: its exit codes, and the failures that lead to them.
//!
//! The codes are part of the tool's interface: scripts branch on them. `dohle --help` lists them.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use client::ClientError;
use client::registry::RegistryError;
use client::tree::TreeError;
use types::{Coded, Reason};

/// The exit codes of `dohle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All that was asked for was done.
    Success,
    /// Anything that has no code of its own.
    Other,
    /// The command line, or a value in it, is wrong.
    Usage,
    /// A topic, subject, schema or file that was named does not exist.
    NotFound,
    /// A service does not answer, or cannot do it at the moment.
    Unreachable,
    /// It exists already, or a schema is incompatible.
    Conflict,
    /// The caller may not do that.
    Denied,
    /// Another sink run committed first, or is at work.
    Fenced,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Unreachable => 4,
            Self::Conflict => 5,
            Self::Denied => 6,
            Self::Fenced => 75,
            Self::Interrupted => 130,
        }
    }

    /// The code for a failure with this reason.
    pub(crate) const fn for_reason(reason: Reason) -> Self {
        match reason {
            Reason::InvalidRequest
            | Reason::InvalidTopic
            | Reason::InvalidPartitions
            | Reason::InvalidReplicationFactor
            | Reason::InvalidConfig
            | Reason::NoChildrenForEphemerals => Self::Usage,
            Reason::UnknownTopicOrPartition | Reason::UnknownBroker | Reason::NoNode => {
                Self::NotFound
            }
            Reason::TopicAlreadyExists
            | Reason::DuplicateBrokerRegistration
            | Reason::NodeExists
            | Reason::NotEmpty
            | Reason::BadVersion => Self::Conflict,
            Reason::NotLeaderOrFollower
            | Reason::LeaderNotAvailable
            | Reason::FencedLeaderEpoch
            | Reason::UnknownLeaderEpoch
            | Reason::NotEnoughReplicas
            | Reason::StaleBrokerEpoch
            | Reason::NotController
            | Reason::CoordinatorNotAvailable
            | Reason::RequestTimedOut
            | Reason::ShuttingDown => Self::Unreachable,
            Reason::InvalidRecord
            | Reason::MessageTooLarge
            | Reason::UnsupportedCompressionType
            | Reason::OffsetOutOfRange
            | Reason::OutOfOrderSequenceNumber
            | Reason::InvalidProducerEpoch
            | Reason::UnknownProducerId
            | Reason::CorruptMessage
            | Reason::RevisionOutOfRange
            | Reason::SessionExpired
            | Reason::Busy
            | Reason::StorageFull
            | Reason::StorageError
            | Reason::DirectoryFenced
            | Reason::UnknownServerError => Self::Other,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ends without having done what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Still to be told to the user.
    Error {
        /// The code to leave with.
        exit: Exit,
        /// What happened, to what.
        message: String,
        /// The command to run next, without the leading `dohle`.
        next: Option<String>,
    },
    /// Nothing is left to say.
    Told(Exit),
}

impl Failure {
    /// A failure that the tool itself found.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Error { exit, message: message.into(), next: None }
    }

    /// The command line is wrong in a way that only the command can see.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure of ours or of a server's, by its reason.
    pub(crate) fn coded(error: &(impl Coded + 'static)) -> Self {
        Self::new(Exit::for_reason(error.reason()), with_causes(error))
    }

    /// Says first what was being done.
    pub(crate) fn within(self, what: &str) -> Self {
        match self {
            Self::Error { exit, message, next } => {
                Self::Error { exit, message: format!("{what}: {message}"), next }
            }
            Self::Told(exit) => Self::Told(exit),
        }
    }

    /// Names the command to run next, without the leading `dohle`.
    pub(crate) fn next(self, command: impl Into<String>) -> Self {
        match self {
            Self::Error { exit, message, next: _ } => {
                Self::Error { exit, message, next: Some(command.into()) }
            }
            Self::Told(exit) => Self::Told(exit),
        }
    }

    /// Names the command to run next where the failure has this exit code and none is named yet.
    pub(crate) fn next_if(self, when: Exit, command: impl FnOnce() -> String) -> Self {
        match self {
            Self::Error { exit, message, next: None } if exit == when => {
                Self::Error { exit, message, next: Some(command()) }
            }
            told @ (Self::Error { .. } | Self::Told(_)) => told,
        }
    }

    /// The code to leave with.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Error { exit, .. } | Self::Told(exit) => *exit,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::coded(&error)
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Self::coded(&error).next_if(Exit::Unreachable, || "coordinator status".to_owned())
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        if matches!(error, RegistryError::Incompatible { .. }) {
            // The closed set of reasons has no word for it, and scripts want to know it.
            return Self::new(Exit::Conflict, error.to_string());
        }
        let other_address = || "schema list --registry http://HOST:PORT".to_owned();
        Self::coded(&error).next_if(Exit::Unreachable, other_address)
    }
}

/// Failed to write to stdout, or to read a file that was named.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::BrokenPipe {
            // The reader of our output (`head`, `less`) has seen enough.
            return Self::Told(Exit::Success);
        }
        let exit = if kind == io::ErrorKind::NotFound {
            Exit::NotFound
        } else if kind == io::ErrorKind::PermissionDenied {
            Exit::Denied
        } else {
            Exit::Other
        };
        Self::new(exit, error.to_string())
    }
}

/// The error's text and its causes', each once.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Many errors print their cause themselves.
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_can_tell_the_failures_apart() {
        let code = |reason| Exit::for_reason(reason).code();
        assert_eq!(code(Reason::UnknownTopicOrPartition), 3);
        assert_eq!(code(Reason::LeaderNotAvailable), 4);
        assert_eq!(code(Reason::RequestTimedOut), 4);
        assert_eq!(code(Reason::TopicAlreadyExists), 5);
        assert_eq!(code(Reason::InvalidConfig), 2);
        assert_eq!(code(Reason::StorageFull), 1);
    }

    #[test]
    fn no_failure_of_a_server_reads_as_success() {
        for reason in Reason::ALL {
            assert_ne!(Exit::for_reason(*reason), Exit::Success, "{reason}");
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit(), Exit::Success);
    }

    #[test]
    fn a_more_specific_advice_is_kept() {
        let failure = Failure::new(Exit::NotFound, "gone").next("first");
        let Failure::Error { next, .. } = failure.next_if(Exit::NotFound, || "second".into())
        else {
            panic!("an error stays one");
        };
        assert_eq!(next.as_deref(), Some("first"));
    }
}
