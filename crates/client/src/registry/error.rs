use serde::Deserialize;
use thiserror::Error;
use types::{Coded, Reason};

/// Why the registry did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// The address is none.
    #[error("{url:?} is no address of a registry ({detail}); expected http://host:8081")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// It does not answer, or not in time.
    #[error("the schema registry at {url} does not answer: {detail}; check that it is up")]
    Unreachable {
        /// Its address.
        url: String,
        /// What the transport says.
        detail: String,
    },
    /// The subject, version or schema does not exist.
    #[error("{message}")]
    NotFound {
        /// Confluent's number: 40401 subject, 40402 version, 40403 schema.
        error_code: u32,
        /// What the registry says.
        message: String,
    },
    /// The schema is none.
    #[error("{message}")]
    InvalidSchema {
        /// What the registry says, and about which field.
        message: String,
    },
    /// The subject's compatibility level does not allow the schema.
    #[error("{message}")]
    Incompatible {
        /// What the registry says.
        message: String,
    },
    /// The registry does not do that.
    #[error("the schema registry refused ({error_code}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Confluent's number.
        error_code: u32,
        /// What the registry says.
        message: String,
    },
    /// The registry failed.
    #[error("the schema registry at {url} failed ({status}): {message}; try again, or see its log")]
    Failed {
        /// Its address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the registry says.
        message: String,
    },
    /// The answer is none of a registry.
    #[error("the answer of {url} cannot be read: {detail}; is that a schema registry?")]
    InvalidAnswer {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        detail: String,
    },
    /// A schema of another kind.
    #[error("the schema is of type {found}; only AVRO is read")]
    NotAvro {
        /// The kind.
        found: String,
    },
}

impl RegistryError {
    /// Whether what was asked for does not exist, as the registry itself says.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

impl Coded for RegistryError {
    fn reason(&self) -> Reason {
        match self {
            Self::InvalidUrl { .. } | Self::InvalidSchema { .. } | Self::Refused { .. } => {
                Reason::InvalidRequest
            }
            // The closed set has no word for a subject; this one calls for the same reaction.
            Self::NotFound { .. } => Reason::UnknownTopicOrPartition,
            Self::Incompatible { .. } | Self::NotAvro { .. } => Reason::InvalidRecord,
            Self::Unreachable { .. } | Self::Failed { .. } => Reason::CoordinatorNotAvailable,
            Self::InvalidAnswer { .. } => Reason::UnknownServerError,
        }
    }
}

#[derive(Deserialize)]
struct Body {
    error_code: u32,
    message: String,
}

/// Reads an answer that is no success.
pub(crate) fn refused(url: &str, status: u16, answer: &[u8]) -> RegistryError {
    let Body { error_code, message } = match serde_json::from_slice(answer) {
        Ok(body) => body,
        // A proxy, or another kind of server.
        Err(_not_ours) => Body {
            error_code: u32::from(status),
            message: String::from_utf8_lossy(answer).chars().take(200).collect(),
        },
    };
    match (status, error_code) {
        (404, 40401..=40408) => RegistryError::NotFound { error_code, message },
        (409, _) => RegistryError::Incompatible { message },
        (422, 42201) => RegistryError::InvalidSchema { message },
        (500.., _) => RegistryError::Failed { url: url.to_owned(), status, message },
        (_, _) => RegistryError::Refused { status, error_code, message },
    }
}
