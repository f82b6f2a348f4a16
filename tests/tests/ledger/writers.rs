use std::collections::BTreeMap;
use std::time::Duration;

use client::{
    Apply, Client, ClientConfig, Consumer, ConsumerConfig, Delivery, NewTopic, OffsetAt,
    ProducerConfig, ProducerRecord, StartAt,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{Offset, PartitionId, TopicName, TopicPartition};

use crate::history::{Entry, Logs, Written};

/// Records of one writer that wait for their acknowledgement.
const MAX_UNDER_WAY: usize = 200;
/// Small, so that a kill always cuts through many batches.
const BATCH_BYTES: usize = 512;

pub(crate) async fn connect(address: std::net::SocketAddr) -> Client {
    Client::connect(ClientConfig::new([address.to_string()])).await.unwrap()
}

/// Makes a topic, and names its partitions.
pub(crate) async fn create(
    client: &Client,
    name: &str,
    partitions: u32,
    configs: &[(&str, &str)],
) -> Vec<TopicPartition> {
    let name = TopicName::new(name).unwrap();
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let topic = NewTopic {
        name: name.clone(),
        partitions: Some(partitions),
        replication_factor: None,
        configs: configs.collect(),
    };
    let created = client.admin().create_topics(vec![topic], Apply::Change).await.unwrap();
    assert_eq!(created, [(name.clone(), Ok(()))]);
    (0..partitions).map(|n| TopicPartition::new(name.clone(), PartitionId::new(n))).collect()
}

/// Writes to all `partitions` in turn until `stop`, counting acknowledgements in `acked`.
pub(crate) async fn write(
    client: Client,
    writer: u64,
    partitions: Vec<TopicPartition>,
    acked: watch::Sender<u64>,
    stop: CancellationToken,
) -> Vec<Written> {
    let config = ProducerConfig { batch_bytes: BATCH_BYTES, ..ProducerConfig::default() };
    let producer = client.producer(config).unwrap();
    let mut under_way = JoinSet::new();
    let mut written = Vec::new();
    for (number, to) in (0..).zip(partitions.iter().cycle()) {
        if stop.is_cancelled() {
            break;
        }
        let entry = Entry { writer, number };
        let record = ProducerRecord::new(to.topic.clone(), entry.to_value());
        let record = ProducerRecord { partition: Some(to.partition), ..record };
        let delivery = producer.send(record).await.unwrap();
        under_way.spawn(acknowledged(to.clone(), entry, delivery));
        while MAX_UNDER_WAY <= under_way.len() {
            written
                .extend(under_way.join_next().await.map(|record| count(record.unwrap(), &acked)));
        }
    }
    while let Some(record) = under_way.join_next().await {
        written.push(count(record.unwrap(), &acked));
    }
    producer.close().await.unwrap();
    written
}

/// Producers ask again until they are answered: whatever is killed meanwhile, every record is
/// acknowledged in the end.
async fn acknowledged(to: TopicPartition, entry: Entry, delivery: Delivery) -> Written {
    let metadata = delivery.await.unwrap_or_else(|error| panic!("{entry} to {to}: {error}"));
    assert_eq!(metadata.topic_partition, to, "{entry}");
    Written { to, entry, offset: metadata.offset.expect("acks=all tells the offset") }
}

fn count(record: Written, acked: &watch::Sender<u64>) -> Written {
    acked.send_modify(|count| *count += 1);
    record
}

/// Reads along from the first record on; once `ends` are known, up to there.
pub(crate) async fn read_along(
    client: Client,
    partitions: Vec<TopicPartition>,
    mut ends: watch::Receiver<Option<BTreeMap<TopicPartition, Offset>>>,
) -> Logs {
    let mut consumer = client.consumer(ConsumerConfig::default());
    let starts = partitions.iter().map(|of| (of.clone(), StartAt::Earliest));
    consumer.assign(&starts.collect::<Vec<_>>()).await.unwrap();
    let mut logs = Logs::new();
    while !is_at(&consumer, ends.borrow_and_update().as_ref()) {
        tokio::select! {
            batch = consumer.next_batch() => {
                let batch = batch.unwrap().expect("every partition is assigned");
                let log = logs.entry(batch.topic_partition).or_default();
                for record in batch.records {
                    log.push((record.offset, Entry::from_value(&record.value.unwrap())));
                }
            }
            changed = ends.changed() => changed.expect("whoever knows the ends outlives us"),
        }
    }
    logs
}

fn is_at(consumer: &Consumer, ends: Option<&BTreeMap<TopicPartition, Offset>>) -> bool {
    let reached = |(of, end): (&TopicPartition, &Offset)| consumer.position(of) == Some(*end);
    ends.is_some_and(|ends| ends.iter().all(reached))
}

/// Where each partition ends for its readers.
pub(crate) async fn ends(
    client: &Client,
    partitions: &[TopicPartition],
) -> BTreeMap<TopicPartition, Offset> {
    let asked: Vec<_> = partitions.iter().map(|of| (of.clone(), OffsetAt::Latest)).collect();
    let listed = client.admin().list_offsets(&asked).await.unwrap().into_iter();
    listed.map(|(of, listed)| (of, listed.unwrap().offset.unwrap())).collect()
}

/// Nothing here takes that long; a test that hangs fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
