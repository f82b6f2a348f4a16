//! `dohle topic`: topics, their partitions and their settings.

mod delete_records;
mod describe;

use client::{Admin, Apply, ClientError, NewTopic};
use serde::Serialize;
use types::{Code, Coded as _, TopicName};

use crate::args::topic::Verb;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Show, Table};
use crate::session::Session;

/// Does what the verb says.
///
/// # Errors
///
/// No broker answers, the topic does not exist, or the cluster refuses.
pub(crate) async fn run(verb: Verb, session: &Session, output: &mut Output) -> Result<(), Failure> {
    match verb {
        Verb::Create { topics, partitions, replication_factor, config, if_not_exists, dry_run } => {
            let topic =
                |name| NewTopic { name, partitions, replication_factor, configs: config.clone() };
            let topics = topics.into_iter().map(topic).collect();
            let existing = if if_not_exists { Existing::Welcome } else { Existing::Refused };
            let apply = if dry_run { Apply::CheckOnly } else { Apply::Change };
            create(&session.client().await?.admin(), topics, existing, apply, output).await
        }
        Verb::List { internal } => list(&session.client().await?.admin(), internal, output).await,
        Verb::Describe { topic, partitions, configs } => {
            let part = match (partitions, configs) {
                (true, _) => describe::Part::Partitions,
                (false, true) => describe::Part::Configs,
                (false, false) => describe::Part::Both,
            };
            describe::run(&session.client().await?.admin(), &topic, part, output).await
        }
        Verb::Alter { topic, config, unset, partitions } => {
            if config.is_empty() && unset.is_empty() && partitions.is_none() {
                let message = "nothing to change; give --config, --unset or --partitions";
                return Err(Failure::usage(message).next("topic alter --help"));
            }
            let admin = session.client().await?.admin();
            alter(&admin, &topic, (config, unset), partitions, output).await
        }
        Verb::Delete { topics } => {
            if !session.common.yes {
                let names: Vec<_> = topics.iter().map(TopicName::as_str).collect();
                output.confirm(&format!("This deletes {} and all in it", names.join(", "))).await?;
            }
            let outcomes = session.client().await?.admin().delete_topics(&topics).await?;
            let advise = |failure: Failure, _: &TopicName| {
                failure.next_if(Exit::NotFound, || "topic list".to_owned())
            };
            report(outcomes, |result| result.map(|()| "deleted"), advise, output)
        }
        Verb::DeleteRecords(delete) => delete_records::run(delete, session, output).await,
    }
}

/// What becomes of a topic that is to be created and exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    Welcome,
    Refused,
}

async fn create(
    admin: &Admin,
    topics: Vec<NewTopic>,
    existing: Existing,
    apply: Apply,
    output: &mut Output,
) -> Result<(), Failure> {
    let done = match apply {
        Apply::Change => "created",
        Apply::CheckOnly => "can be created",
    };
    let outcomes = admin.create_topics(topics, apply).await?;
    let outcome = |result: Result<(), ClientError>| match result {
        Err(error) if error.code() == Code::AlreadyExists && existing == Existing::Welcome => {
            Ok("exists")
        }
        result => result.map(|()| done),
    };
    report(outcomes, outcome, advise, output)
}

#[derive(Serialize)]
#[serde(transparent)]
struct Outcomes(Vec<Outcome>);

#[derive(Serialize)]
struct Outcome {
    topic: String,
    outcome: &'static str,
}

impl Show for Outcomes {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::facts();
        for Outcome { topic, outcome } in &self.0 {
            table.fact(topic, outcome);
        }
        vec![table]
    }
}

/// Shows what was done; what was not is an error, the last one the command's.
fn report(
    results: client::Outcomes<TopicName, ()>,
    outcome: impl Fn(Result<(), ClientError>) -> Result<&'static str, ClientError>,
    advise: impl Fn(Failure, &TopicName) -> Failure,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut done = Vec::new();
    let mut failures = Vec::new();
    for (topic, result) in results {
        match outcome(result) {
            Ok(outcome) => done.push(Outcome { topic: topic.to_string(), outcome }),
            Err(error) => failures.push(advise(error.into(), &topic)),
        }
    }
    if !done.is_empty() {
        output.show(&Outcomes(done))?;
    }
    let Some(last) = failures.pop() else { return Ok(()) };
    for failure in failures {
        output.finish(Err(failure));
    }
    Err(last)
}

async fn alter(
    admin: &Admin,
    topic: &TopicName,
    (set, unset): (Vec<(String, String)>, Vec<String>),
    partitions: Option<u32>,
    output: &mut Output,
) -> Result<(), Failure> {
    if !set.is_empty() || !unset.is_empty() {
        let altered = admin.alter_configs(topic, set, unset, Apply::Change).await;
        altered.map_err(|error| advise(error.into(), topic))?;
    }
    if let Some(total) = partitions {
        let added = admin.create_partitions(topic, total).await;
        added.map_err(|error| advise(error.into(), topic))?;
    }
    let done = Outcome { topic: topic.to_string(), outcome: "altered" };
    Ok(output.show(&Outcomes(vec![done]))?)
}

/// What to do about a failure that concerns one topic.
fn advise(failure: Failure, topic: &TopicName) -> Failure {
    match failure.exit() {
        Exit::NotFound => failure.next(format!("topic create {topic}")),
        Exit::Conflict => failure.next(format!("topic describe {topic}")),
        Exit::Usage => failure.next("topic create --help"),
        Exit::Success
        | Exit::Other
        | Exit::Unreachable
        | Exit::Denied
        | Exit::Fenced
        | Exit::Interrupted => failure,
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Topics(Vec<TopicRow>);

#[derive(Serialize)]
struct TopicRow {
    topic: String,
    topic_id: String,
    partitions: usize,
    replication_factor: usize,
}

impl Show for Topics {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new(["topic", "partitions", "replicas"]);
        for row in &self.0 {
            let counts = (row.partitions.to_string(), row.replication_factor.to_string());
            table.row([row.topic.clone(), counts.0, counts.1]);
        }
        vec![table]
    }
}

async fn list(admin: &Admin, internal: bool, output: &mut Output) -> Result<(), Failure> {
    let mut topics = admin.list_topics().await?;
    topics.retain(|topic| internal || !topic.name.is_internal());
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    let row = |topic: &std::sync::Arc<cluster::Topic>| TopicRow {
        topic: topic.name.to_string(),
        topic_id: topic.id.to_string(),
        partitions: topic.partitions.len(),
        replication_factor: topic.partitions.first().map_or(0, |first| first.replicas.len()),
    };
    let rows = Topics(topics.iter().map(row).collect());
    if rows.0.is_empty() {
        output.note("there are no topics; try: dohle topic create orders");
    }
    Ok(output.show(&rows)?)
}
