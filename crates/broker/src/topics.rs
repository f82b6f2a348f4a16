//! Topics and their configuration: changes go to the coordinator, and count as done here once
//! this broker's metadata has them.

use std::sync::Arc;
use std::time::Duration;

use cluster::Topic;
use thiserror::Error;
use types::{Coded, Reason, Revision, TopicName};
use wire::RemoteError;
use wire::convert::error_to_remote;
use wire::v1::coordinator::{
    AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    NewTopic, TopicResult,
};

use crate::coordinator::{Client, CoordinatorError, Coordinators};
use crate::partitions::{MetadataBehind, Partitions, RoutingError};

/// How long the coordinator may take for one change.
const CHANGE_PATIENCE: Duration = Duration::from_secs(15);
/// How long this broker's metadata may take to have it.
const METADATA_PATIENCE: Duration = Duration::from_secs(10);

/// What a topic gets that is created without saying.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopicDefaults {
    pub(crate) partitions: u32,
    pub(crate) replication_factor: u32,
    pub(crate) auto_create: AutoCreate,
}

/// What happens when a topic is named that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AutoCreate {
    /// It is created with the broker's defaults.
    Enabled,
    /// The request fails.
    Disabled,
}

/// Why topics were not changed.
#[derive(Debug, Error)]
pub(crate) enum TopicError {
    /// The coordinator refused, or none could be reached.
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
    /// The change was made, but is not seen here yet.
    #[error(transparent)]
    Behind(#[from] MetadataBehind),
    /// The topic does not exist.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// The topic does not exist and nobody may make it by naming it.
    #[error(
        "topic {topic} does not exist, and auto.create.topics.enable=false on this broker; create \
         it with `dohle topic create {topic}`"
    )]
    NotCreated {
        /// Its name.
        topic: TopicName,
    },
}

impl Coded for TopicError {
    fn reason(&self) -> Reason {
        match self {
            Self::Coordinator(error) => error.reason(),
            Self::Behind(error) => error.reason(),
            Self::Routing(error) => error.reason(),
            Self::NotCreated { .. } => Reason::UnknownTopicOrPartition,
        }
    }
}

/// What became of one topic of a request.
#[derive(Debug)]
pub(crate) struct TopicOutcome {
    pub(crate) name: String,
    pub(crate) error: Option<RemoteError>,
}

/// Serves changes to topics.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    partitions: Partitions,
    coordinators: Arc<Coordinators>,
    defaults: TopicDefaults,
}

impl Topics {
    pub(crate) const fn new(
        partitions: Partitions,
        coordinators: Arc<Coordinators>,
        defaults: TopicDefaults,
    ) -> Self {
        Self { partitions, coordinators, defaults }
    }

    /// The topic, made with the defaults if it does not exist and may be.
    ///
    /// # Errors
    ///
    /// It does not exist and could not be made.
    pub(crate) async fn find_or_create(&self, name: &TopicName) -> Result<Arc<Topic>, TopicError> {
        match self.partitions.topic(name) {
            Err(RoutingError::UnknownTopic { .. }) => {}
            found => return Ok(found?),
        }
        match self.defaults.auto_create {
            AutoCreate::Disabled => return Err(TopicError::NotCreated { topic: name.clone() }),
            AutoCreate::Enabled => {}
        }
        let new = NewTopic { name: name.to_string(), ..NewTopic::default() };
        let outcomes = self.create(vec![new], false).await?;
        let failure = outcomes.into_iter().find_map(|outcome| outcome.error);
        match failure {
            // Someone else was quicker; by the answer's revision the topic is known here too.
            Some(error) if error.reason == Reason::TopicAlreadyExists => {}
            Some(error) => return Err(CoordinatorError::Refused(error).into()),
            None => {}
        }
        Ok(self.partitions.topic(name)?)
    }

    /// Creates topics; a count of 0 stands for the broker's default.
    pub(crate) async fn create(
        &self,
        mut topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<TopicOutcome>, TopicError> {
        for topic in &mut topics {
            if topic.partitions == 0 {
                topic.partitions = self.defaults.partitions;
            }
            if topic.replication_factor == 0 {
                topic.replication_factor = self.defaults.replication_factor;
            }
        }
        let request = CreateTopicsRequest { topics, validate_only };
        let call = |mut client: Client| {
            let request = request.clone();
            async move { client.create_topics(request).await }
        };
        let answer = self.coordinators.call(CHANGE_PATIENCE, call).await?;
        self.seen(answer.revision).await?;
        Ok(outcomes(answer.topics))
    }

    /// Deletes topics with all their records.
    pub(crate) async fn delete(
        &self,
        topics: Vec<String>,
    ) -> Result<Vec<TopicOutcome>, TopicError> {
        let request = DeleteTopicsRequest { topics };
        let call = |mut client: Client| {
            let request = request.clone();
            async move { client.delete_topics(request).await }
        };
        let answer = self.coordinators.call(CHANGE_PATIENCE, call).await?;
        self.seen(answer.revision).await?;
        Ok(outcomes(answer.topics))
    }

    /// Adds partitions to a topic, `total` in the end.
    pub(crate) async fn grow(&self, topic: String, total: u32) -> Result<(), TopicError> {
        let request = CreatePartitionsRequest { topic, total };
        let call = |mut client: Client| {
            let request = request.clone();
            async move { client.create_partitions(request).await }
        };
        let answer = self.coordinators.call(CHANGE_PATIENCE, call).await?;
        self.seen(answer.revision).await
    }

    /// Changes single entries of a topic's configuration.
    pub(crate) async fn alter_configs(
        &self,
        request: AlterConfigsRequest,
    ) -> Result<(), TopicError> {
        let call = |mut client: Client| {
            let request = request.clone();
            async move { client.alter_configs(request).await }
        };
        let answer = self.coordinators.call(CHANGE_PATIENCE, call).await?;
        self.seen(answer.revision).await
    }

    /// Whoever is told of a change must find it made at the broker that told.
    async fn seen(&self, revision: u64) -> Result<(), TopicError> {
        Ok(self.partitions.reached(Revision::new(revision), METADATA_PATIENCE).await?)
    }
}

fn outcomes(results: Vec<TopicResult>) -> Vec<TopicOutcome> {
    let outcome = |result: TopicResult| TopicOutcome {
        name: result.name,
        error: result.error.map(error_to_remote),
    };
    results.into_iter().map(outcome).collect()
}
