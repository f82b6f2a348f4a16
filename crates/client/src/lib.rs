//! The Rust client: produce, consume, administer, and talk to the schema registry and to the
//! coordinators' tree.
//!
//! Decisions are pure and tested without a server: how records gather into batches
//! (`producer::accumulator`), what a failed attempt means (`producer::verdict`), where a reader
//! stands (`consumer::position`). Around them are one task per producer and one per bulk stream.
//! Memory is bounded on both sides: a producer waits for room, a consumer grants the brokers
//! credit in bytes.
//!
//! Nothing is sent twice unless it is certain that it was not taken the first time.
//!
//! ```no_run
//! use client::{Client, ClientConfig, ConsumerConfig, ProducerConfig, ProducerRecord, StartAt};
//! use types::TopicName;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(ClientConfig::new(["localhost:9192"])).await?;
//! let topic = TopicName::new("flights")?;
//!
//! let producer = client.producer(ProducerConfig::default())?;
//! let delivery = producer.send(ProducerRecord::new(topic.clone(), "EWR-IAH").with_key("UA")).await?;
//! let lies_at = delivery.await?;
//! producer.close().await?;
//!
//! let mut consumer = client.consumer(ConsumerConfig::default());
//! consumer.assign(&[(lies_at.topic_partition, StartAt::Earliest)]).await?;
//! while let Some(batch) = consumer.next_batch().await? {
//!     for record in batch.records { /* ... */ }
//! }
//! # Ok(())
//! # }
//! ```

mod admin;
mod backoff;
mod client;
mod connection;
mod consumer;
mod error;
mod leaders;
mod metadata;
mod probe;
mod producer;
mod quorum;
pub mod registry;
pub mod tree;

pub use admin::{
    Admin, Apply, ClusterDescription, DeleteBefore, ListedOffset, LogDamage, LogDescription,
    LogScope, NewTopic, OffsetAt, Outcomes, ScrubNews, ScrubStream, ScrubbedDamage, TopicConfig,
};
pub use client::{Client, ClientConfig};
pub use consumer::{Consumer, ConsumerConfig, FetchedBatch, OnOutOfRange, RangeReader, StartAt};
pub use error::ClientError;
pub use probe::{ProbeError, Question, probe};
pub use producer::{
    Acks, Delivery, Idempotence, Producer, ProducerConfig, ProducerRecord, RecordMetadata,
    RetryUnknownOutcome,
};
pub use quorum::{QuorumDescription, QuorumMember, describe_quorum};
