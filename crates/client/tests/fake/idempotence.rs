//! Idempotent producers against a broker that loses, repeats and delays: once, and in order.

use std::time::Duration;

use client::{Acks, ClientError, Idempotence, ProducerConfig, ProducerRecord};
use types::{Coded, PartitionId, Reason};

use crate::broker::{FakeBroker, Produce};
use crate::producing::{numbers, send, start};
use crate::{connect, topic};

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_nothing_is_doubled() {
    for fault in [
        Produce::AppendAndBreakOff,
        Produce::AppendAndTimeOut,
        Produce::AppendAndAnswerTwice,
        Produce::BreakOff,
        Produce::BreakOffAndAppendLater,
    ] {
        let (broker, client) = start(&[Produce::Append, fault]).await;
        let producer = client.producer(ProducerConfig::default()).unwrap();
        for (offset, value) in (0..).zip(["first", "once", "last"]) {
            let delivered = send(&producer, value).await.await.unwrap();
            assert_eq!(delivered.offset.unwrap().get(), offset, "{fault:?}");
        }
        assert_eq!(broker.values(0), ["first", "once", "last"], "{fault:?}");
    }
}

#[tokio::test]
async fn several_batches_of_a_partition_are_under_way_and_stay_in_order() {
    // The second answer comes only when the first has been asked for again.
    let (broker, client) = start(&[Produce::Refuse(Reason::Busy)]).await;
    let config = ProducerConfig { batch_bytes: 100, ..ProducerConfig::default() };
    let producer = client.producer(config).unwrap();
    let mut deliveries = Vec::new();
    for value in numbers(40) {
        deliveries.push(send(&producer, &value).await);
    }
    for (expected, delivery) in (0..).zip(deliveries) {
        assert_eq!(delivery.await.unwrap().offset.unwrap().get(), expected);
    }
    assert_eq!(broker.values(0), numbers(40));
    assert!(20 < broker.batch_sizes(0).len(), "they were many batches");
}

/// Faults, drawn by a fixed rule from a seed.
fn faults(seed: u64) -> Vec<Produce> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 32
    };
    let faulty = [
        Produce::AppendAndBreakOff,
        Produce::AppendAndTimeOut,
        Produce::AppendAndAnswerTwice,
        Produce::BreakOff,
        Produce::BreakOffAndAppendLater,
        Produce::Refuse(Reason::Busy),
        Produce::Refuse(Reason::NotLeaderOrFollower),
        Produce::ShutDown,
    ];
    let mut fault = || {
        let index = usize::try_from(draw() % (3 * faulty.len() as u64)).unwrap();
        faulty.get(index).copied().unwrap_or(Produce::Append)
    };
    (0..60).map(|_| fault()).collect()
}

async fn every_record_once_and_in_order(seed: u64) {
    const RECORDS: usize = 120;
    const PARTITIONS: u32 = 2;
    let broker = FakeBroker::start(PARTITIONS as usize).await;
    broker.next_produces(faults(seed));
    let client = connect(&broker).await;
    let config = ProducerConfig { batch_bytes: 150, ..ProducerConfig::default() };
    let producer = client.producer(config).unwrap();
    let mut deliveries = Vec::new();
    for number in 0..RECORDS {
        for partition in 0..PARTITIONS {
            let partition = Some(PartitionId::new(partition));
            let record =
                ProducerRecord { partition, ..ProducerRecord::new(topic(), number.to_string()) };
            deliveries.push((number, producer.send(record).await.unwrap()));
        }
    }
    for (number, delivery) in deliveries {
        let delivered = delivery.await;
        let offset = delivered.map(|it| it.offset.map(types::Offset::get));
        assert_eq!(offset, Ok(Some(number as u64)), "seed {seed}");
    }
    for partition in 0..PARTITIONS {
        assert_eq!(broker.values(partition as usize), numbers(RECORDS), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_network_does_every_record_is_there_once_and_in_order() {
    let runs = (0..24).map(|seed| tokio::spawn(every_record_once_and_in_order(seed)));
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_refused_for_good_leaves_no_gap_that_stops_the_rest() {
    let (broker, client) = start(&[]).await;
    broker.refuse_value("1");
    let config = ProducerConfig { batch_bytes: 1, ..ProducerConfig::default() };
    let producer = client.producer(config).unwrap();
    let mut deliveries = Vec::new();
    for value in numbers(10) {
        deliveries.push(send(&producer, &value).await);
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        match delivery.await {
            Ok(_) => assert_ne!(number, 1),
            Err(error) => {
                assert_eq!(number, 1);
                assert_eq!(error.reason(), Reason::InvalidRecord);
            }
        }
    }
    let mut expected = numbers(10);
    expected.remove(1);
    assert_eq!(broker.values(0), expected);
}

#[tokio::test]
async fn a_doubt_that_lasts_is_told_and_what_follows_cannot_be_overtaken_by_it() {
    let (broker, client) = start(&[Produce::Append]).await;
    let config = ProducerConfig {
        delivery_timeout: Duration::from_millis(300),
        ..ProducerConfig::default()
    };
    let producer = client.producer(config).unwrap();
    send(&producer, "first").await.await.unwrap();
    // One attempt is still on its way while all others are refused.
    let refusals = [Produce::Refuse(Reason::NotLeaderOrFollower); 100];
    broker.next_produces([Produce::BreakOffAndAppendLater].into_iter().chain(refusals));
    let unknown = send(&producer, "unknown").await.await.unwrap_err();
    assert!(matches!(unknown, ClientError::OutcomeUnknown { records: 1, .. }), "{unknown:?}");
    broker.forget_orders();
    send(&producer, "next").await.await.unwrap();
    // The straggler came behind it, and was refused.
    assert_eq!(broker.values(0), ["first", "next"]);
    send(&producer, "last").await.await.unwrap();
    assert_eq!(broker.values(0), ["first", "next", "last"]);
}

#[tokio::test]
async fn a_log_that_lost_everything_gets_what_comes_next() {
    let (broker, client) = start(&[]).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    send(&producer, "lost").await.await.unwrap();
    broker.lose_all(0);
    send(&producer, "next").await.await.unwrap();
    assert_eq!(broker.values(0), ["next"]);
}

#[tokio::test]
async fn a_producer_waits_for_its_id_and_asks_for_one() {
    let (broker, client) = start(&[]).await;
    broker.give_no_producer_id_for(3);
    let producer = client.producer(ProducerConfig::default()).unwrap();
    for value in numbers(3) {
        send(&producer, &value).await.await.unwrap();
    }
    assert_eq!(broker.producer_ids_given(), 1);
}

#[tokio::test]
async fn without_an_id_nothing_is_sent_and_the_reason_is_told() {
    let (broker, client) = start(&[]).await;
    broker.give_no_producer_id_for(usize::MAX);
    let config = ProducerConfig {
        delivery_timeout: Duration::from_millis(200),
        ..ProducerConfig::default()
    };
    let producer = client.producer(config).unwrap();
    let refused = send(&producer, "value").await.await.unwrap_err();
    assert!(matches!(refused, ClientError::NotDelivered { records: 1, .. }), "{refused:?}");
    assert_eq!(refused.reason(), Reason::CoordinatorNotAvailable);
    assert_eq!(broker.values(0), Vec::<String>::new());
}

#[tokio::test]
async fn acks_other_than_all_turn_idempotence_off_unless_it_is_required() {
    let (broker, client) = start(&[]).await;
    for acks in [Acks::Leader, Acks::None] {
        let config = ProducerConfig { acks, ..ProducerConfig::default() };
        let producer = client.producer(config.clone()).unwrap();
        send(&producer, "value").await.await.unwrap();
        let required = ProducerConfig { idempotence: Idempotence::Required, ..config };
        let refused = client.producer(required).unwrap_err();
        assert!(matches!(refused, ClientError::InvalidConfig { setting: "acks", .. }));
    }
    assert_eq!(broker.producer_ids_given(), 0);
}
