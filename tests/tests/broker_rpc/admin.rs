use std::time::Duration;

use record::Compression;
use wire::v1::broker::{
    Acks, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, NewTopic,
};

use crate::cluster::{Cluster, batch, logs, reason};

#[tokio::test]
async fn a_deleted_topic_leaves_no_log_and_a_new_one_of_its_name_is_empty() {
    let cluster = Cluster::start();
    let config = cluster.broker_config(1);
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a"]).await;
    assert_eq!(logs(&config.data_dir), 1);

    let request = DeleteTopicsRequest { topics: vec!["t".to_owned()] };
    let deleted = broker.admin.delete_topics(request).await.unwrap().into_inner();
    assert_eq!(deleted.topics[0].error, None);
    assert_eq!(logs(&config.data_dir), 0);

    broker.create_topic("t", &[]).await;
    assert_eq!(broker.fetch("t", 0, Duration::ZERO).await.high_watermark, 0);
}

#[tokio::test]
async fn each_topic_of_a_request_has_its_own_outcome() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("there", &[]).await;
    let new = |name: &str, replication_factor| NewTopic {
        name: name.to_owned(),
        replication_factor,
        ..NewTopic::default()
    };
    let topics = vec![new("there", 0), new("fine", 0), new("many", 3)];
    let request = CreateTopicsRequest { topics, validate_only: false };
    let created = broker.admin.create_topics(request).await.unwrap().into_inner().topics;
    assert_eq!(reason(created[0].error.as_ref()), "TOPIC_ALREADY_EXISTS");
    assert_eq!(created[1].error, None);
    assert_eq!(reason(created[2].error.as_ref()), "INVALID_REPLICATION_FACTOR");
}

#[tokio::test]
async fn a_limit_that_is_altered_holds_from_the_answer_on() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[("max.message.bytes", "128")]).await;
    let large = "x".repeat(200);
    let refused = broker.produce("t", Acks::All, &[&large]).await;
    assert_eq!(reason(refused.error.as_ref()), "MESSAGE_TOO_LARGE");

    // It is the size as sent that counts.
    let packed = batch(Compression::Gzip, &[&large]);
    assert!(packed.len() <= 128, "{}", packed.len());
    assert_eq!(broker.produce_batches("t", packed).await.base_offset, Some(0));

    broker.alter_config("t", "max.message.bytes", "1000").await;
    assert_eq!(broker.produce("t", Acks::All, &[&large]).await.base_offset, Some(1));

    let request = DescribeConfigsRequest { topic: "t".to_owned() };
    let described = broker.admin.describe_configs(request).await.unwrap().into_inner().configs;
    let set = described.iter().filter(|config| !config.is_default);
    let set = set.map(|config| (config.name.as_str(), config.value.as_str()));
    assert_eq!(set.collect::<Vec<_>>(), [("max.message.bytes", "1000")]);
}

#[tokio::test]
async fn partitions_that_are_added_are_led_at_once() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.create_topic("t", &[]).await;
    let request = CreatePartitionsRequest { topic: "t".to_owned(), total: 3 };
    broker.admin.create_partitions(request).await.unwrap();
    let asked = |partition| wire::v1::broker::FetchPartition {
        partition,
        ..crate::cluster::partition_at("t", 0)
    };
    let request = wire::v1::broker::FetchRequest {
        partitions: (0..3).map(asked).collect(),
        ..wire::v1::broker::FetchRequest::default()
    };
    let fetched = broker.data.fetch(request).await.unwrap().into_inner().partitions;
    let errors = fetched.into_iter().map(|partition| partition.error).collect::<Vec<_>>();
    assert_eq!(errors, [None, None, None]);
}
