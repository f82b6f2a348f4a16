//! `CoordinatorService`: decode, ask, encode.

use std::sync::Arc;
use std::time::Duration;

use cluster::{ClusterError, ProducerIdBlock};
use futures::stream::BoxStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use types::{BrokerEpoch, BrokerId, Revision, TopicName};
use wire::OrStatus;
use wire::convert::{config_entries, registration_from_proto};
use wire::v1::coordinator as v1;
use wire::v1::coordinator::coordinator_service_server::CoordinatorService;

use crate::driver::Mailbox;
use crate::feed::Feed;
use crate::request::{
    Change, Changed, Decision, Heartbeat, Mode, Reply, Request as Ask, RequestError, Wish,
};

mod topics;
mod tree;
mod watch;

pub(crate) use tree::TreeRpc;

/// How long a request may wait for its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a broker is told when it registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leases {
    pub(crate) session_timeout_ms: u32,
    pub(crate) lease_ms: u32,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Rpc {
    mailbox: Mailbox,
    feed: Arc<Feed>,
    leases: Leases,
    /// Where this member answers, for those who ask about the quorum.
    advertised: String,
    /// Ends streams.
    stop: CancellationToken,
}

impl Rpc {
    pub(crate) fn new(
        mailbox: Mailbox,
        feed: Arc<Feed>,
        leases: Leases,
        advertised: String,
        stop: CancellationToken,
    ) -> Self {
        Self { mailbox, feed, leases, advertised, stop }
    }

    /// Asks the loop, and waits for its answer, but not for ever.
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Ask) -> Result<T, RequestError> {
        ask(&self.mailbox, request).await
    }

    async fn change(&self, decisions: Vec<Decision>, mode: Mode) -> Result<Changed, RequestError> {
        let change = Change { decisions, mode };
        self.ask(|reply| Ask::Change { change, reply }).await
    }

    /// One decision that is the whole request: its refusal is the request's.
    async fn change_one(&self, decision: Decision, mode: Mode) -> Result<Revision, RequestError> {
        let changed = self.change(vec![decision], mode).await?;
        changed.results.into_iter().collect::<Result<(), _>>()?;
        Ok(changed.revision)
    }

    async fn allocate_producer_ids(&self) -> Result<ProducerIdBlock, RequestError> {
        let revision = self.change_one(Decision::AllocateProducerIds, Mode::Apply).await?;
        // The only command of its change, so that this is its own revision; and it was applied, so
        // that there is a block.
        Ok(ProducerIdBlock::of(revision).ok_or(ClusterError::ProducerIdsUsedUp)?)
    }
}

#[tonic::async_trait]
impl CoordinatorService for Rpc {
    type WatchMetadataStream = BoxStream<'static, Result<v1::WatchMetadataResponse, Status>>;

    async fn register_broker(
        &self,
        request: Request<v1::RegisterBrokerRequest>,
    ) -> Result<Response<v1::RegisterBrokerResponse>, Status> {
        let registration = registration_from_proto(request.into_inner())?;
        let revision =
            self.change_one(Decision::Register(registration), Mode::Apply).await.or_status()?;
        let cluster_id = self.feed.image().cluster_id().map(ToString::to_string);
        Ok(Response::new(v1::RegisterBrokerResponse {
            broker_epoch: revision.get(),
            cluster_id: cluster_id.unwrap_or_default(),
            session_timeout_ms: self.leases.session_timeout_ms,
            lease_ms: self.leases.lease_ms,
        }))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let request = request.into_inner();
        let heartbeat = Heartbeat {
            broker: BrokerId::new(request.broker_id),
            epoch: BrokerEpoch::new(request.broker_epoch),
            revision: Revision::new(request.metadata_revision),
            wish: if request.wants_shutdown { Wish::ShutDown } else { Wish::Serve },
        };
        let answer = self.ask(|reply| Ask::Heartbeat { heartbeat, reply }).await.or_status()?;
        Ok(Response::new(v1::HeartbeatResponse {
            fenced: answer.fenced,
            may_shut_down: answer.may_shut_down,
        }))
    }

    async fn watch_metadata(
        &self,
        request: Request<v1::WatchMetadataRequest>,
    ) -> Result<Response<Self::WatchMetadataStream>, Status> {
        let after = Revision::new(request.into_inner().after_revision);
        let stream = self.watch(after).await.or_status()?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn create_topics(
        &self,
        request: Request<v1::CreateTopicsRequest>,
    ) -> Result<Response<v1::CreateTopicsResponse>, Status> {
        self.create_all(request.into_inner()).await.or_status().map(Response::new)
    }

    async fn delete_topics(
        &self,
        request: Request<v1::DeleteTopicsRequest>,
    ) -> Result<Response<v1::DeleteTopicsResponse>, Status> {
        self.delete_all(request.into_inner()).await.or_status().map(Response::new)
    }

    async fn create_partitions(
        &self,
        request: Request<v1::CreatePartitionsRequest>,
    ) -> Result<Response<v1::CreatePartitionsResponse>, Status> {
        let request = request.into_inner();
        let name = TopicName::new(&request.topic).or_status()?;
        let decision = Decision::CreatePartitions { name, total: request.total };
        let revision = self.change_one(decision, Mode::Apply).await.or_status()?;
        Ok(Response::new(v1::CreatePartitionsResponse { revision: revision.get() }))
    }

    async fn alter_configs(
        &self,
        request: Request<v1::AlterConfigsRequest>,
    ) -> Result<Response<v1::AlterConfigsResponse>, Status> {
        let request = request.into_inner();
        let name = TopicName::new(&request.topic).or_status()?;
        let set = config_entries(request.set);
        let decision = Decision::AlterConfigs { name, set, unset: request.unset };
        let revision = self.change_one(decision, mode(request.validate_only)).await.or_status()?;
        Ok(Response::new(v1::AlterConfigsResponse { revision: revision.get() }))
    }

    async fn allocate_producer_ids(
        &self,
        _request: Request<v1::AllocateProducerIdsRequest>,
    ) -> Result<Response<v1::AllocateProducerIdsResponse>, Status> {
        let block = self.allocate_producer_ids().await.or_status()?;
        Ok(Response::new(v1::AllocateProducerIdsResponse {
            first_producer_id: block.first.get(),
            count: block.count,
        }))
    }

    async fn describe_quorum(
        &self,
        _request: Request<v1::DescribeQuorumRequest>,
    ) -> Result<Response<v1::DescribeQuorumResponse>, Status> {
        let quorum = self.ask(|reply| Ask::Describe { reply }).await.or_status()?;
        let member = |raft_id: u64, voter: bool| v1::QuorumMember {
            raft_id,
            // Members do not know each other's addresses yet; each knows its own.
            address: if raft_id == quorum.raft_id {
                self.advertised.clone()
            } else {
                String::new()
            },
            voter,
        };
        let voters = quorum.voters.iter().map(|id| member(*id, true));
        let learners = quorum.learners.iter().map(|id| member(*id, false));
        Ok(Response::new(v1::DescribeQuorumResponse {
            members: voters.chain(learners).collect(),
            cluster_id: quorum.cluster_id,
            leader_raft_id: quorum.leader,
            term: quorum.term,
            commit_index: quorum.commit,
            applied_index: quorum.applied,
            raft_id: quorum.raft_id,
        }))
    }
}

async fn ask<T>(
    mailbox: &Mailbox,
    request: impl FnOnce(Reply<T>) -> Ask,
) -> Result<T, RequestError> {
    let answer = timeout(REQUEST_TIMEOUT, mailbox.ask(request)).await;
    answer.unwrap_or(Err(RequestError::TimedOut))
}

fn mode(validate_only: bool) -> Mode {
    if validate_only { Mode::ValidateOnly } else { Mode::Apply }
}
