use std::collections::BTreeSet;
use std::path::Path;

use client::{Admin, DeleteBefore};
use serde::{Deserialize, Serialize};
use types::{Offset, PartitionId, TopicName, TopicPartition};

use super::advise;
use crate::args::topic::DeleteRecords;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Show, Table};
use crate::session::Session;

/// What is to go.
type Plan = Vec<(TopicPartition, DeleteBefore)>;

/// Deletes records, once someone has agreed.
///
/// # Errors
///
/// A partition does not exist, or its offset lies beyond what is committed; the others' records
/// are gone then.
pub(super) async fn run(
    delete: DeleteRecords,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let DeleteRecords { topic, partitions, before_offset, offset_json_file } = delete;
    // Before the cluster is asked for anything.
    let from_file = offset_json_file.as_deref().map(read_plan).transpose()?;
    let admin = session.client().await?.admin();
    let plan = match (from_file, topic, before_offset) {
        (Some(plan), _, _) => plan,
        (None, Some(topic), Some(before)) => plan_of(&admin, &topic, &partitions, before).await?,
        (None, _, _) => {
            let message = "name a topic and --before-offset, or give --offset-json-file";
            return Err(Failure::usage(message).next("topic delete-records --help"));
        }
    };
    if !session.common.yes {
        output.confirm(&in_words(&plan)).await?;
    }
    let mut done = Vec::new();
    let mut failures = Vec::new();
    for (of, outcome) in admin.delete_records(&plan).await? {
        match outcome {
            Ok(low_watermark) => done.push(DeletedRow {
                topic: of.topic.to_string(),
                partition: of.partition.get(),
                low_watermark: low_watermark.get(),
            }),
            Err(error) => failures.push(advise(error.into(), &of.topic)),
        }
    }
    if !done.is_empty() {
        output.show(&Deleted(done))?;
    }
    let Some(last) = failures.pop() else { return Ok(()) };
    for failure in failures {
        output.finish(Err(failure));
    }
    Err(last)
}

async fn plan_of(
    admin: &Admin,
    topic: &TopicName,
    partitions: &[u32],
    before: DeleteBefore,
) -> Result<Plan, Failure> {
    let named = |partition| (TopicPartition::new(topic.clone(), partition), before);
    if !partitions.is_empty() {
        // One that is named twice is meant once.
        let partitions: BTreeSet<_> = partitions.iter().copied().collect();
        return Ok(partitions.into_iter().map(|id| named(PartitionId::new(id))).collect());
    }
    if before != DeleteBefore::HighWatermark {
        let message = "an offset means something else in every partition; add --partition, or \
                       --before-offset end to empty them all";
        return Err(Failure::usage(message).next(format!("topic describe {topic} --partitions")));
    }
    let mut described = admin.describe_topics(std::slice::from_ref(topic)).await?;
    let Some((_, found)) = described.pop() else {
        let message = format!("the broker says nothing of topic {topic}");
        return Err(Failure::new(Exit::Other, message));
    };
    let found = found.map_err(|error| advise(error.into(), topic))?;
    Ok(found.numbered_partitions().map(|(id, _)| named(id)).collect())
}

/// The file that `kafka-delete-records` reads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OffsetFile {
    partitions: Vec<OffsetFileEntry>,
    #[serde(default = "first_version")]
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OffsetFileEntry {
    topic: String,
    partition: u32,
    offset: i64,
}

const FILE_VERSION: u32 = 1;

const fn first_version() -> u32 {
    FILE_VERSION
}

fn read_plan(path: &Path) -> Result<Plan, Failure> {
    let place = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| Failure::from(error).within(&place))?;
    parse_plan(&text).map_err(|message| Failure::usage(message).within(&place))
}

fn parse_plan(text: &[u8]) -> Result<Plan, String> {
    let file: OffsetFile = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if file.version != FILE_VERSION {
        return Err(format!("version is {}; only {FILE_VERSION} is known", file.version));
    }
    let mut named = BTreeSet::new();
    let mut plan = Vec::with_capacity(file.partitions.len());
    for OffsetFileEntry { topic, partition, offset } in file.partitions {
        let topic = TopicName::new(&topic).map_err(|error| error.to_string())?;
        let of = TopicPartition::new(topic, PartitionId::new(partition));
        let before = match u64::try_from(offset) {
            Ok(offset) => DeleteBefore::Offset(Offset::new(offset)),
            Err(_) if offset == -1 => DeleteBefore::HighWatermark,
            Err(_) => return Err(format!("the offset of {of} is {offset}; it may be -1 or more")),
        };
        if !named.insert(of.clone()) {
            return Err(format!("{of} is named twice"));
        }
        plan.push((of, before));
    }
    if plan.is_empty() {
        return Err("no partitions are named".to_owned());
    }
    Ok(plan)
}

fn in_words(plan: &Plan) -> String {
    let part = |(of, before): &(TopicPartition, DeleteBefore)| match before {
        DeleteBefore::Offset(offset) => format!("{of} before offset {offset}"),
        DeleteBefore::HighWatermark => format!("{of} that can be read now"),
    };
    let parts: Vec<_> = plan.iter().map(part).collect();
    format!("This deletes, for good, the records of {}", parts.join(", of "))
}

#[derive(Serialize)]
#[serde(transparent)]
struct Deleted(Vec<DeletedRow>);

#[derive(Serialize)]
struct DeletedRow {
    topic: String,
    partition: u32,
    /// The first offset that is left.
    low_watermark: u64,
}

impl Show for Deleted {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new(["topic", "partition", "start"]);
        for row in &self.0 {
            table.row([
                row.topic.clone(),
                row.partition.to_string(),
                row.low_watermark.to_string(),
            ]);
        }
        vec![table]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_file_is_read() {
        let text = br#"{"partitions": [{"topic": "t", "partition": 1, "offset": 5},
                                       {"topic": "u", "partition": 0, "offset": -1}], "version": 1}"#;
        let plan = parse_plan(text).unwrap();
        assert_eq!(
            in_words(&plan),
            "This deletes, for good, the records of t-1 before offset 5, of u-0 that can be read now"
        );
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let message = parse_plan(text.as_bytes()).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_file_that_could_be_misunderstood_is_refused() {
        let entry = r#"{"topic": "t", "partition": 0, "offset": 5}"#;
        refused(&format!(r#"{{"partitions": [{entry}, {entry}]}}"#), "t-0 is named twice");
        refused(&format!(r#"{{"partitions": [{entry}], "version": 2}}"#), "version is 2");
        refused(r#"{"partitions": []}"#, "no partitions");
        refused(r#"{"partitions": [{"topic": "t", "partition": 0}]}"#, "offset");
        refused(r#"{"partitions": [{"topic": "t", "partition": 0, "offset": -2}]}"#, "is -2");
        refused(r#"{"partitions": [{"topic": "a/b", "partition": 0, "offset": 1}]}"#, "a/b");
        refused("[]", "struct OffsetFile");
    }
}
