//! What a broker tells of itself over HTTP.

use std::sync::Arc;

use cluster::Topic;
use daemon::vitals::{Detail, Figure, Kind, Readiness, Sample, Vitals};
use tokio_util::sync::CancellationToken;
use types::TopicPartition;

use crate::lease::LeaseView;
use crate::partitions::{Partitions, View};

/// Where it looks when it is asked. Nothing is counted on the way of a record.
#[derive(Debug)]
pub(crate) struct BrokerVitals {
    pub(crate) partitions: Partitions,
    pub(crate) lease: LeaseView,
    pub(crate) draining: CancellationToken,
    /// Cancelled when the data directory is fenced.
    pub(crate) fenced: CancellationToken,
}

impl Vitals for BrokerVitals {
    fn readiness(&self) -> Readiness {
        let mut reasons = Vec::new();
        if self.draining.is_cancelled() {
            reasons.push("the broker is shutting down".to_owned());
        }
        if self.fenced.is_cancelled() {
            reasons.push(
                "the data directory is fenced: the broker ends; its log tells why".to_owned(),
            );
        }
        if !self.lease.holds() {
            reasons.push(
                "no coordinator answers this broker's heartbeats: it may lead no partition; check \
                 `coordinators` and that one of them runs"
                    .to_owned(),
            );
        }
        Readiness::unless(reasons)
    }

    fn figures(&self, detail: Detail) -> Vec<Figure> {
        let view = self.partitions.view();
        let mut figures = overall(&view);
        if detail == Detail::High {
            figures.extend(of_partitions(&view));
        }
        figures
    }
}

fn overall(view: &View) -> Vec<Figure> {
    let image = &view.image;
    let alive = image.brokers().filter(|broker| broker.is_alive()).count();
    let of_topics = image.topics().map(|topic| topic.partitions.len()).sum();
    let leaderless = image.topics().map(|topic| leaderless(topic)).sum();
    vec![
        Figure::gauge("kafka_brokers", "Brokers that are alive", count(alive)),
        Figure::gauge("dohle_cluster_topics", "Topics of the cluster", count(image.topic_count())),
        Figure::gauge("dohle_cluster_partitions", "Partitions of all topics", count(of_topics)),
        Figure::gauge(
            "dohle_cluster_leaderless_partitions",
            "Partitions that no broker leads",
            count(leaderless),
        ),
        Figure::gauge(
            "dohle_broker_led_partitions",
            "Partitions that this broker leads",
            count(view.led.len()),
        ),
        Figure::gauge(
            "dohle_broker_unusable_partitions",
            "Partitions whose log on this broker's disk is damaged",
            count(view.unusable.len()),
        ),
        Figure::gauge(
            "dohle_broker_metadata_revision",
            "The last change of the cluster's metadata that this broker has carried out",
            whole(image.revision().get()),
        ),
    ]
}

fn leaderless(topic: &Topic) -> usize {
    topic.numbered_partitions().filter(|(_, partition)| partition.leader.is_none()).count()
}

/// By the names under which dashboards for Kafka look for them.
fn of_partitions(view: &View) -> Vec<Figure> {
    let of_topic = |topic: &Arc<Topic>| Sample {
        labels: vec![("topic", topic.name.to_string())],
        value: count(topic.partitions.len()),
    };
    let led = |value: &dyn Fn(&crate::partition::Partition) -> u64| {
        let led = view.led.iter();
        led.map(|(name, partition)| Sample { labels: labels(name), value: whole(value(partition)) })
            .collect()
    };
    let gauge = |name, help, samples| Figure { name, help, kind: Kind::Gauge, samples };
    vec![
        gauge(
            "kafka_topic_partitions",
            "Partitions of a topic",
            view.image.topics().map(of_topic).collect(),
        ),
        gauge(
            "kafka_topic_partition_current_offset",
            "High watermark of a partition that this broker leads",
            led(&|partition| partition.high_watermark().get()),
        ),
        gauge(
            "kafka_topic_partition_oldest_offset",
            "Log start offset of a partition that this broker leads",
            led(&|partition| partition.log().log_start().get()),
        ),
    ]
}

fn labels(name: &TopicPartition) -> Vec<(&'static str, String)> {
    vec![("topic", name.topic.to_string()), ("partition", name.partition.to_string())]
}

const fn count(number: usize) -> f64 {
    whole(number as u64)
}

#[expect(clippy::cast_precision_loss, reason = "what is counted here stays far below 2^53")]
const fn whole(number: u64) -> f64 {
    number as f64
}
