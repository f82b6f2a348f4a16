//! A coordinator and a broker in this process, with the real client.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use client::{
    Apply, Client, ClientConfig, ConsumerConfig, NewTopic, OffsetAt, ProducerConfig,
    ProducerRecord, StartAt,
};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::{Offset, PartitionId, TopicName, TopicPartition};

use crate::error::PeerError;

/// Between two looks at a cluster that starts.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Records between two looks at the clock.
const BETWEEN_LOOKS: u64 = 32;

type Running = (CancellationToken, JoinHandle<Result<(), String>>);

/// A cluster of one broker. Must be started and ended on the runtime of the servers.
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    /// The broker's first: it tells the coordinator that it leaves.
    running: [Running; 2],
}

impl Cluster {
    /// Starts it below `folder`, on free ports of this host.
    ///
    /// # Errors
    ///
    /// A service does not start.
    pub(crate) async fn start(folder: &Path) -> Result<Self, PeerError> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let coordinator = coordinator::Config {
            listen,
            data_dir: folder.join("coordinator"),
            ..coordinator::Config::default()
        };
        let coordinator = coordinator.build().map_err(failed)?;
        let broker = broker::Config {
            listen,
            data_dir: folder.join("broker"),
            coordinators: vec![coordinator.address().to_string()],
            ..broker::Config::default()
        };
        let broker = broker.build().await.map_err(failed)?;
        let address = broker.address();
        let running = [spawn(|stop| broker.run(stop)), spawn(|stop| coordinator.run(stop))];
        Ok(Self { address, running })
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// A service did not end well.
    pub(crate) async fn end(self) -> Result<(), PeerError> {
        for (stop, task) in self.running {
            stop.cancel();
            task.await?.map_err(PeerError::Cluster)?;
        }
        Ok(())
    }
}

fn spawn<E, F>(run: impl FnOnce(CancellationToken) -> F) -> Running
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    let stop = CancellationToken::new();
    let serving = run(stop.clone());
    (stop, tokio::spawn(async move { serving.await.map_err(|error| error.to_string()) }))
}

fn failed(error: impl std::error::Error) -> PeerError {
    PeerError::Cluster(error.to_string())
}

/// A client of a broker that serves.
///
/// # Errors
///
/// It does not answer.
pub(crate) async fn connect(address: SocketAddr) -> Result<Client, PeerError> {
    let client = Client::connect(ClientConfig::new([address.to_string()])).await?;
    let admin = client.admin();
    while !admin.describe_cluster().await?.brokers.iter().any(cluster::Broker::is_alive) {
        sleep(ASK_AGAIN).await;
    }
    Ok(client)
}

/// A topic of one partition.
#[derive(Clone)]
pub(crate) struct Topic {
    client: Client,
    partition: TopicPartition,
}

impl Topic {
    /// Makes an empty one that acknowledges from memory, as NATS does.
    ///
    /// # Errors
    ///
    /// The broker refuses or does not answer.
    pub(crate) async fn create(client: Client, number: u32) -> Result<Self, PeerError> {
        let name = TopicName::new(&format!("peers-{number}")).map_err(failed)?;
        let new = NewTopic {
            name: name.clone(),
            partitions: Some(1),
            replication_factor: None,
            configs: vec![("durability".to_owned(), "page-cache".to_owned())],
        };
        for (_, made) in client.admin().create_topics(vec![new], Apply::Change).await? {
            made?;
        }
        Ok(Self { client, partition: TopicPartition::new(name, PartitionId::new(0)) })
    }

    /// Sends as long as `goes_on` says so of what was sent; returns how many records were
    /// acknowledged.
    ///
    /// # Errors
    ///
    /// One was refused, or the connection broke.
    pub(crate) async fn produce(
        &self,
        value: &Bytes,
        goes_on: impl Fn(u64) -> bool,
    ) -> Result<u64, PeerError> {
        let producer = self.client.producer(ProducerConfig::default())?;
        let TopicPartition { topic, partition } = &self.partition;
        let mut sent = 0;
        while goes_on(sent) {
            for _ in 0..BETWEEN_LOOKS {
                let record = ProducerRecord::new(topic.clone(), value.clone());
                // What is not delivered shows when the producer closes.
                drop(
                    producer.send(ProducerRecord { partition: Some(*partition), ..record }).await?,
                );
            }
            sent += BETWEEN_LOOKS;
        }
        producer.close().await?;
        Ok(sent)
    }

    /// How many records it has.
    ///
    /// # Errors
    ///
    /// The broker refuses or does not answer.
    pub(crate) async fn records(&self) -> Result<u64, PeerError> {
        let asked = [(self.partition.clone(), OffsetAt::Latest)];
        let mut end = None;
        for (_, listed) in self.client.admin().list_offsets(&asked).await? {
            end = listed?.offset;
        }
        let unknown = || PeerError::Cluster("a topic has no end".to_owned());
        Ok(end.ok_or_else(unknown)?.get())
    }

    /// Reads from the first record on as long as `goes_on` says so of what was read; returns how
    /// many records that were.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub(crate) async fn consume(&self, goes_on: impl Fn(u64) -> bool) -> Result<u64, PeerError> {
        let mut consumer = self.client.consumer(ConsumerConfig::default());
        consumer.assign(&[(self.partition.clone(), StartAt::Offset(Offset::ZERO))]).await?;
        let mut read = 0;
        while goes_on(read) {
            let batch = consumer.next_batch().await?;
            let gone = || PeerError::Cluster("the topic was gone while being read".to_owned());
            read += batch.ok_or_else(gone)?.records.len() as u64;
        }
        Ok(read)
    }

    /// Removes it.
    ///
    /// # Errors
    ///
    /// The broker refuses or does not answer.
    pub(crate) async fn delete(self) -> Result<(), PeerError> {
        for (_, gone) in self.client.admin().delete_topics(&[self.partition.topic]).await? {
            gone?;
        }
        Ok(())
    }
}
