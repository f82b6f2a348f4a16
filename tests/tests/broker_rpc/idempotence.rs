//! Idempotent producers as any language can be one: an id by one call, numbers in the batches.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use record::{BatchProducer, Compression};
use types::{ProducerEpoch, ProducerId, Sequence};
use wire::v1::broker::{InitProducerIdRequest, InitProducerIdResponse};

use crate::cluster::{Broker, Cluster, batch, batch_builder, reason, records};

const NO_WAIT: Duration = Duration::ZERO;

type Life = (u64, u32);

/// A new producer, or the next life of one.
async fn init(broker: &mut Broker, life: Option<Life>) -> Life {
    let request = InitProducerIdRequest {
        producer_id: life.map(|(id, _)| id),
        producer_epoch: life.map(|(_, epoch)| epoch),
    };
    let answer = broker.data.init_producer_id(request).await.unwrap().into_inner();
    let InitProducerIdResponse { producer_id, producer_epoch } = answer;
    (producer_id, producer_epoch)
}

/// A batch in a producer's name; its first record has this number.
fn numbered((id, epoch): Life, sequence: u32, values: &[&str]) -> Bytes {
    let mut builder = batch_builder(Compression::None, values);
    let producer = BatchProducer {
        id: ProducerId::new(id),
        epoch: ProducerEpoch::new(u16::try_from(epoch).unwrap()).unwrap(),
        base_sequence: Sequence::new(sequence),
    };
    builder.produced_by(producer);
    builder.build().unwrap().bytes().clone()
}

async fn produce(broker: &mut Broker, batches: Bytes) -> Result<u64, String> {
    let answer = broker.produce_batches("t", batches).await;
    match answer.base_offset {
        Some(offset) => Ok(offset),
        None => Err(reason(answer.error.as_ref()).to_owned()),
    }
}

async fn values(broker: &mut Broker) -> Vec<String> {
    let fetched = broker.fetch("t", 0, NO_WAIT).await;
    records(&fetched.batches).into_iter().map(|(_, value)| value).collect()
}

fn refused<T>(reason: &str) -> Result<T, String> {
    Err(reason.to_owned())
}

#[tokio::test]
async fn what_is_sent_again_is_answered_again_and_written_once_also_after_a_restart() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let life = init(&mut broker, None).await;
    let (first, second) = (numbered(life, 0, &["a", "b"]), numbered(life, 2, &["d"]));
    assert_eq!(produce(&mut broker, first.clone()).await, Ok(0));
    assert_eq!(produce(&mut broker, batch(Compression::None, &["c"])).await, Ok(2));
    for _ in 0..2 {
        assert_eq!(produce(&mut broker, first.clone()).await, Ok(0));
        assert_eq!(produce(&mut broker, second.clone()).await, Ok(3));
        assert_eq!(values(&mut broker).await, ["a", "b", "c", "d"]);
        broker.stop().await;
        broker = cluster.broker(1).await;
    }
    broker.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn numbers_are_taken_in_their_turn_and_in_the_latest_epoch_only() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let life = init(&mut broker, None).await;
    let unknown = produce(&mut broker, numbered(life, 1, &["b"])).await;
    assert_eq!(unknown, refused("UNKNOWN_PRODUCER_ID"));
    assert_eq!(produce(&mut broker, numbered(life, 0, &["a"])).await, Ok(0));
    let gap = produce(&mut broker, numbered(life, 2, &["c"])).await;
    assert_eq!(gap, refused("OUT_OF_ORDER_SEQUENCE_NUMBER"));

    let next = init(&mut broker, Some(life)).await;
    assert_eq!(next, (life.0, life.1 + 1));
    assert_eq!(produce(&mut broker, numbered(next, 0, &["b"])).await, Ok(1));
    let fenced = produce(&mut broker, numbered(life, 1, &["b"])).await;
    assert_eq!(fenced, refused("INVALID_PRODUCER_EPOCH"));
    assert_eq!(values(&mut broker).await, ["a", "b"]);
    let last = init(&mut broker, Some((life.0, 32_767))).await;
    assert!(last.0 != life.0 && last.1 == 0, "its epochs are used up: {last:?}");
}

#[tokio::test]
async fn batches_of_no_producer_are_taken_as_they_come() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    for offset in 0..3 {
        assert_eq!(produce(&mut broker, batch(Compression::None, &["a"])).await, Ok(offset));
    }
}

#[tokio::test]
async fn no_producer_id_is_given_out_twice_by_any_broker_in_any_of_its_lives() {
    let mut cluster = Cluster::start();
    let mut given = BTreeSet::new();
    for life in 0..3 {
        let (mut one, mut other) = (cluster.broker(1).await, cluster.broker(2).await);
        // More than a block of each.
        for _ in 0..600 + 200 * life {
            for broker in [&mut one, &mut other] {
                let (id, epoch) = init(broker, None).await;
                assert_eq!(epoch, 0);
                assert!(given.insert(id), "{id} was given before");
            }
        }
        one.stop().await;
        other.stop().await;
        cluster = cluster.restart_coordinator().await;
    }
}
