use std::pin::Pin;

use futures::Stream;
use tonic::{Request, Response, Status, Streaming};
use wire::OrStatus;
use wire::bounds::Purses;
use wire::v1::broker::broker_service_server::BrokerService;
use wire::v1::broker::{
    DeleteRecordsRequest, DeleteRecordsResponse, DescribeClusterRequest, DescribeClusterResponse,
    DescribeTopicsRequest, DescribeTopicsResponse, FetchRequest, FetchResponse, FetchStreamRequest,
    FetchStreamResponse, InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest,
    ListOffsetsResponse, ProduceRequest, ProduceResponse, ProduceStreamRequest,
    ProduceStreamResponse,
};

use super::arrival::Arrival;
use super::fetch_stream::FetchStreams;
use super::produce_stream::ProduceStreams;
use super::{Forwarder, delete_records, describe, fetch, init_producer_id, offsets, produce};
use crate::deletion::Deletion;
use crate::fetching::Fetching;
use crate::listing::Listing;
use crate::producer_ids::ProducerIds;
use crate::producing::Producing;
use crate::topics::Topics;

/// `BrokerService`: one file for each call. [`DataServer`](super::DataServer) serves it.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) producing: Producing,
    pub(crate) fetching: Fetching,
    pub(crate) listing: Listing,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) deletion: Deletion,
    pub(crate) topics: Topics,
    pub(crate) cluster: describe::Cluster,
    pub(crate) forwarder: Forwarder,
    pub(crate) produce_streams: ProduceStreams,
    pub(crate) fetch_streams: FetchStreams,
    pub(crate) fetch_limits: fetch::Limits,
    /// The memory for answers.
    pub(crate) purses: Purses,
}

/// What a streaming call answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl BrokerService for Data {
    async fn produce(
        &self,
        request: Request<ProduceRequest>,
    ) -> Result<Response<ProduceResponse>, Status> {
        produce::produce(self, request).await
    }

    type ProduceStreamStream = Answers<ProduceStreamResponse>;

    async fn produce_stream(
        &self,
        request: Request<Streaming<ProduceStreamRequest>>,
    ) -> Result<Response<Self::ProduceStreamStream>, Status> {
        let arrival = Arrival::of(&request);
        let answers = self.produce_streams.open(request.into_inner(), arrival);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        fetch::fetch(self, request).await
    }

    type FetchStreamStream = Answers<FetchStreamResponse>;

    async fn fetch_stream(
        &self,
        request: Request<Streaming<FetchStreamRequest>>,
    ) -> Result<Response<Self::FetchStreamStream>, Status> {
        let purse = self.purses.of(request.extensions());
        let arrival = Arrival::of(&request);
        let answers = self.fetch_streams.open(request.into_inner(), purse, arrival);
        Ok(answers.map(|answers| -> Self::FetchStreamStream { Box::pin(answers) }))
    }

    async fn list_offsets(
        &self,
        request: Request<ListOffsetsRequest>,
    ) -> Result<Response<ListOffsetsResponse>, Status> {
        offsets::list_offsets(self, request).await
    }

    async fn init_producer_id(
        &self,
        request: Request<InitProducerIdRequest>,
    ) -> Result<Response<InitProducerIdResponse>, Status> {
        init_producer_id::init_producer_id(self, request).await
    }

    async fn delete_records(
        &self,
        request: Request<DeleteRecordsRequest>,
    ) -> Result<Response<DeleteRecordsResponse>, Status> {
        delete_records::delete_records(self, request).await
    }

    async fn describe_cluster(
        &self,
        request: Request<DescribeClusterRequest>,
    ) -> Result<Response<DescribeClusterResponse>, Status> {
        Ok(Response::new(self.cluster.describe(&Arrival::of(&request))))
    }

    async fn describe_topics(
        &self,
        request: Request<DescribeTopicsRequest>,
    ) -> Result<Response<DescribeTopicsResponse>, Status> {
        let purse = self.purses.of(request.extensions());
        let arrival = Arrival::of(&request);
        let request = describe::each_once(request.into_inner());
        let held = purse.take_for_answer(self.cluster.size(&request)).await.or_status()?;
        let described = self.cluster.describe_topics(&self.topics, request, &arrival).await;
        Ok(fetch::owing(Response::new(described.or_status()?), &purse, held))
    }
}
