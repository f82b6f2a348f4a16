//! `dohle cluster` and `dohle coordinator`: who is there, and whether all is well.

mod health;

use std::collections::BTreeMap;

use client::Admin;
use serde::Serialize;

use crate::args::cluster::{CoordinatorVerb, Verb};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Show, Table};
use crate::session::Session;

/// Does what the verb says.
///
/// # Errors
///
/// No broker answers; or, asked for its health, the cluster is not well.
pub(crate) async fn run(verb: Verb, session: &Session, output: &mut Output) -> Result<(), Failure> {
    let admin = session.client().await?.admin();
    match verb {
        Verb::Info => info(&admin, output).await,
        Verb::Health { watch: false, exit_when_healthy: _ } => health::once(&admin, output).await,
        Verb::Health { watch: true, exit_when_healthy } => {
            let end = if exit_when_healthy { health::End::WhenWell } else { health::End::Never };
            health::watch(&admin, end, output).await
        }
    }
}

#[derive(Serialize)]
struct Info {
    cluster_id: String,
    coordinator: String,
    metadata_revision: u64,
    /// By which we came, and where the brokers' addresses are; `null` is the default one.
    listener: Option<String>,
    brokers: Vec<BrokerRow>,
}

#[derive(Serialize)]
struct BrokerRow {
    broker: u32,
    address: String,
    serving: bool,
    epoch: u64,
    rack: String,
    /// Addresses on the listeners that have names.
    listeners: BTreeMap<String, String>,
}

impl Show for Info {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("cluster", &self.cluster_id);
        facts.fact("coordinator", &self.coordinator);
        facts.fact("revision", self.metadata_revision);
        if let Some(listener) = &self.listener {
            facts.fact("listener", listener);
        }
        let mut brokers = Table::new(["broker", "address", "state", "epoch", "rack"]);
        for row in &self.brokers {
            let state = if row.serving { "serving" } else { "fenced" };
            brokers.row([
                row.broker.to_string(),
                row.address.clone(),
                state.to_owned(),
                row.epoch.to_string(),
                row.rack.clone(),
            ]);
        }
        let mut tables = vec![facts, brokers];
        if self.brokers.iter().any(|row| !row.listeners.is_empty()) {
            let mut listeners = Table::new(["broker", "listener", "address"]);
            for row in &self.brokers {
                for (name, address) in &row.listeners {
                    listeners.row([row.broker.to_string(), name.clone(), address.clone()]);
                }
            }
            tables.push(listeners);
        }
        tables
    }
}

async fn info(admin: &Admin, output: &mut Output) -> Result<(), Failure> {
    let cluster = admin.describe_cluster().await?;
    let row = |broker: &cluster::Broker| BrokerRow {
        broker: broker.id.get(),
        address: broker.endpoint.to_string(),
        serving: broker.is_alive(),
        epoch: broker.epoch.get(),
        rack: broker.rack.clone(),
        listeners: {
            let listeners = broker.listeners.iter();
            listeners.map(|(name, endpoint)| (name.to_string(), endpoint.to_string())).collect()
        },
    };
    Ok(output.show(&Info {
        cluster_id: cluster.cluster_id,
        coordinator: cluster.coordinator,
        metadata_revision: cluster.revision.get(),
        listener: cluster.listener,
        brokers: cluster.brokers.iter().map(row).collect(),
    })?)
}

#[derive(Serialize)]
struct Quorum {
    cluster_id: String,
    /// The coordinator that answered.
    answered_by: u64,
    leader: Option<u64>,
    term: u64,
    commit_index: u64,
    applied_index: u64,
    members: Vec<MemberRow>,
}

#[derive(Serialize)]
struct MemberRow {
    raft_id: u64,
    address: String,
    voter: bool,
}

impl Show for Quorum {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("cluster", &self.cluster_id);
        facts.fact("answered by", self.answered_by);
        facts.fact("leader", self.leader.map_or("none".to_owned(), |id| id.to_string()));
        facts.fact("term", self.term);
        facts.fact("committed", self.commit_index);
        facts.fact("applied", self.applied_index);
        let mut members = Table::new(["coordinator", "address", "role"]);
        for row in &self.members {
            let role = match (self.leader == Some(row.raft_id), row.voter) {
                (true, _) => "leader",
                (false, true) => "follower",
                (false, false) => "learner",
            };
            members.row([row.raft_id.to_string(), row.address.clone(), role.to_owned()]);
        }
        vec![facts, members]
    }
}

/// Shows what one coordinator says of the quorum.
///
/// # Errors
///
/// It does not answer, or knows no leader.
pub(crate) async fn coordinator(
    verb: &CoordinatorVerb,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let CoordinatorVerb::Status = verb;
    let address = &session.common.coordinator;
    let quorum = client::describe_quorum(address, session.common.timeout).await;
    let quorum = quorum.map_err(|error| {
        let failure = Failure::from(error).within(&format!("coordinator {address}"));
        failure.next_if(Exit::Unreachable, || "cluster info".to_owned())
    })?;
    let leaderless = quorum.leader.is_none();
    let member = |member: client::QuorumMember| MemberRow {
        raft_id: member.raft_id,
        address: member.address,
        voter: member.voter,
    };
    output.show(&Quorum {
        cluster_id: quorum.cluster_id,
        answered_by: quorum.answered_by,
        leader: quorum.leader,
        term: quorum.term,
        commit_index: quorum.commit_index,
        applied_index: quorum.applied_index,
        members: quorum.members.into_iter().map(member).collect(),
    })?;
    if leaderless {
        return Err(Failure::new(Exit::Unreachable, "the coordinators have no leader"));
    }
    Ok(())
}
