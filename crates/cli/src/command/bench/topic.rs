//! A topic to measure with.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use client::{
    Admin, Apply, Client, ClientError, NewTopic, OffsetAt, Outcomes, Producer, ProducerConfig,
    ProducerRecord,
};
use tokio::time::{sleep, timeout};
use types::{Coded as _, Durability, PartitionId, Reason, TopicId, TopicName, TopicPartition};

use super::load::{Bound, Work};
use super::name;
use crate::exit::{Exit, Failure};

/// Room in a batch for the largest record's envelope.
const ENVELOPE: u64 = 1024;

/// Records between two looks at the clock.
const BETWEEN_LOOKS: u64 = 32;

/// Between two looks at a topic that is being made.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// How long that may take, of a thousand partitions on a busy disk too.
const APPEARANCE: Duration = Duration::from_mins(2);
/// How often a removal is asked for: a broker makes a caller wait for ten seconds each time, and has a
/// thousand logs to remove beside somebody who keeps its disk busy.
const REMOVAL_ASKED: u32 = 12;

/// Told apart by the time, the process and this, whoever else measures the same cluster.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A topic for the time of a measurement.
#[derive(Clone)]
pub(super) struct Topic {
    /// Its first partition.
    pub(super) partition: TopicPartition,
    /// This life of it.
    pub(super) id: TopicId,
    partitions: u32,
    admin: Admin,
}

impl Topic {
    /// Makes one of one partition.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn create(
        client: Client,
        work: Work,
        durability: Durability,
    ) -> Result<Self, Failure> {
        Self::of_many(client, work, durability, 1).await
    }

    /// Makes one of so many partitions.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn of_many(
        client: Client,
        work: Work,
        durability: Durability,
        partitions: u32,
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
            partitions: Some(partitions),
            replication_factor: None,
            configs,
        };
        let admin = client.admin();
        let made = only(admin.create_topics(vec![new], Apply::Change).await);
        // What does not come about is found out below.
        is_slow(made)?;
        let id = known(&client, &topic).await?;
        let partition = TopicPartition::new(topic, PartitionId::new(0));
        Ok(Self { partition, id, partitions, admin })
    }

    /// Its partitions.
    pub(super) fn numbers(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.partitions).map(PartitionId::new)
    }

    /// A record of the bench, for the first partition.
    pub(super) fn record(&self, work: &Work) -> ProducerRecord {
        self.record_for(self.partition.partition, work)
    }

    /// A record of the bench, for this partition.
    pub(super) fn record_for(&self, partition: PartitionId, work: &Work) -> ProducerRecord {
        let topic = self.partition.topic.clone();
        ProducerRecord {
            partition: Some(partition),
            ..ProducerRecord::new(topic, work.value.clone())
        }
    }

    /// How many records all of it has had: where its partitions end, taken together.
    ///
    /// # Errors
    ///
    /// The broker refuses or does not answer.
    pub(super) async fn records(&self) -> Result<u64, Failure> {
        let end = |partition| {
            let of = TopicPartition::new(self.partition.topic.clone(), partition);
            (of, OffsetAt::Latest)
        };
        let asked: Vec<_> = self.numbers().map(end).collect();
        let mut records = 0;
        let listed = self.admin.list_offsets(&asked).await?;
        if listed.len() != asked.len() {
            return Err(unexpected("the end of a partition was not listed"));
        }
        for (_, listed) in listed {
            let end = listed?.offset.ok_or_else(|| unexpected("a partition has no end"))?;
            records += end.get();
        }
        Ok(records)
    }

    /// Makes sure that what was sent is there, and once.
    ///
    /// # Errors
    ///
    /// It is not, or the broker does not answer.
    pub(super) async fn check(&self, before: u64, sent: u64) -> Result<(), Failure> {
        let stored = self.records().await?.saturating_sub(before);
        if stored == sent {
            Ok(())
        } else {
            Err(unexpected(&format!("{sent} records were sent and {stored} are in the topic")))
        }
    }

    /// Removes it.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn delete(self) -> Result<(), Failure> {
        let topics = [self.partition.topic];
        for asked in 0..REMOVAL_ASKED {
            let gone = only(self.admin.delete_topics(&topics).await);
            // Whether it was made is asked by making it again.
            let gone = if asked == 0 { gone } else { is_gone(gone) };
            if !is_slow(gone)? {
                return Ok(());
            }
        }
        let [topic] = topics;
        let asked =
            format!("{topic} is not removed, though that was asked for {REMOVAL_ASKED} times");
        Err(Failure::new(Exit::Other, format!("{asked}; delete it once the disk is less busy")))
    }
}

/// What became of a call, or of the one topic that it was about.
fn only<T>(outcomes: Result<Outcomes<TopicName, T>, ClientError>) -> Result<(), ClientError> {
    outcomes?.into_iter().try_for_each(|(_, outcome)| outcome.map(drop))
}

/// Whether a change was not seen to be made in time. A disk that is kept busy on purpose holds it up
/// for longer than a broker makes a caller wait.
fn is_slow<T>(change: Result<T, ClientError>) -> Result<bool, ClientError> {
    match change {
        Err(error) if error.reason() == Reason::RequestTimedOut => Ok(true),
        change => change.map(|_made| false),
    }
}

fn is_gone<T>(change: Result<T, ClientError>) -> Result<(), ClientError> {
    match change {
        Err(error) if error.reason() == Reason::UnknownTopicOrPartition => Ok(()),
        change => change.map(drop),
    }
}

/// The id of a topic that was made, once the broker has heard of it.
async fn known(client: &Client, topic: &TopicName) -> Result<TopicId, Failure> {
    let asking = async {
        loop {
            match client.topic(topic).await {
                Err(error) if error.reason() == Reason::UnknownTopicOrPartition => {
                    sleep(ASK_AGAIN).await;
                }
                topic => return Ok(topic?.id),
            }
        }
    };
    let late = |_elapsed| Failure::new(Exit::Other, "a topic that was made does not appear");
    timeout(APPEARANCE, asking).await.map_err(late)?
}

/// As the work says; no record of a schedule waits for others.
pub(super) fn producer_config(work: &Work) -> ProducerConfig {
    ProducerConfig { batch_bytes: work.batch_bytes as usize, ..ProducerConfig::default() }
}

/// Produces as fast as it can within the bound into a topic that has had `before` records, and
/// returns how many records that were.
///
/// # Errors
///
/// Not all of them are in the topic.
pub(super) async fn fill(
    producer: &Producer,
    topic: &Topic,
    work: &Work,
    (before, bound): (u64, &Bound),
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
    topic.check(before, sent).await?;
    Ok(sent)
}

/// Ctrl-C came in the middle of a turn.
pub(super) const fn interrupted() -> Failure {
    Failure::Told(Exit::Interrupted)
}

/// Says what should not be.
pub(super) fn unexpected(what: &str) -> Failure {
    Failure::new(Exit::Other, what)
}
