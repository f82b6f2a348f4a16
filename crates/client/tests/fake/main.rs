//! The client's shells against a broker that does as it is told: in process, over real gRPC.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may stop")]

mod broker;
mod consuming;
mod idempotence;
mod log;
mod producing;

use std::time::Duration;

use client::{Client, ClientConfig, ClientError};
use types::{Code, Coded, PartitionId, Reason, TopicName, TopicPartition};

pub(crate) fn topic() -> TopicName {
    TopicName::new("t").unwrap()
}

pub(crate) fn partition(number: u32) -> TopicPartition {
    TopicPartition::new(topic(), PartitionId::new(number))
}

pub(crate) async fn connect(broker: &broker::FakeBroker) -> Client {
    let mut config = ClientConfig::new([broker.address()]);
    config.request_timeout = Duration::from_secs(5);
    Client::connect(config).await.unwrap()
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_told_at_once() {
    let error = Client::connect(ClientConfig::new(["127.0.0.1:1"])).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_broker_that_knows_no_topics_yet_is_waited_for() {
    let broker = broker::FakeBroker::start(1).await;
    let client = connect(&broker).await;
    broker.know_no_topics_for(3);
    assert_eq!(client.topic(&topic()).await.unwrap().partitions.len(), 1);
}

#[tokio::test]
async fn a_broker_that_never_knows_topics_is_given_up() {
    let broker = broker::FakeBroker::start(1).await;
    let mut config = ClientConfig::new([broker.address()]);
    config.request_timeout = Duration::from_millis(200);
    let client = Client::connect(config).await.unwrap();
    broker.know_no_topics_for(usize::MAX);
    let error = client.topic(&topic()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::LeaderNotAvailable);
}

#[tokio::test]
async fn one_bootstrap_broker_that_answers_is_enough() {
    let broker = broker::FakeBroker::start(1).await;
    let config = ClientConfig::new(["127.0.0.1:1".to_owned(), broker.address()]);
    let client = Client::connect(config).await.unwrap();
    assert_eq!(client.topic(&topic()).await.unwrap().partitions.len(), 1);
}
