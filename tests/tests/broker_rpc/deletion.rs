//! `DeleteRecords`: what goes, what stays, and what both sides hear of it.

use std::time::Duration;

use client::{Client, ClientConfig, DeleteBefore, OffsetAt};
use types::{Code, Coded as _, Offset, PartitionId, TopicName, TopicPartition};
use wire::v1::broker::delete_records_partition::Before;
use wire::v1::broker::{
    Acks, CreateTopicsRequest, DeleteRecordsPartition, DeleteRecordsRequest, DeletedRecords,
    DescribeTopicsRequest, NewTopic,
};

use crate::cluster::{Broker, Cluster, reason, records, segments};

fn asked(topic: &str, partition: u32, before: Option<Before>) -> DeleteRecordsPartition {
    DeleteRecordsPartition { topic: topic.to_owned(), partition, before }
}

async fn delete(
    broker: &mut Broker,
    partitions: Vec<DeleteRecordsPartition>,
) -> Vec<DeletedRecords> {
    let request = DeleteRecordsRequest { partitions };
    broker.data.delete_records(request).await.unwrap().into_inner().partitions
}

async fn delete_in_t(broker: &mut Broker, before: Before) -> DeletedRecords {
    delete(broker, vec![asked("t", 0, Some(before))]).await.pop().unwrap()
}

#[tokio::test]
async fn records_before_the_offset_are_gone_and_the_others_are_where_they_were() {
    let cluster = Cluster::start();
    let config = cluster.broker_config(1);
    let mut broker = Broker::start(config.clone()).await;
    for value in ["a", "b", "c"] {
        broker.produce("t", Acks::All, &[value]).await;
    }
    let deleted = delete_in_t(&mut broker, Before::Offset(2)).await;
    assert_eq!((deleted.error, deleted.low_watermark), (None, 2));

    let below = broker.fetch("t", 1, Duration::ZERO).await;
    assert_eq!(reason(below.error.as_ref()), "OFFSET_OUT_OF_RANGE");
    assert_eq!((below.log_start_offset, below.high_watermark), (2, 3));
    let left = broker.fetch("t", 2, Duration::ZERO).await;
    assert_eq!(records(&left.batches), [(2, "c".to_owned())]);

    // An earlier offset brings nothing back.
    assert_eq!(delete_in_t(&mut broker, Before::Offset(1)).await.low_watermark, 2);
    broker.stop().await;
    let mut broker = Broker::start(config).await;
    let again = broker.fetch("t", 0, Duration::ZERO).await;
    assert_eq!((again.log_start_offset, again.high_watermark), (2, 3));
}

#[tokio::test]
async fn a_partition_that_was_emptied_has_no_files_and_goes_on_with_the_next_offset() {
    let cluster = Cluster::start();
    let config = cluster.broker_config(1);
    let mut broker = Broker::start(config.clone()).await;
    broker.produce("t", Acks::All, &["a", "b"]).await;
    assert_eq!(delete_in_t(&mut broker, Before::HighWatermark(true)).await.low_watermark, 2);
    assert!(segments(&config.data_dir).is_empty());
    broker.stop().await;
    let mut broker = Broker::start(config).await;
    let produced = broker.produce("t", Acks::All, &["c"]).await;
    assert_eq!((produced.base_offset, produced.log_start_offset), (Some(2), 2));
}

#[tokio::test]
async fn each_partition_of_a_request_has_its_own_outcome() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a", "b"]).await;
    let outcomes = delete(
        &mut broker,
        vec![
            asked("t", 0, Some(Before::Offset(3))),
            asked("t", 7, Some(Before::Offset(0))),
            asked("nowhere", 0, Some(Before::HighWatermark(true))),
            asked("t", 0, Some(Before::Offset(1))),
        ],
    )
    .await;
    assert_eq!(reason(outcomes[0].error.as_ref()), "OFFSET_OUT_OF_RANGE");
    let message = &outcomes[0].error.as_ref().unwrap().message;
    assert!(message.contains("offset 3 of t-0") && message.contains("up to 2"), "{message}");
    assert_eq!(reason(outcomes[1].error.as_ref()), "UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(reason(outcomes[2].error.as_ref()), "UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!((outcomes[3].error.as_ref(), outcomes[3].low_watermark), (None, 1));
}

#[tokio::test]
async fn a_request_that_could_be_misunderstood_deletes_nothing() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a"]).await;
    for unclear in [None, Some(Before::HighWatermark(false))] {
        let request = DeleteRecordsRequest {
            partitions: vec![asked("t", 0, Some(Before::Offset(1))), asked("t", 0, unclear)],
        };
        let status = broker.data.delete_records(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    }
    broker.produce("__internal", Acks::All, &["a"]).await;
    let internal = asked("__internal", 0, Some(Before::HighWatermark(true)));
    let refused = delete(&mut broker, vec![internal]).await;
    assert_eq!(reason(refused[0].error.as_ref()), "INVALID_TOPIC_EXCEPTION");
    for topic in ["t", "__internal"] {
        assert_eq!(broker.fetch(topic, 0, Duration::ZERO).await.log_start_offset, 0);
    }
}

/// Two brokers that lead partitions of one topic, with a record in each partition.
async fn two_brokers(cluster: &Cluster) -> (Broker, Broker, Vec<TopicPartition>) {
    let mut first = cluster.broker(1).await;
    let mut second = cluster.broker(2).await;
    let topic = NewTopic { name: "t".to_owned(), partitions: 4, ..NewTopic::default() };
    let request = CreateTopicsRequest { topics: vec![topic], validate_only: false };
    first.admin.create_topics(request).await.unwrap();
    let request = DescribeTopicsRequest { topics: vec!["t".to_owned()], create_missing: false };
    let described = first.data.describe_topics(request).await.unwrap().into_inner();
    let partitions = &described.topics[0].topic.as_ref().unwrap().partitions;
    for leader in [1, 2] {
        assert!(partitions.iter().any(|partition| partition.leader == Some(leader)));
    }
    // The other one hears of it a moment later.
    let known = async |broker: &mut Broker| {
        let topics = vec!["t".to_owned()];
        let request = DescribeTopicsRequest { topics, create_missing: false };
        broker.data.describe_topics(request).await.unwrap().into_inner().topics[0].error.is_none()
    };
    while !known(&mut second).await {
        tokio::task::yield_now().await;
    }
    let name = TopicName::new("t").unwrap();
    let of = |partition: u32| TopicPartition::new(name.clone(), PartitionId::new(partition));
    (first, second, (0..4).map(of).collect())
}

#[tokio::test]
async fn a_client_asks_each_leader_for_its_own_partitions() {
    let cluster = Cluster::start();
    let (mut first, _second, partitions) = two_brokers(&cluster).await;
    let request = wire::v1::broker::DescribeClusterRequest {};
    let brokers = first.data.describe_cluster(request).await.unwrap().into_inner().brokers;
    let endpoint = brokers[0].endpoint.clone().unwrap();
    let bootstrap = [format!("{}:{}", endpoint.host, endpoint.port)];
    let client = Client::connect(ClientConfig::new(bootstrap)).await.unwrap();
    let producer = client.producer(client::ProducerConfig::default()).unwrap();
    for of in &partitions {
        let record = client::ProducerRecord::new(of.topic.clone(), "a");
        let record = client::ProducerRecord { partition: Some(of.partition), ..record };
        producer.send(record).await.unwrap().await.unwrap();
    }

    let before: Vec<_> =
        partitions.iter().map(|of| (of.clone(), DeleteBefore::HighWatermark)).collect();
    let deleted = client.admin().delete_records(&before).await.unwrap();
    let expected: Vec<_> = partitions.iter().map(|of| (of.clone(), Ok(Offset::new(1)))).collect();
    assert_eq!(deleted, expected);

    let starts: Vec<_> = partitions.iter().map(|of| (of.clone(), OffsetAt::Earliest)).collect();
    let listed = client.admin().list_offsets(&starts).await.unwrap();
    for (of, (found, listed)) in partitions.iter().zip(listed) {
        assert_eq!((&found, listed.unwrap().offset), (of, Some(Offset::new(1))));
    }
    let unknown = TopicPartition::new(partitions[0].topic.clone(), PartitionId::new(9));
    let refused = [(unknown, DeleteBefore::Offset(Offset::new(1)))];
    let (_, refused) = client.admin().delete_records(&refused).await.unwrap().pop().unwrap();
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_broker_that_leads_none_of_the_partitions_forwards_the_request() {
    let cluster = Cluster::start();
    let (mut first, mut second, partitions) = two_brokers(&cluster).await;
    for of in partitions {
        let asked = asked("t", of.partition.get(), Some(Before::Offset(0)));
        for broker in [&mut first, &mut second] {
            let outcomes = delete(broker, vec![asked.clone()]).await;
            assert_eq!(outcomes[0].error, None);
        }
    }
}
