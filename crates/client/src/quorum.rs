use std::time::Duration;

use wire::v1::coordinator as v1;
use wire::v1::coordinator::coordinator_service_client::CoordinatorServiceClient;

use crate::ClientError;
use crate::connection::{connect, within};

/// The coordinators, as one of them sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumDescription {
    /// The cluster's identity.
    pub cluster_id: String,
    /// Raft id of the member that answered.
    pub answered_by: u64,
    /// Raft id of the leader; `None` while there is none.
    pub leader: Option<u64>,
    /// The Raft term.
    pub term: u64,
    /// Index of the last command that is decided.
    pub commit_index: u64,
    /// Index of the last command that this member has carried out.
    pub applied_index: u64,
    /// All members.
    pub members: Vec<QuorumMember>,
}

/// One coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumMember {
    /// Its Raft id.
    pub raft_id: u64,
    /// Where it answers, as `host:port`.
    pub address: String,
    /// Whether it votes; otherwise it only learns.
    pub voter: bool,
}

/// Asks one coordinator, leading or not, about the quorum.
///
/// # Errors
///
/// It does not answer within `timeout`.
pub async fn describe_quorum(
    address: &str,
    timeout: Duration,
) -> Result<QuorumDescription, ClientError> {
    let mut coordinator = CoordinatorServiceClient::new(connect(address).await?);
    let asking = coordinator.describe_quorum(v1::DescribeQuorumRequest {});
    let answer = within(timeout, "DescribeQuorum", asking).await?;
    let member = |member: v1::QuorumMember| QuorumMember {
        raft_id: member.raft_id,
        address: member.address,
        voter: member.voter,
    };
    Ok(QuorumDescription {
        cluster_id: answer.cluster_id,
        answered_by: answer.raft_id,
        leader: answer.leader_raft_id,
        term: answer.term,
        commit_index: answer.commit_index,
        applied_index: answer.applied_index,
        members: answer.members.into_iter().map(member).collect(),
    })
}
