use std::sync::atomic::{AtomicU32, Ordering};

use client::{Admin, Apply, Client, NewTopic, OffsetAt, Producer, ProducerConfig, ProducerRecord};
use types::{Durability, Offset, PartitionId, TopicName, TopicPartition};

use super::load::{Bound, Work};
use super::name;
use crate::exit::{Exit, Failure};

/// Room in a batch for the largest record's envelope.
const ENVELOPE: u64 = 1024;

/// Records between two looks at the clock.
const BETWEEN_LOOKS: u64 = 32;

/// Told apart by the time, the process and this, whoever else measures the same cluster.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A topic of one partition for the time of a measurement.
#[derive(Clone)]
pub(super) struct Topic {
    pub(super) partition: TopicPartition,
    admin: Admin,
}

impl Topic {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn create(
        client: Client,
        work: Work,
        durability: Durability,
    ) -> Result<Self, Failure> {
        let now = work.clock().now().as_millis();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let topic = format!("dohle-bench-{now}-{}-{number}", std::process::id());
        let topic = TopicName::new(&topic).map_err(|error| Failure::usage(error.to_string()))?;
        let largest = u64::from(work.batch_bytes).max(work.value.len() as u64) + ENVELOPE;
        let configs = vec![
            ("durability".to_owned(), name(durability).to_owned()),
            ("max.message.bytes".to_owned(), largest.to_string()),
        ];
        let new = NewTopic {
            name: topic.clone(),
            partitions: Some(1),
            replication_factor: None,
            configs,
        };
        let admin = client.admin();
        for (_, made) in admin.create_topics(vec![new], Apply::Change).await? {
            made?;
        }
        Ok(Self { partition: TopicPartition::new(topic, PartitionId::new(0)), admin })
    }

    /// A record of the bench.
    pub(super) fn record(&self, work: &Work) -> ProducerRecord {
        let TopicPartition { topic, partition } = self.partition.clone();
        ProducerRecord {
            partition: Some(partition),
            ..ProducerRecord::new(topic, work.value.clone())
        }
    }

    /// Where the topic ends.
    ///
    /// # Errors
    ///
    /// The broker refuses or does not answer.
    pub(super) async fn end(&self) -> Result<Offset, Failure> {
        let asked = [(self.partition.clone(), OffsetAt::Latest)];
        let mut listed = self.admin.list_offsets(&asked).await?;
        let (_, listed) = listed.pop().ok_or_else(|| unexpected("no offset was listed"))?;
        listed?.offset.ok_or_else(|| unexpected("a topic has no end"))
    }

    /// Removes it.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn delete(self) -> Result<(), Failure> {
        for (_, gone) in self.admin.delete_topics(&[self.partition.topic]).await? {
            gone?;
        }
        Ok(())
    }
}

/// As the work says; no record of a schedule waits for others.
pub(super) fn producer_config(work: &Work) -> ProducerConfig {
    ProducerConfig { batch_bytes: work.batch_bytes as usize, ..ProducerConfig::default() }
}

/// Produces from the topic's end `start` on as fast as it can within the bound, and returns how
/// many records that were.
///
/// # Errors
///
/// Not all of them are in the topic.
pub(super) async fn fill(
    producer: &Producer,
    topic: &Topic,
    work: &Work,
    (start, bound): (Offset, &Bound),
) -> Result<u64, Failure> {
    let mut sent = 0;
    while bound.allows_more_than(sent) {
        // To look at the clock for every record would be measured too.
        for _ in 0..bound.rest(sent).min(BETWEEN_LOOKS) {
            // What is not delivered shows when everything is flushed.
            drop(producer.send(topic.record(work)).await?);
            sent += 1;
        }
    }
    producer.flush().await?;
    let stored = topic.end().await?.distance_from(start);
    if stored == sent {
        Ok(sent)
    } else {
        Err(unexpected(&format!("{sent} records were sent and {stored} are in the topic")))
    }
}

/// Says what should not be.
pub(super) fn unexpected(what: &str) -> Failure {
    Failure::new(Exit::Other, what)
}
