use cluster::config::{DEFINITIONS, TopicConfigs};
use tonic::{Request, Response, Status};
use types::TopicName;
use wire::convert::error_to_proto;
use wire::v1::broker::admin_service_server::AdminService;
use wire::v1::broker::{
    AlterConfigsRequest, AlterConfigsResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribedConfig, NewTopic, TopicResult,
};
use wire::v1::coordinator;
use wire::{InvalidMessage, OrStatus};

use crate::partitions::Partitions;
use crate::topics::{TopicOutcome, Topics};

/// `AdminService`: changes go to the coordinator.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) topics: Topics,
    pub(crate) partitions: Partitions,
    /// What this broker was told for topics that do not say otherwise.
    pub(crate) topic_defaults: TopicConfigs,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn create_topics(
        &self,
        request: Request<CreateTopicsRequest>,
    ) -> Result<Response<CreateTopicsResponse>, Status> {
        let CreateTopicsRequest { topics, validate_only } = request.into_inner();
        let wanted = topics.into_iter().map(new_topic).collect();
        let outcomes = self.topics.create(wanted, validate_only).await.or_status()?;
        Ok(Response::new(CreateTopicsResponse { topics: results(outcomes) }))
    }

    async fn delete_topics(
        &self,
        request: Request<DeleteTopicsRequest>,
    ) -> Result<Response<DeleteTopicsResponse>, Status> {
        let outcomes = self.topics.delete(request.into_inner().topics).await.or_status()?;
        Ok(Response::new(DeleteTopicsResponse { topics: results(outcomes) }))
    }

    async fn create_partitions(
        &self,
        request: Request<CreatePartitionsRequest>,
    ) -> Result<Response<CreatePartitionsResponse>, Status> {
        let CreatePartitionsRequest { topic, total } = request.into_inner();
        self.topics.grow(topic, total).await.or_status()?;
        Ok(Response::new(CreatePartitionsResponse {}))
    }

    async fn describe_configs(
        &self,
        request: Request<DescribeConfigsRequest>,
    ) -> Result<Response<DescribeConfigsResponse>, Status> {
        let name = TopicName::new(&request.into_inner().topic).map_err(InvalidMessage::from)?;
        let topic = self.partitions.topic(&name).or_status()?;
        let effective = topic.configs.over(&self.topic_defaults);
        let configs = DEFINITIONS.iter().map(|definition| DescribedConfig {
            name: definition.name.to_owned(),
            value: effective.effective(definition).to_owned(),
            is_default: topic.configs.get(definition.name).is_none(),
            documentation: definition.documentation.to_owned(),
        });
        Ok(Response::new(DescribeConfigsResponse { configs: configs.collect() }))
    }

    async fn alter_configs(
        &self,
        request: Request<AlterConfigsRequest>,
    ) -> Result<Response<AlterConfigsResponse>, Status> {
        let AlterConfigsRequest { topic, set, unset, validate_only } = request.into_inner();
        let change = coordinator::AlterConfigsRequest { topic, set, unset, validate_only };
        self.topics.alter_configs(change).await.or_status()?;
        Ok(Response::new(AlterConfigsResponse {}))
    }
}

fn new_topic(topic: NewTopic) -> coordinator::NewTopic {
    let NewTopic { name, partitions, replication_factor, configs } = topic;
    coordinator::NewTopic { name, partitions, replication_factor, configs }
}

fn results(outcomes: Vec<TopicOutcome>) -> Vec<TopicResult> {
    let result = |TopicOutcome { name, error }| TopicResult {
        name,
        error: error.map(|error| error_to_proto(&error, None)),
    };
    outcomes.into_iter().map(result).collect()
}
