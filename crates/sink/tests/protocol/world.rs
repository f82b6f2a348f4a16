//! A topic, a registry and a lake in memory, and what must be true of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Reader, Schema};
use bytes::Bytes;
use chrono_tz::Tz;
use daemon::clock::Clock;
use lake::RunId;
use lake::avro::Codec;
use lake::partitioner::{EpochUnit, Partitioner, TimeSource, UndatedPolicy};
use lake::plan::{Bounds, GapPolicy, Limits, SourceTopic};
use record::Record;
use sink::progress::Silent;
use sink::source::{RecordReader, RecordSource, SchemaError, SchemaSource, SourceError};
use sink::store::FileStore;
use sink::{Depth, FileSettings, Report, RunError, Settings, Sink, TombstonePolicy, verify};
use tokio_util::sync::CancellationToken;
use types::{Offset, PartitionId, SchemaId, Timestamp, TopicId, TopicName, TopicPartition};

use crate::faulty::FaultyStore;

/// Custom attributes, an unknown logical type and odd spacing: a re-serialised schema would show.
pub(crate) const V1: &str = r#"{ "type":"record","name":"event","x-owner" : ["ops",1.50],"fields":[
  {"name":"n","type":{"type":"long","logicalType":"made-up"}},{"name":"at","type":"string"}]}"#;
pub(crate) const V2: &str = r#"{"type":"record","name":"event","fields":[{"name":"n","type":"long"},{"name":"at","type":"string"},{"name":"more","type":["null","string"],"default":null,"adjust-to-utc":true}]}"#;

/// The course's slip: there is no Avro type of that name.
const COURSE: &str =
    r#"{"type":"record","name":"person","fields":[{"name":"age","type":"integer"}]}"#;

/// 2013-11-03T05:00:00Z.
const START: i64 = 1_383_454_800_000;

#[derive(Clone, Debug)]
pub(crate) struct World {
    topic: Arc<Mutex<Topic>>,
    schemas: Arc<Mutex<BTreeMap<u32, String>>>,
    pub(crate) registry_down: Arc<Mutex<bool>>,
    /// Readers bring their first batch, and then neither more nor an end.
    pub(crate) stalled: Arc<Mutex<bool>>,
}

#[derive(Debug)]
struct Topic {
    id: TopicId,
    partitions: BTreeMap<PartitionId, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    earliest: u64,
    latest: u64,
    records: BTreeMap<u64, Record>,
}

pub(crate) fn topic() -> TopicName {
    TopicName::new("events").unwrap()
}

pub(crate) fn framed(schema: u32, datum: &[u8]) -> Bytes {
    let mut payload = vec![0];
    payload.extend_from_slice(&schema.to_be_bytes());
    payload.extend_from_slice(datum);
    payload.into()
}

/// The payload of event `n`, under schema 1 or 2; a new hour begins every four events.
pub(crate) fn event(schema: u32, n: i64) -> Bytes {
    let at = time_of(n);
    let mut fields = vec![("n".to_owned(), Value::Long(n)), ("at".to_owned(), Value::String(at))];
    let text = if schema == 1 {
        V1
    } else {
        let more = Value::Union(1, Box::new(Value::String(format!("more {n}"))));
        fields.push(("more".to_owned(), more));
        V2
    };
    let parsed = Schema::parse_str(text).unwrap();
    let writer = GenericDatumWriter::builder(&parsed).build().unwrap();
    framed(schema, &writer.write_value_to_vec(Value::Record(fields)).unwrap())
}

fn time_of(n: i64) -> String {
    let hours = n / 4;
    format!("2013-11-{:02}T{:02}:{:02}:00Z", 3 + hours / 24, hours % 24, n % 4 * 15)
}

impl World {
    /// A topic with so many empty partitions.
    pub(crate) fn new(partitions: u32) -> Self {
        let partitions = (0..partitions).map(|it| (PartitionId::new(it), Partition::default()));
        let topic = Topic { id: TopicId::from_bytes([7; 16]), partitions: partitions.collect() };
        let schemas = [(1, V1.to_owned()), (2, V2.to_owned()), (3, COURSE.to_owned())].into();
        Self {
            topic: Arc::new(Mutex::new(topic)),
            schemas: Arc::new(Mutex::new(schemas)),
            registry_down: Arc::default(),
            stalled: Arc::default(),
        }
    }

    /// Appends a record and tells its offset.
    pub(crate) fn append(&self, partition: u32, value: Option<Bytes>) -> u64 {
        let mut topic = self.topic.lock().unwrap();
        let partition = topic.partitions.get_mut(&PartitionId::new(partition)).unwrap();
        let offset = partition.latest;
        partition.latest += 1;
        let record = Record {
            offset: Offset::new(offset),
            timestamp: Timestamp::from_millis(START),
            key: Some(Bytes::from_static(b"key")),
            value,
            headers: Vec::new(),
        };
        partition.records.insert(offset, record);
        offset
    }

    /// Events `from..to`, spread over all partitions, schemas taking turns.
    pub(crate) fn append_events(&self, from: i64, to: i64) {
        let partitions = self.topic.lock().unwrap().partitions.len();
        for n in from..to {
            let number = usize::try_from(n).unwrap();
            let schema = if number / 3 % 2 == 0 { 1 } else { 2 };
            self.append(u32::try_from(number % partitions).unwrap(), Some(event(schema, n)));
        }
    }

    /// Removes one record, as compaction would.
    pub(crate) fn compact_away(&self, partition: u32, offset: u64) {
        let mut topic = self.topic.lock().unwrap();
        let partition = topic.partitions.get_mut(&PartitionId::new(partition)).unwrap();
        partition.records.remove(&offset).unwrap();
    }

    /// Retention: everything below `earliest` goes.
    pub(crate) fn retain_from(&self, partition: u32, earliest: u64) {
        let mut topic = self.topic.lock().unwrap();
        let partition = topic.partitions.get_mut(&PartitionId::new(partition)).unwrap();
        partition.earliest = earliest;
        partition.records.retain(|offset, _| earliest <= *offset);
    }

    /// The topic is deleted and made again.
    pub(crate) fn recreate(&self) {
        self.topic.lock().unwrap().id = TopicId::from_bytes([8; 16]);
    }

    pub(crate) fn sink<S: FileStore>(
        &self,
        store: &S,
        settings: Settings,
    ) -> Sink<S, World, World> {
        Sink::new(store.clone(), self.clone(), self.clone(), settings, Clock::new())
    }

    /// One run by the usual settings.
    pub(crate) async fn run<S: FileStore>(
        &self,
        store: &S,
        run: &RunId,
    ) -> Result<Report, RunError> {
        self.run_with(store, run, settings()).await
    }

    pub(crate) async fn run_with<S: FileStore>(
        &self,
        store: &S,
        run: &RunId,
        settings: Settings,
    ) -> Result<Report, RunError> {
        let stop = CancellationToken::new();
        self.sink(store, settings).run(&topic(), run.clone(), &stop).await
    }
}

/// A run that began now; `noise` tells runs of one test apart.
pub(crate) fn run_id(noise: u8) -> RunId {
    RunId::new(Clock::new().now(), [noise; 4])
}

/// A run that began two days ago: dead, as far as anybody can tell.
pub(crate) fn old_run_id(noise: u8) -> RunId {
    let now = Clock::new().now().as_millis();
    RunId::new(Timestamp::from_millis(now - 2 * 86_400_000), [noise; 4])
}

pub(crate) fn settings() -> Settings {
    let source = TimeSource::Field { path: vec!["at".into()], unit: EpochUnit::Millis };
    let format = "hourly".parse().unwrap();
    Settings {
        partitioner: Partitioner::new(source, format, Tz::UTC, UndatedPolicy::Quarantine),
        gaps: GapPolicy::Fail,
        tombstones: TombstonePolicy::Skip,
        limits: Limits { max_records_per_partition: None },
        files: FileSettings {
            codec: Codec::Deflate,
            block_bytes: 64 * 1024,
            file_bytes: 128 * 1024 * 1024,
            memory_bytes: 64 * 1024 * 1024,
            open_files: 16,
        },
        parallel_partitions: 2,
        parallel_writes: 4,
        max_read_time: Duration::from_mins(10),
        max_run_time: Duration::from_hours(1),
    }
}

/// The `n` of every row that a reader of the topic's directory sees, in order, twice if it is twice.
pub(crate) fn landed(store: &FaultyStore) -> Vec<i64> {
    let mut numbers = Vec::new();
    for path in store.files("events") {
        store.edit(&path, |bytes| {
            for row in Reader::new(bytes.as_slice()).unwrap() {
                numbers.push(field(&row.unwrap(), "n"));
            }
        });
    }
    numbers.sort_unstable();
    numbers
}

pub(crate) fn field(row: &Value, name: &str) -> i64 {
    let Value::Record(fields) = row else { panic!("{row:?} is no record") };
    match fields.iter().find(|(field, _)| field == name) {
        Some((_, Value::Long(number))) => *number,
        other => panic!("{other:?} is no long"),
    }
}

/// The lake holds events `0..count` once each, and is what its log says.
#[track_caller]
pub(crate) fn assert_landed_exactly(store: &FaultyStore, count: i64, context: &str) {
    assert_eq!(landed(store), (0..count).collect::<Vec<_>>(), "{context}");
}

pub(crate) async fn assert_sound<S: FileStore>(store: &S, context: &str) {
    let findings = verify(store, &topic(), Depth::Contents, &Silent).await.unwrap();
    assert!(findings.problems.is_empty(), "{context}: {:?}", findings.problems);
}

impl RecordSource for World {
    type Reader = WorldReader;

    async fn describe(&self, topic: &TopicName) -> Result<SourceTopic, SourceError> {
        let held = self.topic.lock().unwrap();
        if topic.as_str() != "events" {
            return Err(SourceError::UnknownTopic { topic: topic.clone() });
        }
        let partitions = held.partitions.iter().map(|(id, partition)| {
            let (earliest, latest) =
                (Offset::new(partition.earliest), Offset::new(partition.latest));
            (*id, Bounds { earliest, latest })
        });
        Ok(SourceTopic { id: held.id, partitions: partitions.collect() })
    }

    async fn read(
        &self,
        partition: &TopicPartition,
        from: Offset,
        to: Offset,
    ) -> Result<WorldReader, SourceError> {
        let held = self.topic.lock().unwrap();
        let log = held.partitions.get(&partition.partition).unwrap();
        let records = log.records.range(from.get()..to.get()).map(|(_, record)| record.clone());
        let mut batches: Vec<Vec<Record>> = Vec::new();
        for record in records {
            match batches.last_mut().filter(|batch| batch.len() < 5) {
                Some(batch) => batch.push(record),
                None => batches.push(vec![record]),
            }
        }
        let stalls_after = if *self.stalled.lock().unwrap() { 1 } else { usize::MAX };
        Ok(WorldReader { batches: batches.into_iter(), stalls_after })
    }
}

#[derive(Debug)]
pub(crate) struct WorldReader {
    batches: std::vec::IntoIter<Vec<Record>>,
    stalls_after: usize,
}

impl RecordReader for WorldReader {
    async fn next(&mut self) -> Result<Option<Vec<Record>>, SourceError> {
        tokio::task::yield_now().await;
        match self.stalls_after.checked_sub(1) {
            Some(left) => self.stalls_after = left,
            None => std::future::pending().await,
        }
        Ok(self.batches.next())
    }
}

impl SchemaSource for World {
    async fn schema(&self, id: SchemaId) -> Result<String, SchemaError> {
        if *self.registry_down.lock().unwrap() {
            return Err(SchemaError::Unavailable { id, source: "connection refused".into() });
        }
        if id.get() == 0 || i32::try_from(id.get()).is_err() {
            // As a registry answers whose paths hold 32-bit numbers.
            return Err(SchemaError::Unavailable { id, source: "404 Not Found".into() });
        }
        if id.get() == 4 {
            return Err(SchemaError::NotAvro { id, kind: "PROTOBUF".to_owned() });
        }
        let schemas = self.schemas.lock().unwrap();
        schemas.get(&id.get()).cloned().ok_or(SchemaError::UnknownId { id })
    }
}
