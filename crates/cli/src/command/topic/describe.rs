use std::collections::BTreeMap;

use client::{Admin, ClientError, LogScope, OffsetAt, TopicConfig};
use cluster::Topic;
use serde::Serialize;
use types::{BrokerId, Offset, PartitionId, TopicName, TopicPartition};

use super::advise;
use crate::command::broker::{DamageRow, damage_table};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Show, Table};

/// What of a topic is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Partitions,
    Configs,
    Both,
}

/// A topic's partitions, with the offsets they hold, and its settings.
#[derive(Serialize)]
struct Description {
    topic: String,
    topic_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<Vec<PartitionRow>>,
    /// What is known to be damaged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damage: Vec<DamageRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configs: Option<Vec<ConfigRow>>,
}

#[derive(Serialize)]
struct PartitionRow {
    partition: u32,
    leader: Option<u32>,
    leader_epoch: u32,
    replicas: Vec<u32>,
    isr: Vec<u32>,
    /// Absent while no leader tells.
    log_start_offset: Option<u64>,
    high_watermark: Option<u64>,
}

#[derive(Serialize)]
struct ConfigRow {
    name: String,
    value: String,
    is_default: bool,
    documentation: String,
}

pub(super) async fn run(
    admin: &Admin,
    topic: &TopicName,
    part: Part,
    output: &mut Output,
) -> Result<(), Failure> {
    let found = admin.describe_topics(std::slice::from_ref(topic)).await?.pop();
    let Some((_, found)) = found else {
        let message = format!("the broker says nothing of topic {topic}");
        return Err(Failure::new(Exit::Other, message));
    };
    let found = found.map_err(|error| advise(error.into(), topic))?;
    let partitions = match part {
        Part::Partitions | Part::Both => Some(partitions(admin, &found).await?),
        Part::Configs => None,
    };
    let configs = match part {
        Part::Configs | Part::Both => {
            Some(admin.describe_configs(topic).await?.into_iter().map(ConfigRow::from).collect())
        }
        Part::Partitions => None,
    };
    let damage = match part {
        Part::Partitions | Part::Both => damage(admin, topic).await?,
        Part::Configs => Vec::new(),
    };
    let topic_id = found.id.to_string();
    let topic = topic.to_string();
    Ok(output.show(&Description { topic, topic_id, partitions, damage, configs })?)
}

/// What brokers know to be damaged in a topic. One that does not answer says nothing; that it does
/// not answer shows elsewhere.
async fn damage(admin: &Admin, topic: &TopicName) -> Result<Vec<DamageRow>, ClientError> {
    let mut rows = Vec::new();
    let brokers = admin.describe_cluster().await?.brokers;
    for broker in brokers.iter().filter(|broker| broker.is_alive()) {
        let topics = std::slice::from_ref(topic);
        let logs = admin.describe_logs(broker, topics, LogScope::Damaged).await;
        for log in logs.unwrap_or_default() {
            let of = log.topic_partition;
            rows.extend(log.damage.into_iter().map(|one| DamageRow::new(&of, broker.id, one)));
        }
    }
    Ok(rows)
}

async fn partitions(admin: &Admin, topic: &Topic) -> Result<Vec<PartitionRow>, ClientError> {
    let starts = offsets(admin, topic, OffsetAt::Earliest).await?;
    let ends = offsets(admin, topic, OffsetAt::Latest).await?;
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.get()).collect();
    let rows = topic.numbered_partitions().map(|(id, partition)| PartitionRow {
        partition: id.get(),
        leader: partition.leader.map(BrokerId::get),
        leader_epoch: partition.leader_epoch.get(),
        replicas: ids(&partition.replicas),
        isr: ids(&partition.isr),
        log_start_offset: starts.get(&id).map(|offset| offset.get()),
        high_watermark: ends.get(&id).map(|offset| offset.get()),
    });
    Ok(rows.collect())
}

/// One end of every partition whose leader tells.
async fn offsets(
    admin: &Admin,
    topic: &Topic,
    at: OffsetAt,
) -> Result<BTreeMap<PartitionId, Offset>, ClientError> {
    let named = |partition| (TopicPartition { topic: topic.name.clone(), partition }, at);
    let wanted: Vec<_> = topic.numbered_partitions().map(|(id, _)| named(id)).collect();
    let listed = admin.list_offsets(&wanted).await?;
    Ok(listed
        .into_iter()
        .filter_map(|(partition, found)| Some((partition.partition, found.ok()?.offset?)))
        .collect())
}

impl From<TopicConfig> for ConfigRow {
    fn from(config: TopicConfig) -> Self {
        let TopicConfig { name, value, is_default, documentation } = config;
        Self { name, value, is_default, documentation }
    }
}

impl Show for Description {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("topic", &self.topic);
        facts.fact("id", &self.topic_id);
        let mut tables = vec![facts];
        tables.extend(self.partitions.as_deref().map(partition_table));
        if !self.damage.is_empty() {
            tables.push(damage_table(&self.damage));
        }
        tables.extend(self.configs.as_deref().map(config_table));
        tables
    }
}

fn partition_table(rows: &[PartitionRow]) -> Table {
    let mut table = Table::new(["partition", "leader", "epoch", "replicas", "isr", "start", "end"]);
    for row in rows {
        table.row([
            row.partition.to_string(),
            or_dash(row.leader),
            row.leader_epoch.to_string(),
            joined(&row.replicas),
            joined(&row.isr),
            or_dash(row.log_start_offset),
            or_dash(row.high_watermark),
        ]);
    }
    table
}

fn config_table(rows: &[ConfigRow]) -> Table {
    let mut table = Table::new(["setting", "value", "set", "meaning"]);
    for row in rows {
        let set = if row.is_default { "default" } else { "here" };
        table.row([row.name.clone(), row.value.clone(), set.to_owned(), row.documentation.clone()]);
    }
    table
}

fn or_dash(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn joined(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
