//! A coordinator and brokers in this process, on ports of their own and a temporary directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use record::{Batch, BatchBuilder, Compression};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use types::Timestamp;
use wire::transport::{MAX_MESSAGE_BYTES, endpoint};
use wire::v1::broker::admin_service_client::AdminServiceClient;
use wire::v1::broker::broker_service_client::BrokerServiceClient;
use wire::v1::broker::produce_request::Payload;
use wire::v1::broker::{
    Acks, AlterConfigsRequest, CreateTopicsRequest, FetchPartition, FetchRequest, FetchedPartition,
    NewTopic, ProduceRequest, ProduceResponse, Records,
};
use wire::v1::types::{ConfigEntry, Record};

/// Nothing here takes that long; a test that hangs fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    pub(crate) coordinator: SocketAddr,
    coordinator_life: Life<coordinator::RunError>,
}

/// A service that runs in this process.
struct Life<E> {
    stop: CancellationToken,
    task: JoinHandle<Result<(), E>>,
}

pub(crate) struct Broker {
    pub(crate) data: BrokerServiceClient<Channel>,
    pub(crate) admin: AdminServiceClient<Channel>,
    life: Life<broker::RunError>,
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Cluster {
    /// A coordinator, and no broker yet.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (coordinator, coordinator_life) = start_coordinator(dir.path(), any_port());
        Self { dir, coordinator, coordinator_life }
    }

    /// Stops the coordinator and starts it again where it was.
    pub(crate) async fn restart_coordinator(self) -> Self {
        let Self { dir, coordinator, coordinator_life } = self;
        coordinator_life.end().await;
        let (coordinator, coordinator_life) = start_coordinator(dir.path(), coordinator);
        Self { dir, coordinator, coordinator_life }
    }

    pub(crate) fn broker_config(&self, id: u32) -> broker::Config {
        broker::Config {
            broker_id: id,
            listen: any_port(),
            coordinators: vec![self.coordinator.to_string()],
            data_dir: self.dir.path().join(format!("broker-{id}")),
            ..broker::Config::default()
        }
    }

    /// A broker with the defaults, once it serves.
    pub(crate) async fn broker(&self, id: u32) -> Broker {
        Broker::start(self.broker_config(id)).await
    }

    pub(crate) async fn stop(self) {
        self.coordinator_life.end().await;
    }
}

fn start_coordinator(dir: &Path, listen: SocketAddr) -> (SocketAddr, Life<coordinator::RunError>) {
    let config = coordinator::Config {
        listen,
        data_dir: dir.join("coordinator"),
        tick_ms: 10,
        session_timeout_ms: 3_000,
        lease_ms: 2_000,
        ..coordinator::Config::default()
    };
    let app = config.build().unwrap();
    let address = app.address();
    let stop = CancellationToken::new();
    let task = tokio::spawn(app.run(stop.clone()));
    (address, Life { stop, task })
}

impl<E: std::fmt::Debug> Life<E> {
    async fn end(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

impl Broker {
    pub(crate) async fn start(config: broker::Config) -> Self {
        let app = config.build().await.unwrap();
        let address = app.address();
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone()));
        let channel = endpoint(&address.to_string()).unwrap().connect_lazy();
        timeout(PATIENCE, serves(channel.clone())).await.unwrap();
        let data = BrokerServiceClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Self { data, admin: AdminServiceClient::new(channel), life: Life { stop, task } }
    }

    /// Drains and stops.
    pub(crate) async fn stop(self) {
        drop((self.data, self.admin));
        self.life.end().await;
    }

    pub(crate) async fn create_topic(&mut self, name: &str, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(name, value)| ConfigEntry {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
        let topic =
            NewTopic { name: name.to_owned(), configs: configs.collect(), ..NewTopic::default() };
        let request = CreateTopicsRequest { topics: vec![topic], validate_only: false };
        let created = self.admin.create_topics(request).await.unwrap().into_inner();
        assert_eq!(created.topics[0].error, None);
    }

    pub(crate) async fn alter_config(&mut self, topic: &str, name: &str, value: &str) {
        let entry = ConfigEntry { name: name.to_owned(), value: value.to_owned() };
        let (topic, set) = (topic.to_owned(), vec![entry]);
        let request = AlterConfigsRequest { topic, set, ..AlterConfigsRequest::default() };
        self.admin.alter_configs(request).await.unwrap();
    }

    /// Produces records of these values to partition 0.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        acks: Acks,
        values: &[&str],
    ) -> ProduceResponse {
        let record = |value: &&str| Record {
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Record::default()
        };
        let records = Records { records: values.iter().map(record).collect() };
        self.produce_payload(topic, acks, Payload::Records(records)).await
    }

    /// Produces batches to partition 0.
    pub(crate) async fn produce_batches(&mut self, topic: &str, batches: Bytes) -> ProduceResponse {
        self.produce_payload(topic, Acks::All, Payload::Batches(batches)).await
    }

    async fn produce_payload(
        &mut self,
        topic: &str,
        acks: Acks,
        payload: Payload,
    ) -> ProduceResponse {
        let request = ProduceRequest {
            topic: topic.to_owned(),
            partition: Some(0),
            acks: acks.into(),
            timeout_ms: 0,
            payload: Some(payload),
        };
        self.data.produce(request).await.unwrap().into_inner()
    }

    /// Fetches partition 0 from an offset, waiting so long for records.
    pub(crate) async fn fetch(
        &mut self,
        topic: &str,
        offset: u64,
        max_wait: Duration,
    ) -> FetchedPartition {
        let request = FetchRequest {
            partitions: vec![partition_at(topic, offset)],
            max_wait_ms: u32::try_from(max_wait.as_millis()).unwrap(),
            ..FetchRequest::default()
        };
        let mut fetched = self.data.fetch(request).await.unwrap().into_inner();
        fetched.partitions.pop().unwrap()
    }
}

async fn serves(channel: Channel) {
    let service = "dohle.broker.v1.BrokerService".to_owned();
    let watched = HealthClient::new(channel).watch(HealthCheckRequest { service }).await;
    let mut statuses = watched.unwrap().into_inner();
    while let Some(status) = statuses.message().await.unwrap() {
        if status.status() == ServingStatus::Serving {
            return;
        }
    }
    panic!("the broker stopped before it served");
}

pub(crate) fn partition_at(topic: &str, offset: u64) -> FetchPartition {
    FetchPartition { topic: topic.to_owned(), fetch_offset: offset, ..FetchPartition::default() }
}

/// A batch as a client library builds it.
pub(crate) fn batch(compression: Compression, values: &[&str]) -> Bytes {
    batch_builder(compression, values).build().unwrap().bytes().clone()
}

/// The same, to be built.
pub(crate) fn batch_builder(compression: Compression, values: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        let now = Timestamp::from_millis(1_000);
        builder.push(now, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder
}

/// Offsets and values of fetched batches.
pub(crate) fn records(batches: &Bytes) -> Vec<(u64, String)> {
    let batches = record::Batches::new(batches.clone()).collect::<Result<Vec<Batch>, _>>();
    let records = batches.unwrap().into_iter().flat_map(|batch| batch.records().unwrap());
    records
        .map(|record| {
            let record = record.unwrap();
            let value = record.value.unwrap_or_default();
            (record.offset.get(), String::from_utf8(value.to_vec()).unwrap())
        })
        .collect()
}

/// The reason of an error in a body.
#[track_caller]
pub(crate) fn reason(error: Option<&wire::v1::types::Error>) -> &str {
    &error.expect("it was refused").reason
}

/// How many logs lie in a broker's directory.
pub(crate) fn logs(data_dir: &Path) -> usize {
    let entries = std::fs::read_dir(data_dir).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

/// The files that hold a broker's records.
pub(crate) fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let files =
        |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let folders = std::fs::read_dir(data_dir).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir());
    folders
        .flat_map(files)
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect()
}
