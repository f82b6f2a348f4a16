//! A broker with its logs in memory, that refuses, hangs and breaks off on demand.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::Stream;
use record::{Batch, Batches, Compression};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use types::Reason;
use wire::v1::broker as v1;
use wire::v1::broker::broker_service_server::{BrokerService, BrokerServiceServer};
use wire::v1::types as t;
use wire::{RemoteError, convert, to_status};

use crate::log::Log;

/// What becomes of the next produce. Without one it is appended and answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Produce {
    Append,
    Refuse(Reason),
    AppendAndTimeOut,
    AppendAndAnswerTwice,
    AppendAndBreakOff,
    AppendAndNeverAnswer,
    BreakOff,
    /// It reaches the log only behind the next one, which comes on another connection.
    BreakOffAndAppendLater,
    ShutDown,
    /// Nothing more of the connection is read before the broker is told to go on.
    AppendOnceTold,
}

#[derive(Debug)]
struct State {
    logs: Vec<Log>,
    produces: VecDeque<Produce>,
    /// The value of a record that breaks a rule: whatever holds it is refused.
    unfit: Option<&'static str>,
    /// Produces that are still on their way although their connections are gone.
    stragglers: Vec<v1::ProduceStreamRequest>,
    next_producer_id: u64,
    /// How often it is still to refuse to give out a producer id.
    nameless: usize,
    /// Fetched batches after which fetch streams break off, once each.
    breaks: VecDeque<usize>,
    /// The most bytes sent beyond what was granted.
    overdrawn: i64,
    fetch_streams: usize,
    configs: Vec<t::ConfigEntry>,
    /// How often it is still to say that it knows no topics yet.
    unready: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeBroker {
    port: u16,
    state: Arc<Mutex<State>>,
    appended: watch::Sender<()>,
    /// Whether what waits to be told goes on.
    told: watch::Sender<bool>,
    /// Produce streams that were read to their end.
    read: watch::Sender<usize>,
}

fn remote(reason: Reason) -> RemoteError {
    RemoteError { reason, message: reason.to_string(), leader: None, coordinator: None }
}

impl FakeBroker {
    pub(crate) async fn start(partitions: usize) -> Self {
        let incoming = wire::transport::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let state = State {
            logs: std::iter::repeat_with(Log::new).take(partitions).collect(),
            produces: VecDeque::new(),
            stragglers: Vec::new(),
            next_producer_id: 1000,
            nameless: 0,
            breaks: VecDeque::new(),
            overdrawn: 0,
            fetch_streams: 0,
            configs: Vec::new(),
            unready: 0,
            unfit: None,
        };
        let broker = Self {
            port: incoming.local_addr().unwrap().port(),
            state: Arc::new(Mutex::new(state)),
            appended: watch::Sender::new(()),
            told: watch::Sender::new(false),
            read: watch::Sender::new(0),
        };
        let service = BrokerServiceServer::new(broker.clone());
        tokio::spawn(async move {
            wire::transport::server().add_service(service).serve_with_incoming(incoming).await
        });
        // Let the server have its first turn.
        tokio::task::yield_now().await;
        broker
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn next_produces(&self, produces: impl IntoIterator<Item = Produce>) {
        self.state().produces.extend(produces);
    }

    /// Refuses for good whatever holds a record with this value.
    pub(crate) fn refuse_value(&self, unfit: &'static str) {
        self.state().unfit = Some(unfit);
    }

    /// Has whatever waits for it read on; returns once a stream was read to its end.
    pub(crate) async fn go_on(&self) {
        let mut read = self.read.subscribe();
        self.told.send_replace(true);
        read.changed().await.unwrap();
    }

    fn is_unfit(&self, request: &v1::ProduceStreamRequest) -> bool {
        let unfit = self.state().unfit;
        unfit.is_some_and(|unfit| {
            crate::log::values_of(request.batches.clone()).contains(&unfit.into())
        })
    }

    pub(crate) fn forget_orders(&self) {
        self.state().produces.clear();
    }

    pub(crate) fn break_fetches_after(&self, batches: impl IntoIterator<Item = usize>) {
        self.state().breaks.extend(batches);
    }

    pub(crate) fn set_log_start(&self, partition: usize, start: u64) {
        self.state().logs[partition].start = start;
    }

    pub(crate) fn configure(&self, name: &str, value: &str) {
        let entry = t::ConfigEntry { name: name.to_owned(), value: value.to_owned() };
        self.state().configs.push(entry);
    }

    pub(crate) fn give_no_producer_id_for(&self, requests: usize) {
        self.state().nameless = requests;
    }

    pub(crate) fn producer_ids_given(&self) -> u64 {
        self.state().next_producer_id - 1000
    }

    pub(crate) fn lose_all(&self, partition: usize) {
        self.state().logs[partition].lose_all();
    }

    pub(crate) fn know_no_topics_for(&self, requests: usize) {
        self.state().unready = requests;
    }

    fn is_unready(&self) -> bool {
        let mut state = self.state();
        let left = state.unready.checked_sub(1);
        state.unready = left.unwrap_or_default();
        left.is_some()
    }

    /// The size of every batch of a partition.
    pub(crate) fn batch_sizes(&self, partition: usize) -> Vec<usize> {
        self.state().logs[partition].batches.iter().map(|batch| batch.bytes().len()).collect()
    }

    /// How the batches of a partition are packed.
    pub(crate) fn codecs(&self, partition: usize) -> Vec<Compression> {
        self.state().logs[partition]
            .batches
            .iter()
            .map(|batch| batch.header().compression)
            .collect()
    }

    pub(crate) fn overdrawn(&self) -> i64 {
        self.state().overdrawn
    }

    pub(crate) fn fetch_streams(&self) -> usize {
        self.state().fetch_streams
    }

    /// The values of a partition in the order of its log.
    pub(crate) fn values(&self, partition: usize) -> Vec<String> {
        self.state().logs[partition].values()
    }

    fn append(&self, request: &v1::ProduceStreamRequest) -> v1::ProduceStreamResponse {
        let mut state = self.state();
        let appended = state.logs[request.partition as usize].append(request.batches.clone());
        for late in std::mem::take(&mut state.stragglers) {
            // Nobody hears of it.
            state.logs[late.partition as usize].append(late.batches).ok();
        }
        self.appended.send_replace(());
        let error = |reason| convert::error_to_proto(&remote(reason), None);
        v1::ProduceStreamResponse {
            correlation_id: request.correlation_id,
            base_offset: appended.ok(),
            error: appended.err().map(error),
            ..Default::default()
        }
    }

    async fn serve_produces(
        self,
        mut requests: Streaming<v1::ProduceStreamRequest>,
        answers: mpsc::Sender<Result<v1::ProduceStreamResponse, Status>>,
    ) {
        while let Ok(Some(request)) = requests.message().await {
            let order = if self.is_unfit(&request) {
                Produce::Refuse(Reason::InvalidRecord)
            } else {
                self.state().produces.pop_front().unwrap_or(Produce::Append)
            };
            let correlation_id = request.correlation_id;
            let refuse = |reason| v1::ProduceStreamResponse {
                correlation_id,
                error: Some(convert::error_to_proto(&remote(reason), None)),
                ..Default::default()
            };
            let broken = || Err(Status::unavailable("broken"));
            let answered = match order {
                Produce::Append => Ok(self.append(&request)),
                Produce::Refuse(reason) => Ok(refuse(reason)),
                Produce::AppendAndTimeOut => {
                    let appended = self.append(&request);
                    Ok(if appended.error.is_some() {
                        appended
                    } else {
                        refuse(Reason::RequestTimedOut)
                    })
                }
                Produce::AppendAndAnswerTwice => {
                    let answer = self.append(&request);
                    answers.send(Ok(answer.clone())).await.ok();
                    Ok(answer)
                }
                Produce::AppendAndBreakOff => {
                    self.append(&request);
                    broken()
                }
                Produce::AppendAndNeverAnswer => {
                    self.append(&request);
                    continue;
                }
                Produce::BreakOff => broken(),
                Produce::BreakOffAndAppendLater => {
                    self.state().stragglers.push(request);
                    broken()
                }
                Produce::AppendOnceTold => {
                    self.told.subscribe().wait_for(|told| *told).await.unwrap();
                    Ok(self.append(&request))
                }
                Produce::ShutDown => Err(to_status(&remote(Reason::ShuttingDown))),
            };
            let goes_on = answered.is_ok();
            answers.send(answered).await.ok();
            if !goes_on {
                return;
            }
        }
        self.read.send_modify(|streams| *streams += 1);
    }

    async fn serve_fetches(
        self,
        mut requests: Streaming<v1::FetchStreamRequest>,
        answers: mpsc::Sender<Result<v1::FetchStreamResponse, Status>>,
    ) {
        let mut left = self.state().breaks.pop_front().unwrap_or(usize::MAX);
        self.state().fetch_streams += 1;
        let mut assigned: Vec<v1::FetchPartition> = Vec::new();
        let mut credit = 0_i64;
        let mut appended = self.appended.subscribe();
        loop {
            for asked in &mut assigned {
                while 0 < credit
                    && let Some(fetched) = self.fetch(asked)
                {
                    if left == 0 {
                        answers.send(Err(Status::unavailable("broken"))).await.ok();
                        return;
                    }
                    left -= 1;
                    credit -= i64::try_from(fetched.batches.len()).unwrap();
                    let overdrawn = self.state().overdrawn.max(-credit);
                    self.state().overdrawn = overdrawn;
                    let answer = v1::FetchStreamResponse { partition: Some(fetched) };
                    if answers.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                request = requests.message() => {
                    let Ok(Some(request)) = request else { return };
                    credit += i64::try_from(request.credit_bytes).unwrap();
                    for named in &request.unassign {
                        assigned.retain(|asked| asked.partition != named.partition);
                    }
                    for named in request.assign {
                        assigned.retain(|asked| asked.partition != named.partition);
                        assigned.push(named);
                    }
                }
                Ok(()) = appended.changed() => {}
            }
        }
    }

    /// The next batch for a reader, or the error that ends its reading.
    fn fetch(&self, asked: &mut v1::FetchPartition) -> Option<v1::FetchedPartition> {
        let state = self.state();
        let partition = asked.partition as usize;
        let log = &state.logs[partition];
        let (start, end) = (log.start, log.end());
        let mut fetched = v1::FetchedPartition {
            topic: asked.topic.clone(),
            partition: asked.partition,
            high_watermark: end,
            log_start_offset: start,
            ..Default::default()
        };
        if asked.fetch_offset == u64::MAX {
            return None;
        }
        if asked.fetch_offset < start || end < asked.fetch_offset {
            fetched.error = Some(convert::error_to_proto(&remote(Reason::OffsetOutOfRange), None));
            asked.fetch_offset = u64::MAX;
            return Some(fetched);
        }
        let holds = |batch: &&Batch| asked.fetch_offset < batch.header().end_offset().get();
        let batch = log.batches.iter().find(holds)?;
        asked.fetch_offset = batch.header().end_offset().get();
        fetched.batches = batch.bytes().clone();
        Some(fetched)
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl BrokerService for FakeBroker {
    type ProduceStreamStream = Answers<v1::ProduceStreamResponse>;
    type FetchStreamStream = Answers<v1::FetchStreamResponse>;

    async fn produce_stream(
        &self,
        requests: Request<Streaming<v1::ProduceStreamRequest>>,
    ) -> Result<Response<Self::ProduceStreamStream>, Status> {
        let (answers, answered) = mpsc::channel(16);
        tokio::spawn(self.clone().serve_produces(requests.into_inner(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
    }

    async fn fetch_stream(
        &self,
        requests: Request<Streaming<v1::FetchStreamRequest>>,
    ) -> Result<Response<Self::FetchStreamStream>, Status> {
        let (answers, answered) = mpsc::channel(1);
        tokio::spawn(self.clone().serve_fetches(requests.into_inner(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
    }

    async fn list_offsets(
        &self,
        request: Request<v1::ListOffsetsRequest>,
    ) -> Result<Response<v1::ListOffsetsResponse>, Status> {
        use v1::list_offsets_partition::At;
        let state = self.state();
        let listed = |asked: v1::ListOffsetsPartition| {
            let partition = asked.partition as usize;
            let log = &state.logs[partition];
            let bytes = || log.batches.iter().flat_map(|batch| batch.bytes().to_vec());
            let batches = || Batches::new(bytes().collect());
            let offset = match asked.at.unwrap() {
                At::Earliest(_) => Some(log.start),
                At::Latest(_) => Some(log.end()),
                At::TimestampMs(millis) => batches()
                    .flat_map(|batch| batch.unwrap().records().unwrap())
                    .map(Result::unwrap)
                    .find(|record| millis <= record.timestamp.as_millis())
                    .map(|record| record.offset.get()),
            };
            let (topic, partition) = (asked.topic, asked.partition);
            v1::ListedOffset { topic, partition, offset, ..Default::default() }
        };
        let offsets = request.into_inner().partitions.into_iter().map(listed).collect();
        Ok(Response::new(v1::ListOffsetsResponse { offsets }))
    }

    async fn init_producer_id(
        &self,
        _request: Request<v1::InitProducerIdRequest>,
    ) -> Result<Response<v1::InitProducerIdResponse>, Status> {
        let mut state = self.state();
        if let Some(left) = state.nameless.checked_sub(1) {
            state.nameless = left;
            return Err(to_status(&remote(Reason::CoordinatorNotAvailable)));
        }
        let producer_id = state.next_producer_id;
        state.next_producer_id += 1;
        Ok(Response::new(v1::InitProducerIdResponse { producer_id, producer_epoch: 0 }))
    }

    async fn describe_cluster(
        &self,
        _request: Request<v1::DescribeClusterRequest>,
    ) -> Result<Response<v1::DescribeClusterResponse>, Status> {
        Ok(Response::new(v1::DescribeClusterResponse::default()))
    }

    async fn describe_topics(
        &self,
        request: Request<v1::DescribeTopicsRequest>,
    ) -> Result<Response<v1::DescribeTopicsResponse>, Status> {
        if self.is_unready() {
            return Err(to_status(&remote(Reason::LeaderNotAvailable)));
        }
        let endpoint =
            t::BrokerEndpoint { broker_id: 1, host: "127.0.0.1".into(), port: self.port.into() };
        let broker = t::Broker { endpoint: Some(endpoint), ..Default::default() };
        let partition = |partition| t::Partition {
            partition,
            leader: Some(1),
            replicas: vec![1],
            isr: vec![1],
            ..Default::default()
        };
        let (count, configs) = {
            let state = self.state();
            (u32::try_from(state.logs.len()).unwrap(), state.configs.clone())
        };
        let describe = |name: String| v1::DescribedTopic {
            topic: Some(t::Topic {
                name: name.clone(),
                topic_id: Bytes::from_static(&[7; 16]),
                partitions: (0..count).map(partition).collect(),
                configs: configs.clone(),
            }),
            name,
            error: None,
        };
        Ok(Response::new(v1::DescribeTopicsResponse {
            topics: request.into_inner().topics.into_iter().map(describe).collect(),
            brokers: vec![broker],
        }))
    }

    async fn delete_records(
        &self,
        _request: Request<v1::DeleteRecordsRequest>,
    ) -> Result<Response<v1::DeleteRecordsResponse>, Status> {
        Err(Status::unimplemented("nothing here asks for it"))
    }

    async fn produce(
        &self,
        _request: Request<v1::ProduceRequest>,
    ) -> Result<Response<v1::ProduceResponse>, Status> {
        Err(Status::unimplemented("the client streams"))
    }

    async fn fetch(
        &self,
        _request: Request<v1::FetchRequest>,
    ) -> Result<Response<v1::FetchResponse>, Status> {
        Err(Status::unimplemented("the client streams"))
    }
}
