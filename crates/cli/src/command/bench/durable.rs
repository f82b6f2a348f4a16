//! Producers that wait for every acknowledgement: what a durable write costs, and how well many of
//! them share a sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use client::{Client, Producer};
use futures::TryStreamExt as _;
use futures::stream::FuturesUnordered;
use measure::Server;
use types::{Durability, PartitionId};

use super::contest::{Contender, Saturate};
use super::load::{Bound, Work};
use super::stage::Stage;
use super::topic::{Topic, producer_config};
use crate::exit::Failure;

/// Who waits for an acknowledgement at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// So many partitions of one producer, each for one batch.
    Partitions(u32),
    /// So many producers of one partition, each for one batch.
    Producers { count: u32, of: Clients },
}

/// Whose producers they are. Those of one client share its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clients {
    One,
    /// A client for each, as processes have it that know nothing of one another.
    Each,
}

/// A batch under way for each of many partitions or producers, at any time. The topic stays from
/// turn to turn, since to make a thousand partitions takes longer than a turn.
pub(super) struct Durable<'a> {
    work: Work,
    stage: &'a Stage,
    topic: Topic,
    lanes: Vec<Lane>,
    /// Records that were in the topic before the turn.
    before: u64,
    /// Records that the turn has brought.
    sent: u64,
}

/// One who waits.
#[derive(Clone)]
struct Lane {
    producer: Arc<Producer>,
    partition: PartitionId,
}

impl<'a> Durable<'a> {
    /// Makes the topic and has each of those who will wait send one record.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn new(
        work: Work,
        stage: &'a Stage,
        waiting: Waiting,
    ) -> Result<Self, Failure> {
        let (client, given) = (stage.client(), work.clone());
        let config = stage.client_config().clone();
        let (partitions, producers, clients) = match waiting {
            Waiting::Partitions(partitions) => (partitions, 1, Clients::One),
            Waiting::Producers { count, of } => (1, count, of),
        };
        let making = async move {
            let topic =
                Topic::of_many(client.clone(), given.clone(), Durability::Fsync, partitions)
                    .await?;
            let mut lanes = Vec::new();
            for _ in 0..producers {
                let own = match clients {
                    Clients::One => client.clone(),
                    Clients::Each => Client::connect(config.clone()).await?,
                };
                let producer = Arc::new(own.producer(producer_config(&given))?);
                lanes.extend(topic.numbers().map(|partition| {
                    let producer = Arc::clone(&producer);
                    Lane { producer, partition }
                }));
            }
            match one_each(&lanes, &topic, &given).await {
                Ok(()) => Ok((topic, lanes)),
                Err(failure) => {
                    topic.delete().await?;
                    Err(failure)
                }
            }
        };
        let (topic, lanes) = stage.on_client(making).await?;
        Ok(Self { work, stage, topic, lanes, before: 0, sent: 0 })
    }

    /// Removes the topic.
    ///
    /// # Errors
    ///
    /// The cluster refuses or does not answer.
    pub(super) async fn end(self) -> Result<(), Failure> {
        let Self { stage, topic, lanes, .. } = self;
        drop(lanes);
        stage.remove(topic).await
    }
}

impl Contender for Durable<'_> {
    fn server(&self) -> Server {
        self.stage.server()
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        let topic = self.topic.clone();
        self.before = self.stage.on_client(async move { topic.records().await }).await?;
        self.sent = 0;
        Ok(())
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        let (topic, before, sent) = (self.topic.clone(), self.before, self.sent);
        self.stage.on_client(async move { topic.check(before, sent).await }).await
    }
}

impl Saturate for Durable<'_> {
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let (topic, lanes, work) = (self.topic.clone(), self.lanes.clone(), self.work.clone());
        let producing = async move { all(&lanes, &topic, &work, &bound).await };
        self.sent = self.stage.on_client(producing).await?;
        Ok(self.sent)
    }
}

/// Has every lane connected to a leader that is there.
async fn one_each(lanes: &[Lane], topic: &Topic, work: &Work) -> Result<(), Failure> {
    let mut deliveries = Vec::with_capacity(lanes.len());
    for lane in lanes {
        deliveries.push(lane.producer.send(topic.record_for(lane.partition, work)).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    Ok(())
}

/// Lets all lanes go on side by side until the bound says that it is enough; returns how many
/// records were acknowledged.
async fn all(lanes: &[Lane], topic: &Topic, work: &Work, bound: &Bound) -> Result<u64, Failure> {
    let begun = AtomicU64::new(0);
    let lanes = lanes.iter().map(|lane| one_after_another(lane, topic, work, (bound, &begun)));
    let mut lanes: FuturesUnordered<_> = lanes.collect();
    let mut sent = 0;
    while let Some(of_lane) = lanes.try_next().await? {
        sent += of_lane;
    }
    Ok(sent)
}

async fn one_after_another(
    lane: &Lane,
    topic: &Topic,
    work: &Work,
    (bound, begun): (&Bound, &AtomicU64),
) -> Result<u64, Failure> {
    let mut sent = 0;
    while bound.allows_more_than(begun.fetch_add(1, Ordering::Relaxed)) {
        lane.producer.send(topic.record_for(lane.partition, work)).await?.await?;
        sent += 1;
    }
    Ok(sent)
}
