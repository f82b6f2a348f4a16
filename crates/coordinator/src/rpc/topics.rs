//! Many topics in one request: what is wrong with one of them is said in its own result.

use types::{TopicId, TopicName};
use wire::convert::{error_to_proto, new_topic_from_proto};
use wire::v1::coordinator as v1;
use wire::v1::types::Error;

use super::{Rpc, mode};
use crate::request::{Decision, Mode, RequestError};

/// Topics that one request may name.
const MAX_TOPICS: usize = 1000;

impl Rpc {
    pub(super) async fn create_all(
        &self,
        request: v1::CreateTopicsRequest,
    ) -> Result<v1::CreateTopicsResponse, RequestError> {
        check_count(request.topics.len())?;
        let mut wanted = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let name = topic.name.clone();
            let decision = match new_topic_from_proto(topic) {
                Ok(wanted) => Ok(Decision::CreateTopic { wanted, id: fresh_topic_id()? }),
                Err(error) => Err(error_to_proto(&error, None)),
            };
            wanted.push((name, decision));
        }
        let (topics, revision) = self.change_each(wanted, mode(request.validate_only)).await?;
        Ok(v1::CreateTopicsResponse { topics, revision })
    }

    pub(super) async fn delete_all(
        &self,
        request: v1::DeleteTopicsRequest,
    ) -> Result<v1::DeleteTopicsResponse, RequestError> {
        check_count(request.topics.len())?;
        let unwanted = request.topics.into_iter().map(|name| {
            let decision = TopicName::new(&name).map(|name| Decision::DeleteTopic { name });
            (name, decision.map_err(|error| error_to_proto(&error, None)))
        });
        let (topics, revision) = self.change_each(unwanted.collect(), Mode::Apply).await?;
        Ok(v1::DeleteTopicsResponse { topics, revision })
    }

    /// Takes those decisions that could be made out; results come in the order of the request.
    async fn change_each(
        &self,
        named: Vec<(String, Result<Decision, Error>)>,
        mode: Mode,
    ) -> Result<(Vec<v1::TopicResult>, u64), RequestError> {
        let mut topics = Vec::with_capacity(named.len());
        let mut decisions = Vec::new();
        for (name, decision) in named {
            let error = decision.map(|decision| decisions.push(decision)).err();
            topics.push((name, error));
        }
        let changed = self.change(decisions, mode).await?;
        let mut results = changed.results.into_iter();
        let topics = topics.into_iter().map(|(name, unreadable)| {
            let refused = || results.next()?.err().map(|error| error_to_proto(&error, None));
            v1::TopicResult { name, error: unreadable.or_else(refused) }
        });
        Ok((topics.collect(), changed.revision.get()))
    }
}

fn check_count(given: usize) -> Result<(), RequestError> {
    if given <= MAX_TOPICS {
        return Ok(());
    }
    Err(RequestError::TooMany { given, limit: MAX_TOPICS })
}

/// Drawn here, so that every coordinator applies the same id.
fn fresh_topic_id() -> Result<TopicId, RequestError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_unavailable| RequestError::NoRandomness)?;
    Ok(TopicId::from_bytes(id))
}
