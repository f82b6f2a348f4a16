use cluster::config::{DEFINITIONS, TopicConfigs};
use tonic::{Request, Response, Status};
use types::TopicName;
use wire::bounds::Purses;
use wire::convert::error_to_proto;
use wire::v1::broker::admin_service_server::AdminService;
use wire::v1::broker::{
    AlterConfigsRequest, AlterConfigsResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribedConfig, NewTopic, TopicResult,
};
use wire::v1::coordinator;
use wire::{InvalidMessage, OrStatus};

use super::fetch::owing;
use crate::partitions::Partitions;
use crate::topics::{TopicOutcome, Topics};

/// `AdminService`: changes go to the coordinator.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) topics: Topics,
    pub(crate) partitions: Partitions,
    /// What this broker was told for topics that do not say otherwise.
    pub(crate) topic_defaults: TopicConfigs,
    /// The memory for answers.
    pub(crate) purses: Purses,
}

/// What the outcome for one topic takes in memory, in bytes, and what all configs of one do.
const OUTCOME: usize = 512;
const CONFIGS: usize = 16 * 1024;

#[tonic::async_trait]
impl AdminService for Admin {
    async fn create_topics(
        &self,
        request: Request<CreateTopicsRequest>,
    ) -> Result<Response<CreateTopicsResponse>, Status> {
        let purse = self.purses.of(request.extensions());
        let CreateTopicsRequest { topics, validate_only } = request.into_inner();
        // Taken once the coordinator has answered: others need it meanwhile.
        let bytes = outcomes(topics.len());
        purse.check_answer(bytes).or_status()?;
        let wanted = topics.into_iter().map(new_topic).collect();
        let outcomes = self.topics.create(wanted, validate_only).await.or_status()?;
        let held = purse.take(bytes).await;
        Ok(owing(Response::new(CreateTopicsResponse { topics: results(outcomes) }), &purse, held))
    }

    async fn delete_topics(
        &self,
        request: Request<DeleteTopicsRequest>,
    ) -> Result<Response<DeleteTopicsResponse>, Status> {
        let purse = self.purses.of(request.extensions());
        let DeleteTopicsRequest { topics } = request.into_inner();
        let bytes = outcomes(topics.len());
        purse.check_answer(bytes).or_status()?;
        let outcomes = self.topics.delete(topics).await.or_status()?;
        let held = purse.take(bytes).await;
        Ok(owing(Response::new(DeleteTopicsResponse { topics: results(outcomes) }), &purse, held))
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
        let purse = self.purses.of(request.extensions());
        let name = TopicName::new(&request.into_inner().topic).map_err(InvalidMessage::from)?;
        let held = purse.take(CONFIGS).await;
        let topic = self.partitions.topic(&name).or_status()?;
        let effective = topic.configs.over(&self.topic_defaults);
        let configs = DEFINITIONS.iter().map(|definition| DescribedConfig {
            name: definition.name.to_owned(),
            value: effective.effective(definition).to_owned(),
            is_default: topic.configs.get(definition.name).is_none(),
            documentation: definition.documentation.to_owned(),
        });
        let described = DescribeConfigsResponse { configs: configs.collect() };
        Ok(owing(Response::new(described), &purse, held))
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

/// What the outcomes for so many topics take in memory, roughly.
const fn outcomes(topics: usize) -> usize {
    topics.saturating_mul(OUTCOME)
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
