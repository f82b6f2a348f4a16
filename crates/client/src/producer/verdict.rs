//! What a failed attempt means for the records in it.

use types::{Coded, Reason};

use crate::ClientError;

/// How an attempt to deliver a batch failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// It never left this process.
    NotSent(ClientError),
    /// The broker answered with an error.
    Refused(ClientError),
    /// It was not sent because another one was refused, or refused together with others of which
    /// one is at fault.
    Beside(ClientError),
    /// It was sent, and no answer came.
    Lost(ClientError),
}

/// What is known of the attempt. Of the batch, only what all its attempts together say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It wrote nothing, and trying again may help.
    Retry(ClientError),
    /// It wrote nothing, and by itself it may be taken.
    Alone(ClientError),
    /// It wrote nothing, and trying again will not help.
    Final(ClientError),
    /// It may have written the batch.
    Doubt(ClientError),
    /// It wrote nothing: the batch does not follow what the log has of the producer.
    OutOfSequence(ClientError),
    /// It wrote nothing: the producer's id was given to somebody else as well.
    Fenced(ClientError),
}

pub(crate) fn judge(failure: Failure) -> Verdict {
    match failure {
        Failure::NotSent(cause) => Verdict::Retry(cause),
        Failure::Lost(cause) => Verdict::Doubt(cause),
        Failure::Refused(cause) => refused(cause),
        Failure::Beside(cause) => Verdict::Alone(cause),
    }
}

/// Whether a batch that is refused so is so each time.
pub(crate) fn is_final(cause: &ClientError) -> bool {
    matches!(refused(cause.clone()), Verdict::Final(_))
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
        // Deletions, retention and operators make room; who sends waits for them, as for a queue.
        | Reason::StorageFull
        | Reason::ShuttingDown
        // A topic that was made a moment ago is not known to every broker yet.
        | Reason::UnknownTopicOrPartition => Verdict::Retry(cause),
        // A sync that failed may have left the bytes on the disk.
        Reason::RequestTimedOut
        | Reason::StorageError
        | Reason::DirectoryFenced
        | Reason::UnknownServerError => Verdict::Doubt(cause),
        Reason::OutOfOrderSequenceNumber | Reason::UnknownProducerId => {
            Verdict::OutOfSequence(cause)
        }
        Reason::InvalidProducerEpoch => Verdict::Fenced(cause),
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
        | Reason::DuplicateBrokerRegistration
        // Of the coordinators' tree, which no record comes near.
        | Reason::NoNode
        | Reason::NodeExists
        | Reason::NotEmpty
        | Reason::BadVersion
        | Reason::NoChildrenForEphemerals
        | Reason::SessionExpired => Verdict::Final(cause),
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
    fn check(
        failure: fn(ClientError) -> Failure,
        reason: Reason,
        verdict: fn(ClientError) -> Verdict,
    ) {
        assert_eq!(judge(failure(broker(reason))), verdict(broker(reason)));
    }

    #[test]
    fn what_never_left_is_tried_again() {
        check(Failure::NotSent, Reason::LeaderNotAvailable, Verdict::Retry);
    }

    #[test]
    fn what_was_lost_under_way_may_have_arrived() {
        check(Failure::Lost, Reason::LeaderNotAvailable, Verdict::Doubt);
    }

    #[test]
    fn a_broker_that_does_not_lead_any_more_has_appended_nothing() {
        check(Failure::Refused, Reason::NotLeaderOrFollower, Verdict::Retry);
    }

    #[test]
    fn acks_that_did_not_come_in_time_leave_the_outcome_open() {
        check(Failure::Refused, Reason::RequestTimedOut, Verdict::Doubt);
    }

    #[test]
    fn a_batch_beside_one_that_breaks_a_rule_is_tried_alone() {
        check(Failure::Beside, Reason::MessageTooLarge, Verdict::Alone);
        assert!(is_final(&broker(Reason::MessageTooLarge)));
        assert!(!is_final(&broker(Reason::Busy)));
    }

    #[test]
    fn a_record_that_breaks_a_rule_is_not_tried_again() {
        for reason in [Reason::MessageTooLarge, Reason::InvalidRecord] {
            check(Failure::Refused, reason, Verdict::Final);
        }
    }

    #[test]
    fn a_full_disk_is_waited_for() {
        check(Failure::Refused, Reason::StorageFull, Verdict::Retry);
    }

    #[test]
    fn what_a_fenced_directory_refuses_may_have_been_written_to_it() {
        check(Failure::Refused, Reason::DirectoryFenced, Verdict::Doubt);
    }
}
