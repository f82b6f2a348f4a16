//! `TreeService`: decode, ask, encode.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tree::{
    Applied, Command, Lifetime, Missing, Naming, Node, NodePath, NodeVersion, Operation, Refused,
    SessionId, Touched, Tree, TreeError,
};
use types::Revision;
use wire::OrStatus;
use wire::convert::{
    error_to_proto, node_to_proto, operation_from_proto, stat_to_proto, touched_to_proto,
};
use wire::v1::tree as v1;
use wire::v1::tree::tree_service_server::TreeService;

use super::ask;
use crate::driver::Mailbox;
use crate::request::{Request as Ask, RequestError, TreeChanged};
use crate::tree_feed::TreeFeed;

mod watch;

/// Children in one answer.
const MAX_LISTED: usize = 10_000;
/// Data in one answer, if it is of more than one node.
const MAX_LISTED_BYTES: usize = 16 * 1024 * 1024;
/// Watches at once, of all callers.
const MAX_WATCHES: usize = 10_000;
/// What a session's timeout is brought within.
const TIMEOUTS_MS: std::ops::RangeInclusive<u32> = 1_000..=300_000;

/// The service.
#[derive(Debug)]
pub(crate) struct TreeRpc {
    mailbox: Mailbox,
    feed: Arc<TreeFeed>,
    watches: Arc<Semaphore>,
    /// Ends streams.
    stop: CancellationToken,
}

impl TreeRpc {
    pub(crate) fn new(mailbox: Mailbox, feed: Arc<TreeFeed>, stop: CancellationToken) -> Self {
        Self { mailbox, feed, watches: Arc::new(Semaphore::new(MAX_WATCHES)), stop }
    }

    async fn change(&self, command: Command) -> Result<TreeChanged, RequestError> {
        ask(&self.mailbox, |reply| Ask::Tree { command, reply }).await
    }

    /// One operation that is the whole request: its refusal is the request's.
    async fn perform(&self, operation: Operation) -> Result<(Revision, Touched), Status> {
        let command = Command::Transact { operations: vec![operation] };
        let TreeChanged { revision, outcome } = self.change(command).await.or_status()?;
        let touched = outcome.or_status()?.touched.into_iter().next();
        Ok((revision, touched.ok_or(RequestError::OutcomeUnknown).or_status()?))
    }

    /// The tree with all that was certain when this was called.
    async fn read(&self) -> Result<(Revision, Tree), RequestError> {
        ask(&self.mailbox, |reply| Ask::Barrier { reply }).await?;
        Ok(self.feed.view())
    }
}

#[tonic::async_trait]
impl TreeService for TreeRpc {
    type WatchStream = BoxStream<'static, Result<v1::WatchResponse, Status>>;

    async fn create(
        &self,
        request: Request<v1::CreateRequest>,
    ) -> Result<Response<v1::CreateResponse>, Status> {
        let request = request.into_inner();
        let operation = Operation::Create {
            path: path(&request.path)?,
            data: request.data,
            lifetime: request
                .session
                .map_or(Lifetime::Persistent, |id| Lifetime::Ephemeral(SessionId::new(id))),
            naming: if request.sequential { Naming::Sequential } else { Naming::Given },
        };
        let (revision, touched) = self.perform(operation).await?;
        let path = touched.path.to_string();
        Ok(Response::new(v1::CreateResponse { path, revision: revision.get() }))
    }

    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        let request = request.into_inner();
        let path = path(&request.path)?;
        let (revision, tree) = self.read().await.or_status()?;
        let node = existing(&tree, &path).or_status()?;
        let node = Some(node_to_proto(&path, node, !request.without_data));
        Ok(Response::new(v1::GetResponse { node, revision: revision.get() }))
    }

    async fn set(
        &self,
        request: Request<v1::SetRequest>,
    ) -> Result<Response<v1::SetResponse>, Status> {
        let request = request.into_inner();
        let version = request.version.map(NodeVersion::new);
        let operation = Operation::Set { path: path(&request.path)?, data: request.data, version };
        let (revision, touched) = self.perform(operation).await?;
        let stat = touched.node.as_deref().map(stat_to_proto);
        Ok(Response::new(v1::SetResponse { stat, revision: revision.get() }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::DeleteResponse>, Status> {
        let request = request.into_inner();
        let (path, version) = (path(&request.path)?, request.version.map(NodeVersion::new));
        let operation = Operation::Delete { path, version, missing: Missing::Refused };
        let (revision, _) = self.perform(operation).await?;
        Ok(Response::new(v1::DeleteResponse { revision: revision.get() }))
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let request = request.into_inner();
        let path = path(&request.path)?;
        let (revision, tree) = self.read().await.or_status()?;
        let node = existing(&tree, &path).or_status()?;
        let (children, more) = page(&tree, &path, node, &request);
        Ok(Response::new(v1::ListResponse { children, more, revision: revision.get() }))
    }

    async fn multi(
        &self,
        request: Request<v1::MultiRequest>,
    ) -> Result<Response<v1::MultiResponse>, Status> {
        let operations = request.into_inner().operations.into_iter().map(operation_from_proto);
        let operations = operations.collect::<Result<Vec<_>, _>>()?;
        let changed = self.change(Command::Transact { operations }).await.or_status()?;
        let revision = changed.revision.get();
        Ok(Response::new(match changed.outcome {
            Ok(Applied { touched, .. }) => {
                let results = touched.iter().map(touched_to_proto).collect();
                v1::MultiResponse { revision, results, failure: None }
            }
            Err(Refused { operation, cause }) => {
                let operation = u32::try_from(operation).unwrap_or(u32::MAX);
                let error = Some(error_to_proto(&cause, None));
                let failure = Some(v1::OperationFailure { operation, error });
                v1::MultiResponse { revision, results: Vec::new(), failure }
            }
        }))
    }

    async fn create_session(
        &self,
        request: Request<v1::CreateSessionRequest>,
    ) -> Result<Response<v1::CreateSessionResponse>, Status> {
        let wanted = request.into_inner().timeout_ms;
        let timeout_ms = wanted.clamp(*TIMEOUTS_MS.start(), *TIMEOUTS_MS.end());
        let changed = self.change(Command::CreateSession { timeout_ms }).await.or_status()?;
        let session = changed.outcome.or_status()?.session;
        let session = session.ok_or(RequestError::OutcomeUnknown).or_status()?.get();
        Ok(Response::new(v1::CreateSessionResponse { session, timeout_ms }))
    }

    async fn keep_alive(
        &self,
        request: Request<v1::KeepAliveRequest>,
    ) -> Result<Response<v1::KeepAliveResponse>, Status> {
        let session = SessionId::new(request.into_inner().session);
        ask(&self.mailbox, |reply| Ask::KeepAlive { session, reply }).await.or_status()?;
        Ok(Response::new(v1::KeepAliveResponse {}))
    }

    async fn close_session(
        &self,
        request: Request<v1::CloseSessionRequest>,
    ) -> Result<Response<v1::CloseSessionResponse>, Status> {
        let session = SessionId::new(request.into_inner().session);
        let changed = self.change(Command::CloseSession { session }).await.or_status()?;
        changed.outcome.or_status()?;
        Ok(Response::new(v1::CloseSessionResponse { revision: changed.revision.get() }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let scope = watch::Scope {
            path: path(&request.path)?,
            subtree: request.subtree,
            with_data: request.with_data,
        };
        let after = request.after_revision.map(Revision::new);
        let stream = self.begin_watch(scope, after).await.or_status()?;
        Ok(Response::new(Box::pin(stream)))
    }
}

fn path(text: &str) -> Result<NodePath, Status> {
    NodePath::new(text).or_status()
}

fn existing<'a>(tree: &'a Tree, path: &NodePath) -> Result<&'a Node, TreeError> {
    let node = tree.node(path).ok_or_else(|| TreeError::NoNode { path: path.clone() })?;
    Ok(node)
}

/// The children that a request asks for, and whether there are others behind them.
fn page(
    tree: &Tree,
    path: &NodePath,
    node: &Node,
    request: &v1::ListRequest,
) -> (Vec<v1::Child>, bool) {
    let limit = match usize::try_from(request.limit) {
        Ok(limit @ 1..=MAX_LISTED) => limit,
        Ok(_) | Err(_) => MAX_LISTED,
    };
    let from = request.prefix.as_str().max(request.after.as_str());
    let mut children = Vec::new();
    let mut bytes = 0;
    let names = node
        .children_from(from)
        .take_while(|name| name.starts_with(&request.prefix))
        .filter(|name| ***name > *request.after);
    for name in names {
        let Some(child) = path.child(name).ok().and_then(|path| tree.node(&path)) else { continue };
        let data = if request.with_data { child.data.clone() } else { Bytes::new() };
        bytes += data.len();
        if children.len() == limit || (MAX_LISTED_BYTES < bytes && !children.is_empty()) {
            return (children, true);
        }
        children.push(v1::Child { name: name.to_string(), data, stat: Some(stat_to_proto(child)) });
    }
    (children, false)
}
