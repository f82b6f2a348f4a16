use std::time::Duration;

use client::{
    Client, ClientError, ConsumerConfig, Delivery, Idempotence, Producer, ProducerConfig,
    ProducerRecord, RetryUnknownOutcome, StartAt,
};
use record::Compression;
use types::{Code, Coded, PartitionId, Reason};

use crate::broker::{FakeBroker, Produce};
use crate::{connect, partition, topic};

pub(crate) async fn send(producer: &Producer, value: &str) -> Delivery {
    let record = ProducerRecord {
        partition: Some(PartitionId::new(0)),
        ..ProducerRecord::new(topic(), value.to_owned())
    };
    producer.send(record).await.unwrap()
}

pub(crate) async fn start(produces: &[Produce]) -> (FakeBroker, Client) {
    let broker = FakeBroker::start(1).await;
    broker.next_produces(produces.iter().copied());
    let client = connect(&broker).await;
    (broker, client)
}

pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn records_lie_in_the_order_sent_and_deliveries_tell_where() {
    let (broker, client) = start(&[]).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    let mut deliveries = Vec::new();
    for value in numbers(500) {
        deliveries.push(send(&producer, &value).await);
    }
    for (expected, delivery) in (0..).zip(deliveries) {
        let offset = delivery.await.unwrap().offset.unwrap();
        assert_eq!(offset.get(), expected);
    }
    assert_eq!(broker.values(0), numbers(500));
}

#[tokio::test]
async fn many_answers_at_once_are_all_heard() {
    let broker = FakeBroker::start(200).await;
    broker.next_produces([Produce::AppendOnceTold]);
    let client = connect(&broker).await;
    // An answer that nobody hears would be a failure then.
    let config = ProducerConfig { retries: 0, ..ProducerConfig::default() };
    let producer = client.producer(config).unwrap();
    let mut deliveries = Vec::new();
    for number in 0..200 {
        let record = ProducerRecord {
            partition: Some(PartitionId::new(number)),
            ..ProducerRecord::new(topic(), "x".to_owned())
        };
        deliveries.push(producer.send(record).await.unwrap());
    }
    let delivered = async {
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        producer.close().await.unwrap();
    };
    tokio::join!(broker.go_on(), delivered);
}

#[tokio::test]
async fn producers_that_share_connections_fail_by_themselves() {
    let (broker, client) = start(&[Produce::BreakOff, Produce::Append, Produce::BreakOff]).await;
    // Wherever this runs, there are fewer connections.
    let producers: Vec<Producer> =
        (0..100).map(|_| client.producer(ProducerConfig::default()).unwrap()).collect();
    let mut deliveries = Vec::new();
    for round in numbers(5) {
        for (number, producer) in producers.iter().enumerate() {
            deliveries.push(send(producer, &format!("{number} {round}")).await);
        }
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let values = broker.values(0);
    assert_eq!(values.len(), 500);
    for number in 0..100 {
        let sent = format!("{number} ");
        let of_producer = values.iter().filter_map(|value| value.strip_prefix(&sent));
        assert_eq!(of_producer.collect::<Vec<_>>(), numbers(5));
    }
}

#[tokio::test]
async fn what_a_broker_refuses_for_a_moment_is_sent_again_in_order() {
    let refusals = [Reason::NotLeaderOrFollower, Reason::Busy, Reason::LeaderNotAvailable];
    let (broker, client) = start(&refusals.map(Produce::Refuse)).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    for value in numbers(50) {
        drop(send(&producer, &value).await);
    }
    producer.close().await.unwrap();
    assert_eq!(broker.values(0), numbers(50));
}

#[tokio::test]
async fn what_a_broker_refuses_for_good_is_told_and_the_rest_goes_on() {
    let (broker, client) = start(&[Produce::Refuse(Reason::MessageTooLarge)]).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    let refused = send(&producer, "refused").await.await.unwrap_err();
    assert!(matches!(refused, ClientError::NotDelivered { records: 1, .. }), "{refused:?}");
    assert_eq!(refused.reason(), Reason::MessageTooLarge);
    send(&producer, "taken").await.await.unwrap();
    assert_eq!(broker.values(0), ["taken"]);
}

#[tokio::test]
async fn without_idempotence_a_lost_answer_is_told_and_nothing_is_doubled() {
    let (broker, client) = start(&[Produce::AppendAndBreakOff]).await;
    let config = ProducerConfig { idempotence: Idempotence::Off, ..ProducerConfig::default() };
    let producer = client.producer(config).unwrap();
    let unknown = send(&producer, "once").await.await.unwrap_err();
    assert!(matches!(unknown, ClientError::OutcomeUnknown { records: 1, .. }), "{unknown:?}");
    assert_eq!(unknown.code(), Code::Timeout);
    send(&producer, "next").await.await.unwrap();
    assert_eq!(broker.values(0), ["once", "next"]);
}

#[tokio::test]
async fn a_failure_that_nobody_awaited_shows_in_the_flush_and_one_that_was_told_does_not() {
    let refused = Produce::Refuse(Reason::InvalidRecord);
    let (_broker, client) = start(&[refused, refused]).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    assert!(send(&producer, "told").await.await.is_err());
    assert_eq!(producer.flush().await, Ok(()));
    drop(send(&producer, "untold").await);
    let error = producer.flush().await.unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidRecord);
    assert_eq!(producer.close().await, Ok(()));
}

#[tokio::test]
async fn whoever_allows_doubles_gets_a_delivery() {
    let (broker, client) = start(&[Produce::AppendAndBreakOff]).await;
    let producer = client.producer(ProducerConfig {
        idempotence: Idempotence::Off,
        retry_unknown_outcome: RetryUnknownOutcome::MayDouble,
        ..ProducerConfig::default()
    });
    send(&producer.unwrap(), "twice").await.await.unwrap();
    assert_eq!(broker.values(0), ["twice", "twice"]);
}

#[tokio::test]
async fn a_broker_that_shuts_down_has_not_looked_at_what_it_leaves_unanswered() {
    let (broker, client) = start(&[Produce::ShutDown]).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    send(&producer, "once").await.await.unwrap();
    assert_eq!(broker.values(0), ["once"]);
}

#[tokio::test]
async fn batches_stay_below_what_the_topic_allows() {
    let (broker, client) = start(&[]).await;
    broker.configure("max.message.bytes", "500");
    let producer = client.producer(ProducerConfig::default()).unwrap();
    for value in numbers(200) {
        drop(send(&producer, &value).await);
    }
    producer.close().await.unwrap();
    assert_eq!(broker.values(0), numbers(200));
    let sizes = broker.batch_sizes(0);
    assert!(sizes.iter().all(|size| *size <= 500), "{sizes:?}");
}

#[tokio::test]
async fn a_topic_whose_limit_was_lowered_gets_smaller_batches_once_it_has_refused_one() {
    let (broker, client) = start(&[]).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    send(&producer, "before").await.await.unwrap();
    broker.configure("max.message.bytes", "500");
    broker.next_produces([Produce::Refuse(Reason::MessageTooLarge)]);
    let refused = send(&producer, "refused").await.await.unwrap_err();
    assert!(matches!(refused, ClientError::NotDelivered { records: 1, .. }), "{refused:?}");
    assert_eq!(refused.reason(), Reason::MessageTooLarge);

    // It asks for the limit when it is refused, and knows it soon, if not by the next batch.
    let mut seen = broker.batch_sizes(0).len();
    for round in 0.. {
        for value in numbers(200) {
            drop(send(&producer, &value).await);
        }
        producer.flush().await.unwrap();
        let sizes = broker.batch_sizes(0).split_off(seen);
        if sizes.iter().all(|size| *size <= 500) {
            break;
        }
        assert!(round < 100, "{sizes:?}");
        seen += sizes.len();
    }
}

#[tokio::test]
async fn batches_are_packed_as_configured_and_read_back_by_a_consumer() {
    for compression in Compression::ALL.iter().copied() {
        let (broker, client) = start(&[]).await;
        let config = ProducerConfig { compression, ..ProducerConfig::default() };
        let producer = client.producer(config).unwrap();
        for value in numbers(100) {
            drop(send(&producer, &value).await);
        }
        producer.close().await.unwrap();
        assert!(broker.codecs(0).iter().all(|codec| *codec == compression));

        let mut consumer = client.consumer(ConsumerConfig::default());
        consumer.assign(&[(partition(0), StartAt::Earliest)]).await.unwrap();
        let mut values = Vec::new();
        while values.len() < 100 {
            let batch = consumer.next_batch().await.unwrap().unwrap();
            values.extend(batch.records.into_iter().map(|record| record.value.unwrap()));
        }
        assert_eq!(values, numbers(100), "{compression}");
    }
}

#[tokio::test]
async fn a_full_buffer_is_an_error_rather_than_a_hang() {
    let (_broker, client) = start(&[Produce::AppendAndNeverAnswer; 100]).await;
    let config = ProducerConfig {
        buffer_bytes: 1000,
        batch_bytes: 500,
        max_block: Duration::from_millis(20),
        ..ProducerConfig::default()
    };
    let producer = client.producer(config).unwrap();
    let mut refused = None;
    for _ in 0..100 {
        let record = ProducerRecord::new(topic(), "value");
        match producer.send(record).await {
            Ok(delivery) => drop(delivery),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(ClientError::BufferFull { limit: 1000, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_producer_that_is_dropped_answers_everyone_who_waits() {
    let (_broker, client) = start(&[Produce::AppendAndNeverAnswer]).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    let under_way = send(&producer, "under way").await;
    drop(producer);
    assert!(under_way.await.is_err());
}

#[tokio::test]
async fn a_partition_that_does_not_exist_is_named() {
    let (_broker, client) = start(&[]).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    let record = ProducerRecord {
        partition: Some(PartitionId::new(9)),
        ..ProducerRecord::new(topic(), "value")
    };
    let refused = producer.send(record).await.unwrap_err();
    assert!(matches!(refused, ClientError::UnknownPartition { partitions: 1, .. }), "{refused:?}");
}

#[tokio::test]
async fn records_without_a_key_take_all_partitions() {
    let broker = FakeBroker::start(3).await;
    let client = connect(&broker).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    for value in numbers(9) {
        let delivery = producer.send(ProducerRecord::new(topic(), value)).await.unwrap();
        delivery.await.unwrap();
    }
    assert_eq!([0, 1, 2].map(|partition| broker.values(partition).len()), [3, 3, 3]);
}

#[tokio::test]
async fn a_key_has_one_partition() {
    let broker = FakeBroker::start(3).await;
    let client = connect(&broker).await;
    let producer = client.producer(ProducerConfig::default()).unwrap();
    for value in numbers(20) {
        let record = ProducerRecord::new(topic(), value).with_key("key");
        drop(producer.send(record).await.unwrap());
    }
    producer.close().await.unwrap();
    let home = record::partition_for_key(b"key", 3).unwrap() as usize;
    assert_eq!(broker.values(home), numbers(20));
}

#[tokio::test]
async fn what_was_said_not_to_have_left_does_not_leave_afterwards() {
    const PARTITIONS: u32 = 8;
    let broker = FakeBroker::start(PARTITIONS as usize).await;
    broker.next_produces([Produce::AppendOnceTold]);
    let client = connect(&broker).await;
    let config = ProducerConfig {
        idempotence: Idempotence::Off,
        request_timeout: Duration::from_millis(100),
        ..ProducerConfig::default()
    };
    let producer = client.producer(config).unwrap();
    // More than the connection takes while nobody reads.
    let mut deliveries = Vec::new();
    for partition in 0..PARTITIONS {
        let record = ProducerRecord {
            partition: Some(PartitionId::new(partition)),
            ..ProducerRecord::new(topic(), "v".repeat(1_000_000))
        };
        deliveries.push(producer.send(record).await.unwrap());
    }
    let outcomes = futures::future::join_all(deliveries).await;
    broker.go_on().await;
    for (partition, outcome) in outcomes.iter().enumerate() {
        let found = broker.values(partition).len();
        match outcome {
            Ok(_) => assert_eq!(found, 1, "partition {partition}"),
            Err(ClientError::OutcomeUnknown { .. }) => assert!(found <= 1, "partition {partition}"),
            Err(error) => panic!("{error}"),
        }
    }
    let delivered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(0 < delivered && delivered < outcomes.len(), "some had left, and some had not");
}
