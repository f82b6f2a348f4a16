use std::collections::HashMap;
use std::error::Error;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};
use tracing::error;
use types::{Code, Coded, Reason};

use crate::{InvalidMessage, RemoteError};

/// `google.rpc.ErrorInfo.domain` of every error of ours.
const DOMAIN: &str = "dohle";
/// Key of the leading coordinator in `ErrorInfo.metadata`.
const COORDINATOR: &str = "coordinator";

/// Turns a failure into a gRPC status whose `ErrorInfo` carries the reason. Nothing else in the
/// workspace does.
pub fn to_status<E: Coded + 'static>(failure: &E) -> Status {
    status_with(failure, HashMap::new())
}

/// Like [`to_status`], naming the coordinator to ask instead.
pub fn to_status_with_coordinator<E: Coded + 'static>(failure: &E, leader: String) -> Status {
    status_with(failure, HashMap::from([(COORDINATOR.to_owned(), leader)]))
}

fn status_with<E: Coded + 'static>(failure: &E, metadata: HashMap<String, String>) -> Status {
    let reason = failure.reason();
    let message = if reason == Reason::UnknownServerError {
        // The caller learns nothing of our internals; the log gets the whole chain.
        error!(error = failure as &dyn Error, "request failed");
        "internal error: the server's log tells more".to_owned()
    } else {
        failure.to_string()
    };
    let details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
    Status::with_error_details(grpc_code(failure.code()), message, details)
}

const fn grpc_code(code: Code) -> tonic::Code {
    match code {
        Code::Invalid => tonic::Code::InvalidArgument,
        Code::NotFound => tonic::Code::NotFound,
        Code::AlreadyExists => tonic::Code::AlreadyExists,
        Code::Stale => tonic::Code::FailedPrecondition,
        Code::Exhausted => tonic::Code::ResourceExhausted,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::Timeout => tonic::Code::DeadlineExceeded,
        Code::DataLoss => tonic::Code::DataLoss,
        Code::Internal => tonic::Code::Internal,
    }
}

/// Reads a status that [`to_status`] made, or makes the best of any other.
///
/// A status without our `ErrorInfo` comes from the transport: the peer is down, hung, or no
/// Dohle at all.
pub fn from_status(status: &Status) -> RemoteError {
    let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
    let named = info.as_ref().and_then(|info| Reason::parse(&info.reason));
    RemoteError {
        reason: named.unwrap_or_else(|| transport_reason(status.code())),
        message: match named {
            Some(_) => status.message().to_owned(),
            None => transport_message(status),
        },
        leader: None,
        coordinator: info.and_then(|mut info| info.metadata.remove(COORDINATOR)),
    }
}

const fn transport_reason(code: tonic::Code) -> Reason {
    match code {
        tonic::Code::InvalidArgument | tonic::Code::OutOfRange => Reason::InvalidRequest,
        tonic::Code::ResourceExhausted => Reason::Busy,
        tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => Reason::RequestTimedOut,
        tonic::Code::Unavailable | tonic::Code::Aborted | tonic::Code::Unknown => {
            Reason::LeaderNotAvailable
        }
        tonic::Code::DataLoss => Reason::CorruptMessage,
        tonic::Code::Ok
        | tonic::Code::NotFound
        | tonic::Code::AlreadyExists
        | tonic::Code::PermissionDenied
        | tonic::Code::FailedPrecondition
        | tonic::Code::Unimplemented
        | tonic::Code::Internal
        | tonic::Code::Unauthenticated => Reason::UnknownServerError,
    }
}

/// The transport says "transport error" and keeps the cause to itself; the chain says more.
fn transport_message(status: &Status) -> String {
    let mut message = format!("{}: {}", status.code(), status.message());
    let mut cause = status.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}

/// Ends a handler's `?` chain in a [`Status`].
pub trait OrStatus<T> {
    /// Maps the error through [`to_status`].
    ///
    /// # Errors
    ///
    /// The status for the error, if there is one.
    fn or_status(self) -> Result<T, Status>;
}

impl<T, E: Coded + 'static> OrStatus<T> for Result<T, E> {
    fn or_status(self) -> Result<T, Status> {
        self.map_err(|error| to_status(&error))
    }
}

impl From<InvalidMessage> for Status {
    fn from(error: InvalidMessage) -> Self {
        to_status(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(reason: Reason) -> RemoteError {
        RemoteError { reason, message: "what happened".into(), leader: None, coordinator: None }
    }

    #[test]
    fn a_reason_survives_the_way_through_a_status() {
        for reason in Reason::ALL {
            let arrived = from_status(&to_status(&remote(*reason)));
            assert_eq!(arrived.reason, *reason);
        }
    }

    #[test]
    fn an_internal_error_keeps_its_text_to_itself() {
        let status = to_status(&remote(Reason::UnknownServerError));
        assert!(!status.message().contains("what happened"), "{status:?}");
    }

    #[test]
    fn the_coordinator_to_ask_instead_is_carried() {
        let status =
            to_status_with_coordinator(&remote(Reason::NotController), "127.0.0.1:7071".into());
        assert_eq!(from_status(&status).coordinator.as_deref(), Some("127.0.0.1:7071"));
    }

    #[test]
    fn a_peer_that_is_down_reads_as_unavailable() {
        let status = Status::unavailable("transport error");
        assert_eq!(from_status(&status).code(), Code::Unavailable);
    }
}
