//! Restarts, two brokers, and brokers that must not be.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::v1::broker::Acks;
use wire::v1::broker::{DescribeClusterRequest, DescribeTopicsRequest};

use crate::cluster::{Broker, Cluster, PATIENCE, records, segments};

#[tokio::test]
async fn a_restart_keeps_records_and_goes_on_with_the_next_offset() {
    let cluster = Cluster::start();
    let config = cluster.broker_config(1);
    let mut broker = Broker::start(config.clone()).await;
    broker.produce("t", Acks::All, &["a", "b"]).await;
    broker.stop().await;

    let mut broker = Broker::start(config).await;
    let fetched = broker.fetch("t", 0, Duration::ZERO).await;
    assert_eq!(records(&fetched.batches), [(0, "a".to_owned()), (1, "b".to_owned())]);
    let produced = broker.produce("t", Acks::All, &["c"]).await;
    assert_eq!((produced.error, produced.base_offset), (None, Some(2)));
    broker.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_new_life_leads_in_a_new_epoch() {
    let cluster = Cluster::start();
    let config = cluster.broker_config(1);
    let mut broker = Broker::start(config.clone()).await;
    broker.produce("t", Acks::All, &["a"]).await;
    let before = broker.fetch("t", 0, Duration::ZERO).await.leader_epoch;
    broker.stop().await;
    let mut broker = Broker::start(config).await;
    let after = broker.fetch("t", 0, Duration::ZERO).await.leader_epoch;
    assert!(before < after, "{before} {after}");
}

#[tokio::test]
async fn two_brokers_cannot_share_a_directory() {
    let cluster = Cluster::start();
    let config = cluster.broker_config(1);
    let _first = Broker::start(config.clone()).await;
    let error = config.build().await.unwrap_err().to_string();
    assert!(error.contains("is in use by"), "{error}");
}

#[tokio::test]
async fn two_live_brokers_cannot_share_an_id() {
    let cluster = Cluster::start();
    let _first = cluster.broker(1).await;
    let data_dir = cluster.dir.path().join("elsewhere");
    let second = broker::Config { data_dir, ..cluster.broker_config(1) };
    let run = second.build().await.unwrap().run(CancellationToken::new());
    let error = timeout(PATIENCE, run).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("broker 1 is alive"), "{error}");
}

#[tokio::test]
async fn a_directory_of_another_cluster_is_refused() {
    let (cluster, other) = (Cluster::start(), Cluster::start());
    let config = cluster.broker_config(1);
    Broker::start(config.clone()).await.stop().await;
    let coordinators = vec![other.coordinator.to_string()];
    let moved = broker::Config { coordinators, ..config };
    let run = moved.build().await.unwrap().run(CancellationToken::new());
    let error = timeout(PATIENCE, run).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("belongs to cluster"), "{error}");
}

#[tokio::test]
async fn whichever_broker_is_asked_the_leader_answers() {
    let cluster = Cluster::start();
    let mut first = cluster.broker(1).await;
    let mut second = cluster.broker(2).await;
    // Two topics, so that each broker has one that the other leads.
    for topic in ["t", "u", "v", "w"] {
        let one = first.produce(topic, Acks::All, &["a"]).await;
        assert_eq!((one.error, one.base_offset), (None, Some(0)), "{topic}");
        let two = second.produce(topic, Acks::All, &["b"]).await;
        assert_eq!((two.error, two.base_offset), (None, Some(1)), "{topic}");
        for broker in [&mut first, &mut second] {
            let fetched = broker.fetch(topic, 0, Duration::ZERO).await;
            assert_eq!(records(&fetched.batches).len(), 2, "{topic}");
        }
    }
    let described = first.data.describe_topics(DescribeTopicsRequest::default()).await.unwrap();
    let topics = described.into_inner().topics;
    let leaders = topics.iter().filter_map(|topic| topic.topic.as_ref()?.partitions[0].leader);
    let mut leaders = leaders.collect::<Vec<_>>();
    leaders.sort_unstable();
    leaders.dedup();
    assert_eq!(leaders, [1, 2], "both lead something");

    let told = second.data.describe_cluster(DescribeClusterRequest {}).await.unwrap().into_inner();
    assert_eq!(told.brokers.len(), 2);
    assert_eq!(told.coordinator, cluster.coordinator.to_string());
    first.stop().await;
    second.stop().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_cut_off_stops_leading_by_itself() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a"]).await;
    cluster.stop().await;

    let refused = async {
        loop {
            let produced = broker.produce("t", Acks::Leader, &["b"]).await;
            match produced.error.map(|error| error.reason).as_deref() {
                Some("NOT_LEADER_OR_FOLLOWER") => break,
                // The one that was under way at the very moment: its outcome is not known.
                Some("REQUEST_TIMED_OUT") | None => {}
                Some(other) => panic!("{other}"),
            }
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    let fetched = broker.fetch("t", 0, Duration::from_mins(10)).await;
    assert_eq!(fetched.error.unwrap().reason, "NOT_LEADER_OR_FOLLOWER", "no stale reads");
}

#[tokio::test]
async fn a_log_that_lost_what_was_promised_is_not_led_and_every_request_says_so() {
    let cluster = Cluster::start();
    let config = cluster.broker_config(1);
    let mut broker = Broker::start(config.clone()).await;
    broker.produce("t", Acks::All, &["a"]).await;
    broker.stop().await;
    for file in segments(&config.data_dir) {
        std::fs::remove_file(file).unwrap();
    }

    let mut broker = Broker::start(config).await;
    let produced = broker.produce("t", Acks::All, &["b"]).await.error.unwrap();
    let fetched = broker.fetch("t", 0, Duration::from_mins(10)).await.error.unwrap();
    for error in [produced, fetched] {
        assert_eq!(error.reason, "KAFKA_STORAGE_ERROR");
        assert!(error.message.contains("is damaged"), "{}", error.message);
    }
    assert_eq!(broker.produce("other", Acks::All, &["a"]).await.error, None);
}

#[tokio::test]
async fn a_coordinator_that_comes_back_finds_its_broker_again() {
    let cluster = Cluster::start();
    let mut broker = cluster.broker(1).await;
    broker.produce("t", Acks::All, &["a"]).await;
    let cluster = cluster.restart_coordinator().await;

    // A change shows that metadata flows again, both ways.
    let produced = async {
        while broker.produce("new", Acks::All, &["b"]).await.error.is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, produced).await.unwrap();
    let fetched = broker.fetch("t", 0, Duration::ZERO).await;
    assert_eq!(records(&fetched.batches), [(0, "a".to_owned())]);
    broker.stop().await;
    cluster.stop().await;
}
