use types::{Coded, Reason};

use crate::RemoteError;
use crate::v1::types::{BrokerEndpoint, Error};

/// A failure of one part of a request, for the body of its response.
pub fn error_to_proto<E: Coded>(failure: &E, leader: Option<BrokerEndpoint>) -> Error {
    Error { reason: failure.reason().as_str().to_owned(), message: failure.to_string(), leader }
}

/// Reads an error from a body. A reason that this version does not know is an unknown server
/// error: a newer peer may name what we cannot.
pub fn error_to_remote(error: Error) -> RemoteError {
    RemoteError {
        reason: Reason::parse(&error.reason).unwrap_or(Reason::UnknownServerError),
        message: error.message,
        leader: error.leader,
        coordinator: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_a_newer_peer_is_an_unknown_server_error() {
        let error = Error { reason: "FROM_THE_FUTURE".into(), message: "m".into(), leader: None };
        assert_eq!(error_to_remote(error).reason, Reason::UnknownServerError);
    }

    #[test]
    fn an_error_reads_back_as_it_was_sent() {
        let sent = RemoteError {
            reason: Reason::NotLeaderOrFollower,
            message: "broker 2 leads t-0".into(),
            leader: Some(BrokerEndpoint { broker_id: 2, host: "b".into(), port: 9192 }),
            coordinator: None,
        };
        assert_eq!(error_to_remote(error_to_proto(&sent, sent.leader.clone())), sent);
    }
}
