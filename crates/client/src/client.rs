use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use cluster::Topic;
use daemon::clock::Clock;
use types::{Offset, TopicName, TopicPartition};

use crate::consumer::{Consumer, ConsumerConfig, RangeReader};
use crate::metadata::{Metadata, Missing};
use crate::producer::{Producer, ProducerConfig};
use crate::{Admin, ClientError};

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Brokers to ask first, as `host:port`; one that answers is enough.
    pub bootstrap: Vec<String>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Stamps records that come without a time.
    pub clock: Clock,
}

impl ClientConfig {
    /// The defaults, for a cluster that one of these brokers belongs to.
    pub fn new(bootstrap: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            bootstrap: bootstrap.into_iter().map(Into::into).collect(),
            request_timeout: Duration::from_secs(30),
            clock: Clock::new(),
        }
    }
}

/// A cluster, from outside. Clones share connections and metadata.
#[derive(Clone, Debug)]
pub struct Client {
    metadata: Arc<Metadata>,
    clock: Clock,
}

impl Client {
    /// Finds the cluster through the first bootstrap broker that answers.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`] if none does, at once rather than after a long wait.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let metadata = Metadata::new(config.bootstrap, config.request_timeout);
        let client = Self { metadata: Arc::new(metadata), clock: config.clock };
        client.admin().describe_cluster().await?;
        Ok(client)
    }

    /// A producer with its own sending task; must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError::InvalidConfig`].
    pub fn producer(&self, config: ProducerConfig) -> Result<Producer, ClientError> {
        Producer::start(Arc::clone(&self.metadata), config, self.clock)
    }

    /// A consumer without partitions yet.
    pub fn consumer(&self, config: ConsumerConfig) -> Consumer {
        Consumer::new(Arc::clone(&self.metadata), config)
    }

    /// Reads exactly the records of a partition from one offset to another (exclusive), then ends.
    ///
    /// # Errors
    ///
    /// [`ClientError::OffsetOutOfRange`] if the range is not all there: begun by retention, or
    /// beyond the high watermark.
    pub async fn read_range(
        &self,
        of: TopicPartition,
        range: Range<Offset>,
        config: ConsumerConfig,
    ) -> Result<RangeReader, ClientError> {
        RangeReader::open(Arc::clone(&self.metadata), of, range, config).await
    }

    /// A topic as it is now: its partitions and who leads them. One that does not exist is made,
    /// if the brokers allow that.
    ///
    /// # Errors
    ///
    /// What the brokers say about it.
    pub async fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, ClientError> {
        self.metadata.await_topic(name, Missing::Create).await
    }

    /// The administrator's requests.
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.metadata))
    }
}
