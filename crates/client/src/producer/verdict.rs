//! What a failed attempt means for the records in it.

use types::{Coded, Reason};

use super::config::RetryUnknownOutcome;
use crate::ClientError;

/// How an attempt to deliver a batch failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// It never left this process.
    NotSent(ClientError),
    /// The broker answered with an error.
    Refused(ClientError),
    /// It was sent, and no answer came.
    Lost(ClientError),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is certainly not in the log, and trying again may help.
    Retry(ClientError),
    /// It is certainly not in the log, and trying again will not help.
    NotDelivered(ClientError),
    /// It may be in the log.
    OutcomeUnknown(ClientError),
}

pub(crate) fn judge(failure: Failure, unknown: RetryUnknownOutcome) -> Verdict {
    let verdict = match failure {
        Failure::NotSent(cause) => Verdict::Retry(cause),
        Failure::Lost(cause) => Verdict::OutcomeUnknown(cause),
        Failure::Refused(cause) => refused(cause),
    };
    match (verdict, unknown) {
        (Verdict::OutcomeUnknown(cause), RetryUnknownOutcome::MayDouble) => Verdict::Retry(cause),
        (verdict, _) => verdict,
    }
}

/// Brokers refuse with these reasons before they append, save for the unknown ones.
fn refused(cause: ClientError) -> Verdict {
    match cause.reason() {
        Reason::NotLeaderOrFollower
        | Reason::LeaderNotAvailable
        | Reason::FencedLeaderEpoch
        | Reason::UnknownLeaderEpoch
        | Reason::NotEnoughReplicas
        | Reason::StaleBrokerEpoch
        | Reason::UnknownBroker
        | Reason::NotController
        | Reason::CoordinatorNotAvailable
        | Reason::RevisionOutOfRange
        | Reason::Busy
        | Reason::ShuttingDown
        // A topic that was made a moment ago is not known to every broker yet.
        | Reason::UnknownTopicOrPartition => Verdict::Retry(cause),
        // A sync that failed may have left the bytes on the disk.
        Reason::RequestTimedOut | Reason::StorageError | Reason::UnknownServerError => {
            Verdict::OutcomeUnknown(cause)
        }
        Reason::InvalidRequest
        | Reason::InvalidTopic
        | Reason::InvalidPartitions
        | Reason::InvalidReplicationFactor
        | Reason::InvalidConfig
        | Reason::InvalidRecord
        | Reason::MessageTooLarge
        | Reason::UnsupportedCompressionType
        | Reason::TopicAlreadyExists
        | Reason::OffsetOutOfRange
        | Reason::CorruptMessage
        | Reason::OutOfOrderSequenceNumber
        | Reason::InvalidProducerEpoch
        | Reason::UnknownProducerId
        | Reason::DuplicateBrokerRegistration
        // It will not go away within a delivery timeout, and somebody has to hear of it.
        | Reason::StorageFull => Verdict::NotDelivered(cause),
    }
}

#[cfg(test)]
mod tests {
    use wire::RemoteError;

    use super::*;

    fn broker(reason: Reason) -> ClientError {
        let message = reason.to_string();
        ClientError::Broker(RemoteError { reason, message, leader: None, coordinator: None })
    }

    #[track_caller]
    fn check(failure: Failure, unknown: RetryUnknownOutcome, expected: fn(ClientError) -> Verdict) {
        let (Failure::NotSent(cause) | Failure::Refused(cause) | Failure::Lost(cause)) =
            failure.clone();
        assert_eq!(judge(failure, unknown), expected(cause));
    }

    #[test]
    fn what_never_left_is_tried_again() {
        let closed = Failure::NotSent(ClientError::Closed);
        check(closed, RetryUnknownOutcome::Never, Verdict::Retry);
    }

    #[test]
    fn what_was_lost_under_way_is_told_unless_doubling_was_allowed() {
        let lost = Failure::Lost(broker(Reason::LeaderNotAvailable));
        check(lost.clone(), RetryUnknownOutcome::Never, Verdict::OutcomeUnknown);
        check(lost, RetryUnknownOutcome::MayDouble, Verdict::Retry);
    }

    #[test]
    fn a_broker_that_does_not_lead_any_more_has_appended_nothing() {
        let refused = Failure::Refused(broker(Reason::NotLeaderOrFollower));
        check(refused, RetryUnknownOutcome::Never, Verdict::Retry);
    }

    #[test]
    fn acks_that_did_not_come_in_time_leave_the_outcome_open() {
        let timed_out = Failure::Refused(broker(Reason::RequestTimedOut));
        check(timed_out, RetryUnknownOutcome::Never, Verdict::OutcomeUnknown);
    }

    #[test]
    fn a_record_that_breaks_a_rule_is_not_tried_again() {
        for reason in [Reason::MessageTooLarge, Reason::InvalidRecord, Reason::StorageFull] {
            let refused = Failure::Refused(broker(reason));
            check(refused, RetryUnknownOutcome::MayDouble, Verdict::NotDelivered);
        }
    }
}
