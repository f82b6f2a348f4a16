mod simulation;

use bytes::Bytes;
use record::{BatchBuilder, Compression};
use types::{PartitionId, Reason, Timestamp, TopicName};
use wire::RemoteError;

use super::*;
use crate::producer::accumulator::{NewBatch, NewRecord};

const ID: ProducerId = ProducerId::new(7);
const TIMEOUT: Duration = Duration::from_mins(2);

fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId::new(0))
}

fn lane(tracking: Tracking) -> Lane<u32> {
    let settings = LaneSettings { tracking, retries: u32::MAX, delivery_timeout: TIMEOUT };
    Lane::new(partition(), settings)
}

/// A batch of so many records; its ticket is `number`, and so is each record's value.
fn pending(number: u32, records: u32, opened: Duration) -> Pending<u32> {
    let batch = NewBatch { ticket: number, limit: usize::MAX, opened };
    let mut pending = Pending::new(batch, BatchBuilder::new(Compression::None));
    for _ in 0..records {
        let value = Bytes::copy_from_slice(&number.to_be_bytes());
        let timestamp = Timestamp::from_millis(0);
        let record = NewRecord { timestamp, key: None, value: Some(&value), headers: &[] };
        pending.push(record).unwrap();
    }
    pending
}

fn error(reason: Reason) -> ClientError {
    let message = reason.to_string();
    ClientError::Broker(RemoteError { reason, message, leader: None, coordinator: None })
}

fn refused(reason: Reason) -> Result<Option<Offset>, Failure> {
    Err(Failure::Refused(error(reason)))
}

fn lost() -> Result<Option<Offset>, Failure> {
    Err(Failure::Lost(error(Reason::LeaderNotAvailable)))
}

fn at(seconds: u64) -> Moment {
    Moment { now: Duration::from_secs(seconds), random: 0 }
}

/// A lane and the numbers of the attempts under way, oldest first.
struct Harness {
    lane: Lane<u32>,
    under_way: VecDeque<u64>,
    batches: u32,
    fresh: Option<ProducerId>,
}

impl Harness {
    fn new() -> Self {
        let lane = lane(Tracking::Idempotent);
        Self { lane, under_way: VecDeque::new(), batches: 0, fresh: Some(ID) }
    }

    /// With this many batches of two records under way.
    fn with_under_way(batches: u32) -> Self {
        let mut harness = Self::new();
        for _ in 0..batches {
            harness.send();
        }
        harness
    }

    /// Sends a new batch of two records; returns its epoch and sequence.
    #[track_caller]
    fn send(&mut self) -> (u16, u32) {
        assert!(0 < self.lane.room(self.fresh), "there is no room");
        let batch = pending(self.batches, 2, Duration::ZERO);
        self.batches += 1;
        let Dispatch { number, batch, .. } =
            self.lane.send(batch, self.fresh, Duration::ZERO).unwrap();
        self.under_way.push_back(number);
        life(&batch)
    }

    /// Sends again what is due at that second; returns its epoch and sequence.
    #[track_caller]
    fn send_again(&mut self, second: u64) -> Option<(u16, u32)> {
        let Dispatch { number, batch, .. } = self.lane.send_again(self.fresh, at(second).now)?;
        self.under_way.push_back(number);
        Some(life(&batch))
    }

    /// Answers the oldest attempt; returns what that settled.
    #[track_caller]
    fn answer(&mut self, outcome: Result<Option<Offset>, Failure>) -> Option<Settled<u32>> {
        let number = self.under_way.pop_front().expect("an attempt is under way");
        match self.lane.answered(number, outcome, at(0)) {
            Answered::Settled(settled) => Some(settled),
            Answered::Again(_) => None,
            Answered::Stale => panic!("attempt {number} is not known"),
        }
    }

    #[track_caller]
    fn acknowledge(&mut self) {
        let settled = self.answer(Ok(Some(Offset::ZERO))).unwrap();
        assert_eq!(settled.outcome, Ok(Some(Offset::ZERO)));
    }
}

fn producer(batch: &ProducedBatch) -> Option<BatchProducer> {
    batch.clone().into_batch().unwrap().header().producer
}

fn life(batch: &ProducedBatch) -> (u16, u32) {
    let producer = producer(batch).unwrap();
    (producer.epoch.get(), producer.base_sequence.unwrap().get())
}

#[track_caller]
fn is_unknown(settled: Option<Settled<u32>>) {
    let outcome = settled.map(|settled| settled.outcome);
    assert!(
        matches!(outcome, Some(Err(ClientError::OutcomeUnknown { records: 2, .. }))),
        "{outcome:?}"
    );
}

#[track_caller]
fn is_not_delivered(settled: Option<Settled<u32>>) {
    let outcome = settled.map(|settled| settled.outcome);
    assert!(
        matches!(outcome, Some(Err(ClientError::NotDelivered { records: 2, .. }))),
        "{outcome:?}"
    );
}

#[test]
fn many_batches_are_under_way_at_a_time_and_number_their_records() {
    let mut harness = Harness::new();
    let most = u32::try_from(MAX_SENT).unwrap();
    for batch in 0..most {
        assert_eq!(harness.send(), (0, 2 * batch));
    }
    assert_eq!(harness.lane.room(harness.fresh), 0);
    harness.acknowledge();
    assert_eq!(harness.send(), (0, 2 * most));
}

#[test]
fn nothing_new_is_sent_behind_what_is_in_doubt_lest_the_log_forget_it() {
    let mut harness = Harness::with_under_way(3);
    assert!(harness.answer(refused(Reason::RequestTimedOut)).is_none());
    harness.acknowledge();
    harness.acknowledge();
    assert_eq!(harness.send_again(10), Some((0, 0)));
    assert_eq!(harness.lane.room(harness.fresh), 0);
    harness.acknowledge();
    assert_eq!(harness.send(), (0, 6));
}

#[test]
fn nothing_goes_by_another_stream_before_all_is_answered_that_went_by_one() {
    let mut harness = Harness::with_under_way(2);
    assert!(harness.lane.takes(0));
    assert!(!harness.lane.takes(1));
    harness.acknowledge();
    assert!(!harness.lane.takes(1));
    assert!(harness.lane.takes(0), "more may go by the same one");
    harness.acknowledge();
    assert!(harness.lane.takes(1));
    harness.send();
    assert!(!harness.lane.takes(0));
}

#[test]
fn a_batch_that_was_refused_beside_others_is_sent_again_by_itself_at_once() {
    let mut harness = Harness::with_under_way(2);
    let beside = || Err(Failure::Beside(error(Reason::MessageTooLarge)));
    assert!(harness.answer(beside()).is_none());
    assert!(harness.answer(beside()).is_none());
    assert_eq!(harness.send_again(0), Some((0, 0)));
    assert!(harness.answer(refused(Reason::MessageTooLarge)).is_some(), "it is at fault");
    assert_eq!(harness.send_again(0), Some((1, 0)), "and this one is not");
    harness.acknowledge();
    assert_eq!(harness.send(), (1, 2));
}

#[test]
fn nothing_is_sent_before_there_is_an_id() {
    let mut harness = Harness { fresh: None, ..Harness::new() };
    assert_eq!(harness.lane.room(None), 0);
    assert!(harness.lane.needs_id(None));
    harness.fresh = Some(ID);
    assert!(!harness.lane.needs_id(harness.fresh));
    assert_eq!(harness.send(), (0, 0));
}

#[test]
fn after_a_failure_all_are_sent_again_one_by_one_and_as_they_were() {
    let mut harness = Harness::with_under_way(3);
    assert!(harness.answer(lost()).is_none());
    assert_eq!(harness.lane.room(harness.fresh), 0, "nothing new overtakes it");
    assert_eq!(harness.send_again(10), None, "others are under way");
    for _ in 0..2 {
        assert!(harness.answer(refused(Reason::OutOfOrderSequenceNumber)).is_none());
    }
    for sequence in [0, 2, 4] {
        assert_eq!(harness.send_again(10), Some((0, sequence)));
        assert_eq!(harness.send_again(10), None);
        harness.acknowledge();
    }
    assert_eq!(harness.send(), (0, 6));
}

#[test]
fn a_failure_is_given_time_to_pass() {
    let mut harness = Harness::with_under_way(1);
    harness.answer(refused(Reason::Busy));
    assert_eq!(harness.lane.wakeup(harness.fresh), Some(Duration::from_millis(25)));
    assert_eq!(harness.send_again(0), None);
    assert_eq!(harness.send_again(1), Some((0, 0)));
}

#[test]
fn an_answer_of_an_attempt_that_was_given_up_is_nobodys() {
    let mut harness = Harness::with_under_way(1);
    let number = harness.under_way[0];
    harness.answer(lost());
    harness.send_again(10).unwrap();
    let late = harness.lane.answered(number, Ok(Some(Offset::ZERO)), at(10));
    assert!(matches!(late, Answered::Stale), "{late:?}");
}

#[test]
fn behind_a_batch_that_is_refused_for_good_begins_a_new_epoch() {
    let mut harness = Harness::with_under_way(3);
    is_not_delivered(harness.answer(refused(Reason::MessageTooLarge)));
    for _ in 0..2 {
        assert!(harness.answer(refused(Reason::UnknownProducerId)).is_none());
    }
    assert_eq!(harness.send_again(10), Some((1, 0)));
    harness.acknowledge();
    assert_eq!(harness.send_again(10), Some((1, 2)));
    harness.acknowledge();
    assert_eq!(harness.send(), (1, 4));
}

#[test]
fn a_batch_refused_for_good_in_the_middle_leaves_those_before_it_alone() {
    let mut harness = Harness::with_under_way(3);
    harness.under_way.rotate_left(1);
    is_not_delivered(harness.answer(refused(Reason::MessageTooLarge)));
    harness.under_way.rotate_left(1);
    assert!(harness.answer(lost()).is_none());
    assert!(harness.answer(refused(Reason::OutOfOrderSequenceNumber)).is_none());
    assert_eq!(harness.send_again(10), Some((0, 0)));
    harness.acknowledge();
    assert_eq!(harness.send_again(10), Some((1, 0)));
}

#[test]
fn a_doubt_that_outlasts_the_delivery_timeout_is_told() {
    let mut harness = Harness::with_under_way(1);
    harness.answer(lost());
    assert!(harness.lane.expire(at(119).now).is_empty());
    let expired = harness.lane.expire(at(120).now);
    is_unknown(expired.into_iter().next());
    assert_eq!(harness.send(), (1, 0), "what comes next can not be overtaken by it any more");
}

#[test]
fn what_was_only_refused_is_certainly_not_in_the_log() {
    let mut harness = Harness::with_under_way(1);
    harness.answer(refused(Reason::NotLeaderOrFollower));
    is_not_delivered(harness.lane.expire(at(120).now).into_iter().next());
}

#[test]
fn a_log_is_asked_about_a_doubt_for_no_longer_than_it_remembers() {
    let mut harness = Harness::new();
    harness.lane.settings.delivery_timeout = Duration::MAX;
    harness.send();
    harness.answer(lost());
    assert!(harness.lane.expire(at(15 * 60 - 1).now).is_empty());
    is_unknown(harness.lane.expire(at(15 * 60).now).into_iter().next());
}

/// Three batches in doubt, the first of which has been given up.
fn doubtful() -> Harness {
    let mut harness = Harness::with_under_way(3);
    harness.lane.sent[0].sealed.opened = Duration::ZERO;
    harness.lane.sent[1].sealed.opened = Duration::from_mins(1);
    harness.lane.sent[2].sealed.opened = Duration::from_mins(1);
    for _ in 0..3 {
        assert!(harness.answer(lost()).is_none());
    }
    is_unknown(harness.lane.expire(at(120).now).into_iter().next());
    harness
}

#[test]
fn those_in_doubt_behind_one_that_was_given_up_are_asked_for_as_they_were() {
    let mut harness = doubtful();
    for sequence in [2, 4] {
        assert_eq!(harness.send_again(130), Some((0, sequence)));
        harness.acknowledge();
    }
    assert_eq!(harness.send(), (1, 0));
}

#[test]
fn those_in_doubt_that_the_log_refuses_are_given_up_too() {
    let mut harness = doubtful();
    for sequence in [2, 4] {
        assert_eq!(harness.send_again(130), Some((0, sequence)));
        is_unknown(harness.answer(refused(Reason::OutOfOrderSequenceNumber)));
    }
    assert_eq!(harness.send(), (1, 0));
}

#[test]
fn the_first_one_not_in_doubt_takes_those_behind_it_into_a_new_epoch() {
    let mut harness = Harness::with_under_way(3);
    is_not_delivered(harness.answer(refused(Reason::InvalidRecord)));
    assert!(harness.answer(refused(Reason::OutOfOrderSequenceNumber)).is_none());
    // Whatever became of its answer: without the one before it, it was refused.
    assert!(harness.answer(lost()).is_none());
    assert_eq!(harness.send_again(10), Some((1, 0)));
    harness.acknowledge();
    assert_eq!(harness.send_again(10), Some((1, 2)));
}

#[test]
fn a_log_that_has_lost_what_it_acknowledged_gets_the_rest_in_a_new_epoch() {
    let mut harness = Harness::with_under_way(2);
    harness.acknowledge();
    assert!(harness.answer(refused(Reason::OutOfOrderSequenceNumber)).is_none());
    assert_eq!(harness.send_again(10), Some((1, 0)));
}

#[test]
fn a_log_that_forgot_the_producer_gets_no_second_copy_of_what_is_in_doubt() {
    let mut harness = Harness::with_under_way(2);
    harness.acknowledge();
    harness.answer(lost());
    assert_eq!(harness.send_again(10), Some((0, 2)));
    is_unknown(harness.answer(refused(Reason::UnknownProducerId)));
}

#[test]
fn whoever_shares_its_id_with_another_gets_one_of_its_own() {
    let mut harness = Harness::with_under_way(1);
    assert!(harness.answer(refused(Reason::InvalidProducerEpoch)).is_none());
    assert_eq!(harness.send_again(10), None);
    assert!(harness.lane.needs_id(harness.fresh));
    harness.fresh = Some(ProducerId::new(8));
    assert_eq!(harness.send_again(10), Some((0, 0)));
    assert_eq!(harness.lane.life.map(|life| life.id), harness.fresh);
}

#[test]
fn an_id_whose_epochs_are_used_up_is_replaced() {
    let mut harness = Harness::with_under_way(1);
    harness.acknowledge();
    harness.lane.life.as_mut().unwrap().epoch = ProducerEpoch::MAX;
    harness.send();
    is_not_delivered(harness.answer(refused(Reason::MessageTooLarge)));
    assert_eq!(harness.lane.room(harness.fresh), 0);
    assert!(harness.lane.needs_id(harness.fresh));
    harness.fresh = Some(ProducerId::new(8));
    assert_eq!(harness.send(), (0, 0));
}

#[test]
fn retries_are_counted() {
    let mut harness = Harness::new();
    harness.lane.settings.retries = 2;
    harness.send();
    for _ in 0..2 {
        assert!(harness.answer(refused(Reason::Busy)).is_none());
        harness.send_again(10).unwrap();
    }
    is_not_delivered(harness.answer(refused(Reason::Busy)));
}

#[test]
fn whoever_is_abandoned_is_told_what_is_known() {
    let mut harness = Harness::with_under_way(3);
    harness.acknowledge();
    harness.answer(refused(Reason::Busy));
    let told = harness.lane.abandon(&ClientError::Closed);
    let [refused, under_way] = <[_; 2]>::try_from(told).unwrap();
    is_not_delivered(Some(refused));
    is_unknown(Some(under_way));
}

#[test]
fn without_tracking_one_batch_is_under_way_and_a_doubt_is_told() {
    let mut harness = Harness::new();
    harness.lane = lane(Tracking::Untracked(RetryUnknownOutcome::Never));
    let untracked = pending(0, 2, Duration::ZERO);
    let Dispatch { number, batch, .. } =
        harness.lane.send(untracked, None, Duration::ZERO).unwrap();
    assert_eq!(producer(&batch), None);
    assert_eq!(harness.lane.room(None), 0);
    harness.under_way.push_back(number);
    is_unknown(harness.answer(lost()));
    assert_eq!(harness.lane.room(None), 1);
}

#[test]
fn without_tracking_a_doubt_is_sent_again_if_doubles_do_no_harm() {
    let mut harness = Harness::new();
    harness.lane = lane(Tracking::Untracked(RetryUnknownOutcome::MayDouble));
    let untracked = pending(0, 2, Duration::ZERO);
    let Dispatch { number, .. } = harness.lane.send(untracked, None, Duration::ZERO).unwrap();
    harness.under_way.push_back(number);
    assert!(harness.answer(lost()).is_none());
    assert!(harness.lane.send_again(None, at(10).now).is_some());
}
