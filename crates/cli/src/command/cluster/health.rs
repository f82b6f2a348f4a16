use std::time::Duration;

use client::{Admin, ClientError, LogScope};
use cluster::Broker;
use serde::Serialize;
use types::Coded as _;

use crate::exit::{Exit, Failure};
use crate::output::{Output, Show, Table};

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// When `--watch` leaves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    WhenWell,
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Health {
    healthy: bool,
    brokers: usize,
    fenced_brokers: Vec<u32>,
    /// Brokers that are not fenced and do not answer all the same.
    silent_brokers: Vec<u32>,
    partitions: usize,
    leaderless_partitions: Vec<String>,
    under_replicated_partitions: Vec<String>,
    /// Partitions that hold records which cannot be read, as far as brokers know.
    damaged_partitions: Vec<String>,
    /// Set when nobody could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable: Option<String>,
}

impl Show for Health {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("health", if self.healthy { "well" } else { "not well" });
        if let Some(unreachable) = &self.unreachable {
            facts.fact("unreachable", unreachable);
            return vec![facts];
        }
        facts.fact("brokers", self.brokers);
        let ids = |brokers: &[u32]| brokers.iter().map(u32::to_string).collect::<Vec<_>>();
        facts.fact("fenced", listed(&ids(&self.fenced_brokers)));
        facts.fact("silent", listed(&ids(&self.silent_brokers)));
        facts.fact("partitions", self.partitions);
        facts.fact("without leader", listed(&self.leaderless_partitions));
        facts.fact("under-replicated", listed(&self.under_replicated_partitions));
        facts.fact("damaged", listed(&self.damaged_partitions));
        vec![facts]
    }
}

/// Names a few of them.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    match names.len() {
        0 => "none".to_owned(),
        count if count <= SHOWN => names.join(", "),
        count => {
            let first: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
            format!("{}, and {} more", first.join(", "), count - SHOWN)
        }
    }
}

pub(super) async fn once(admin: &Admin, output: &mut Output) -> Result<(), Failure> {
    let health = look(admin).await?;
    output.show(&health)?;
    if health.healthy {
        return Ok(());
    }
    Err(Failure::new(Exit::Other, "the cluster is not well").next("cluster info"))
}

pub(super) async fn watch(admin: &Admin, end: End, output: &mut Output) -> Result<(), Failure> {
    let mut shown = None;
    loop {
        let health = look(admin).await.unwrap_or_else(|error| unreachable(&error));
        if shown.as_ref() != Some(&health) {
            output.show(&health)?;
        }
        if health.healthy && end == End::WhenWell {
            return Ok(());
        }
        shown = Some(health);
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(admin: &Admin) -> Result<Health, ClientError> {
    let brokers = admin.describe_cluster().await?.brokers;
    let topics = admin.list_topics().await?;
    let fenced_brokers: Vec<_> =
        brokers.iter().filter(|broker| !broker.is_alive()).map(|broker| broker.id.get()).collect();
    let mut leaderless_partitions = Vec::new();
    let mut under_replicated_partitions = Vec::new();
    for topic in &topics {
        for (id, partition) in topic.numbered_partitions() {
            if partition.leader.is_none() {
                leaderless_partitions.push(format!("{}-{id}", topic.name));
            } else if partition.isr.len() < partition.replicas.len() {
                under_replicated_partitions.push(format!("{}-{id}", topic.name));
            }
        }
    }
    let (silent_brokers, damaged_partitions) = damaged(admin, &brokers).await;
    Ok(Health {
        healthy: !brokers.is_empty()
            && fenced_brokers.is_empty()
            && silent_brokers.is_empty()
            && leaderless_partitions.is_empty()
            && under_replicated_partitions.is_empty()
            && damaged_partitions.is_empty(),
        brokers: brokers.len(),
        fenced_brokers,
        silent_brokers,
        partitions: topics.iter().map(|topic| topic.partitions.len()).sum(),
        leaderless_partitions,
        under_replicated_partitions,
        damaged_partitions,
        unreachable: None,
    })
}

/// The brokers that do not answer; and the partitions of which the others know that something is
/// damaged.
async fn damaged(admin: &Admin, brokers: &[Broker]) -> (Vec<u32>, Vec<String>) {
    let (mut silent, mut damaged) = (Vec::new(), Vec::new());
    for broker in brokers.iter().filter(|broker| broker.is_alive()) {
        match admin.describe_logs(broker, &[], LogScope::Damaged).await {
            Ok(logs) => damaged.extend(logs.iter().map(|log| log.topic_partition.to_string())),
            Err(_silent) => silent.push(broker.id.get()),
        }
    }
    (silent, damaged)
}

fn unreachable(error: &ClientError) -> Health {
    Health {
        healthy: false,
        brokers: 0,
        fenced_brokers: Vec::new(),
        silent_brokers: Vec::new(),
        partitions: 0,
        leaderless_partitions: Vec::new(),
        under_replicated_partitions: Vec::new(),
        damaged_partitions: Vec::new(),
        unreachable: Some(error.reason().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let names: Vec<_> = (0..12).map(|partition| format!("t-{partition}")).collect();
        assert!(listed(&names).ends_with("t-9, and 2 more"), "{}", listed(&names));
        assert_eq!(listed(&[]), "none");
    }
}
