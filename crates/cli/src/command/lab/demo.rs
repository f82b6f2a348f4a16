use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use chrono_tz::Tz;
use client::registry::{RegistryClient, frame, unframe};
use client::{
    Admin, Apply, Client, ClientConfig, ConsumerConfig, NewTopic, ProducerConfig, ProducerRecord,
    StartAt,
};
use daemon::clock::Clock;
use futures::future::try_join_all;
use lake::partitioner::{Partitioner, TimeSource, UndatedPolicy};
use sink::platform::{RegistrySchemas, TopicSource};
use sink::progress::Silent;
use sink::store::LocalStore;
use sink::{Depth, Sink};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::{Code, Coded as _, Offset, SchemaId, TopicName, TopicPartition};

use super::event::{Event, Span};
use super::home::Home;
use super::services::Services;
use super::{sample, tell};
use crate::avro::Shape;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::Session;

/// Records of one demo.
const RECORDS: u64 = 1_000;
const PARTITIONS: u32 = 3;
/// How long the cluster may take to come up.
const START: Duration = Duration::from_secs(30);
/// How long every later step may take.
const STEP: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

/// The main job, once: a schema, records, a consumer, a run into the lake.
pub(super) struct Demo {
    broker: String,
    registry: String,
    lake: PathBuf,
    clock: Clock,
    stop: CancellationToken,
}

/// Which offsets of each partition are meant.
type Spans = BTreeMap<TopicPartition, (Offset, Offset)>;

impl Demo {
    pub(super) fn new(services: &Services, home: &Home, session: &Session) -> Self {
        Self {
            broker: services.broker.to_string(),
            registry: format!("http://{}", services.registry),
            lake: home.lake(),
            clock: session.clock,
            stop: session.interrupted.clone(),
        }
    }

    /// # Errors
    ///
    /// Any step failed.
    pub(super) async fn run(self, output: &mut Output) -> Result<(), Failure> {
        let topic = TopicName::new(sample::TOPIC).map_err(|error| Failure::coded(&error))?;
        let client = self.connect().await?;
        let registry = RegistryClient::new(&self.registry)?;
        let schema_id = registry.register(sample::SUBJECT, sample::SCHEMA).await?;
        let registered = Event::Registered { subject: sample::SUBJECT, schema_id: schema_id.get() };
        tell(&registered, output)?;
        create(&client.admin(), &topic).await?;
        let produced = self.produce(&client, &topic, schema_id, output).await?;
        self.consume(&client, &registry, &produced, output).await?;
        self.land(&client, registry, &topic, output).await
    }

    /// Waits until the broker serves.
    async fn connect(&self) -> Result<Client, Failure> {
        let began = self.clock.monotonic();
        loop {
            let config = ClientConfig { clock: self.clock, ..ClientConfig::new([&self.broker]) };
            let problem = match Client::connect(config).await {
                Ok(client) => match client.admin().describe_cluster().await {
                    Ok(cluster) if cluster.brokers.iter().any(cluster::Broker::is_alive) => {
                        return Ok(client);
                    }
                    Ok(_) => "the broker is not let in by the coordinator".to_owned(),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if START < self.clock.monotonic().saturating_sub(began) {
                let message = format!("the lab's cluster did not come up: {problem}");
                return Err(Failure::new(Exit::Unreachable, message));
            }
            sleep(PAUSE).await;
        }
    }

    async fn produce(
        &self,
        client: &Client,
        topic: &TopicName,
        schema_id: SchemaId,
        output: &mut Output,
    ) -> Result<Spans, Failure> {
        let shape = Shape::parse(sample::SCHEMA)
            .map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        let producer = client.producer(ProducerConfig::default())?;
        let began = self.clock.monotonic();
        let mut deliveries = Vec::new();
        for number in 0..RECORDS {
            let value = shape
                .encode(&sample::record(number, self.clock.now()))
                .map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
            let record = ProducerRecord::new(topic.clone(), frame(schema_id, &value))
                .with_key(Bytes::from(sample::client(number)));
            deliveries.push(producer.send(record).await?);
        }
        let mut spans = Spans::new();
        for delivered in try_join_all(deliveries).await? {
            let Some(offset) = delivered.offset else { continue };
            let end = offset.checked_add(1).unwrap_or(offset);
            let span = spans.entry(delivered.topic_partition).or_insert((offset, end));
            *span = (span.0.min(offset), span.1.max(end));
        }
        producer.close().await?;
        let elapsed = self.clock.monotonic().saturating_sub(began);
        tell(
            &Event::Produced {
                topic: sample::TOPIC,
                records: RECORDS,
                partitions: shown(&spans),
                milliseconds: elapsed.as_millis(),
            },
            output,
        )?;
        Ok(spans)
    }

    /// Reads back what was produced, as any consumer would.
    async fn consume(
        &self,
        client: &Client,
        registry: &RegistryClient,
        produced: &Spans,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let began = self.clock.monotonic();
        let mut consumer = client.consumer(ConsumerConfig::default());
        let from: Vec<_> =
            produced.iter().map(|(of, span)| (of.clone(), StartAt::Offset(span.0))).collect();
        consumer.assign(&from).await?;
        let mut shapes: BTreeMap<SchemaId, Shape> = BTreeMap::new();
        let mut records = 0;
        while records < RECORDS {
            let batch = tokio::time::timeout(STEP, consumer.next_batch()).await;
            let Some(batch) = batch.map_err(|_elapsed| unread(records))?? else {
                return Err(unread(records));
            };
            for record in batch.records {
                let value = record.value.unwrap_or_default();
                let (id, datum) = unframe(&value).map_err(|error| wrong(&error))?;
                let shape = match shapes.entry(id) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let text = registry.schema(id).await?;
                        place.insert(Shape::parse(&text).map_err(|error| wrong(&error))?)
                    }
                };
                shape.decode(datum).map_err(|error| wrong(&error))?;
                records += 1;
            }
        }
        let milliseconds = self.clock.monotonic().saturating_sub(began).as_millis();
        tell(&Event::Consumed { topic: sample::TOPIC, records, milliseconds }, output)
    }

    async fn land(
        &self,
        client: &Client,
        registry: RegistryClient,
        topic: &TopicName,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let store = LocalStore::new(&self.lake);
        let hourly = "hourly".parse().map_err(|error| wrong(&error))?;
        let time = TimeSource::RecordTimestamp;
        let partitioner = Partitioner::new(time, hourly, Tz::UTC, UndatedPolicy::Quarantine);
        let settings = sink::Settings::usual(partitioner);
        let source = TopicSource::new(client.clone());
        let schemas = RegistrySchemas::new(registry);
        let sink = Sink::new(store.clone(), source, schemas, settings, self.clock);
        let run_id = sink.new_run_id().map_err(|error| Failure::coded(&error))?;
        let report = sink.run(topic, run_id, &self.stop).await;
        let report = report.map_err(|error| Failure::coded(&error))?;
        let Some(commit) = report.committed else {
            return Err(Failure::new(Exit::Other, "the sink found nothing to land"));
        };
        let totals = commit.totals();
        let span = |moved: &lake::commit::PartitionCommit| Span {
            partition: moved.partition.get(),
            from: moved.from.get(),
            to: moved.to.get(),
        };
        let landed = Event::Landed {
            topic: sample::TOPIC,
            commit: commit.seq,
            rows: totals.rows,
            quarantined: totals.quarantined,
            partitions: commit.partitions.iter().map(span).collect(),
        };
        tell(&landed, output)?;
        let last = sink::history(&store, topic, 1).await.map_err(|error| Failure::coded(&error))?;
        for file in last.iter().flat_map(crate::command::sink::files) {
            tell(&Event::File(file), output)?;
        }
        // Every byte of the lake is read again: what is told here is what is there.
        let found = sink::verify(&store, topic, Depth::Contents, &Silent).await;
        let found = found.map_err(|error| Failure::coded(&error))?;
        if let Some(problem) = found.problems.first() {
            return Err(Failure::new(Exit::Other, format!("the lake is not sound: {problem}")));
        }
        let directory = self.lake.display().to_string();
        let (commits, files, rows) = (found.commits, found.files, found.rows);
        tell(&Event::Lake { directory, commits, files, rows }, output)
    }
}

/// Makes the topic unless an earlier demo did.
async fn create(admin: &Admin, topic: &TopicName) -> Result<(), Failure> {
    let new = NewTopic {
        name: topic.clone(),
        partitions: Some(PARTITIONS),
        replication_factor: Some(1),
        configs: Vec::new(),
    };
    for (_, made) in admin.create_topics(vec![new], Apply::Change).await? {
        match made {
            Err(error) if error.code() == Code::AlreadyExists => {}
            made => made?,
        }
    }
    Ok(())
}

fn shown(spans: &Spans) -> Vec<Span> {
    spans
        .iter()
        .map(|(of, (from, to))| Span {
            partition: of.partition.get(),
            from: from.get(),
            to: to.get(),
        })
        .collect()
}

fn unread(records: u64) -> Failure {
    let message = format!("only {records} of {RECORDS} records could be read back");
    Failure::new(Exit::Other, message)
}

fn wrong(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Other, format!("a record came back wrong: {error}"))
}
