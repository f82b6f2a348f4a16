//! Questions about partitions, each put to the broker that leads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use tonic::transport::Channel;
use types::{TopicName, TopicPartition};

use crate::ClientError;
use crate::admin::Outcomes;
use crate::metadata::{Metadata, Missing, no_leader};

/// What is asked, of which partition.
type Question<Q> = (TopicPartition, Q);

/// Leaders that moved are looked up anew this often; whoever wants more patience asks again.
const ROUNDS: usize = 2;

/// Puts a question about each partition to its leader, as many as one broker leads in one request.
/// Every question has its own outcome, in the order asked. It may be put twice: only for questions
/// that do no harm then.
///
/// `ask` sends one request, and answers in the order of its questions.
///
/// # Errors
///
/// No broker answers, so that nobody knows the leaders.
pub(crate) async fn ask_leaders<Q, A, Fut>(
    metadata: &Metadata,
    questions: &[Question<Q>],
    ask: impl Fn(Channel, Vec<Question<Q>>) -> Fut,
) -> Result<Outcomes<TopicPartition, A>, ClientError>
where
    Q: Clone,
    Fut: Future<Output = Result<Outcomes<TopicPartition, A>, ClientError>>,
{
    let mut outcomes = BTreeMap::new();
    for round in 0..ROUNDS {
        let is_open = |(index, _): &(usize, _)| match outcomes.get(index) {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => ClientError::is_transient(error),
        };
        let open: Vec<_> = questions.iter().enumerate().filter(is_open).collect();
        if open.is_empty() {
            break;
        }
        let unknown = learn(metadata, open.iter().map(|(_, (of, _))| of), round).await?;
        let unled = |of: &TopicPartition| {
            let unknown = unknown.get(&of.topic).cloned();
            unknown.unwrap_or_else(|| unled(metadata, of))
        };
        outcomes.extend(ask_each(metadata, &open, &ask, unled).await);
    }
    Ok(questions.iter().map(|(of, _)| of.clone()).zip(outcomes.into_values()).collect())
}

/// Has the topics known: at first those that never were, later all of them anew. Returns those that
/// cannot be, and why.
async fn learn(
    metadata: &Metadata,
    partitions: impl Iterator<Item = &TopicPartition>,
    round: usize,
) -> Result<BTreeMap<TopicName, ClientError>, ClientError> {
    let mut unknown = BTreeMap::new();
    let topics: BTreeSet<TopicName> = partitions.map(|of| of.topic.clone()).collect();
    for topic in topics {
        if 0 < round || metadata.known_topic(&topic).is_none() {
            match metadata.refresh(&topic, Missing::Refuse).await {
                Err(error @ ClientError::Unreachable { .. }) => return Err(error),
                Err(error) => {
                    unknown.insert(topic, error);
                }
                Ok(_) => {}
            }
        }
    }
    Ok(unknown)
}

async fn ask_each<Q, A, Fut>(
    metadata: &Metadata,
    open: &[(usize, &Question<Q>)],
    ask: &impl Fn(Channel, Vec<Question<Q>>) -> Fut,
    unled: impl Fn(&TopicPartition) -> ClientError,
) -> BTreeMap<usize, Result<A, ClientError>>
where
    Q: Clone,
    Fut: Future<Output = Result<Outcomes<TopicPartition, A>, ClientError>>,
{
    let mut outcomes = BTreeMap::new();
    let mut by_leader: BTreeMap<Arc<str>, Vec<(usize, Question<Q>)>> = BTreeMap::new();
    for (index, question) in open {
        match metadata.leader(&question.0) {
            Some(leader) => {
                by_leader.entry(leader.address).or_default().push((*index, (*question).clone()));
            }
            None => {
                outcomes.insert(*index, Err(unled(&question.0)));
            }
        }
    }
    let requests = by_leader.into_iter().map(async |(address, group)| {
        let (indices, questions): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let answers = match metadata.connection(&address).await {
            Ok(channel) => ask(channel, questions.clone()).await,
            Err(error) => Err(error),
        };
        if answers.as_ref().is_err_and(ClientError::is_transient) {
            metadata.forget(&address);
        }
        indices.into_iter().zip(matched(&questions, answers)).collect::<Vec<_>>()
    });
    outcomes.extend(join_all(requests).await.into_iter().flatten());
    outcomes
}

/// One answer for each question; a request that failed fails each of its questions.
fn matched<Q, A>(
    questions: &[Question<Q>],
    answers: Result<Outcomes<TopicPartition, A>, ClientError>,
) -> Vec<Result<A, ClientError>> {
    let unanswered =
        || ClientError::InvalidAnswer(wire::InvalidMessage::Missing { field: "partitions" });
    match answers {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            let answer = |(asked, _): &Question<Q>| match answers.next() {
                Some((of, answer)) if of == *asked => answer,
                Some(_) | None => Err(unanswered()),
            };
            questions.iter().map(answer).collect()
        }
        Err(error) => questions.iter().map(|_| Err(error.clone())).collect(),
    }
}

/// Why nobody can be asked about a partition.
fn unled(metadata: &Metadata, of: &TopicPartition) -> ClientError {
    match metadata.known_topic(&of.topic) {
        Some(topic) if topic.partition(of.partition).is_none() => ClientError::UnknownPartition {
            topic_partition: of.clone(),
            partitions: topic.partitions.len(),
        },
        Some(_) | None => no_leader(of),
    }
}
