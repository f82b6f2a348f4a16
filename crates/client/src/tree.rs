//! The coordinators' tree: small data under paths, changed by compare-and-set, some of it for as
//! long as a session lives, and watched.
//!
//! What changes the tree is sent again only if it was certainly not taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::Channel;
use tonic::{Response, Status};
use types::{Code, Coded as _, Reason, Revision};
use wire::InvalidMessage;
use wire::convert::{error_to_remote, operation_to_proto, required};
use wire::transport::MAX_MESSAGE_BYTES;
use wire::v1::tree as v1;
use wire::v1::tree::tree_service_client::TreeServiceClient;

use crate::connection::Connections;
use crate::metadata::Repeat;
use crate::{ClientError, backoff};

mod error;
mod session;
mod watch;

pub use error::TreeError;
pub use session::Session;
pub use tree::{
    Expectation, InvalidPath, Lifetime, Missing, Naming, NodePath, NodeVersion, Operation,
    SessionId,
};
pub use watch::{Change, News, Scope, Watch, WatchedNode};

/// What is known of a node beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// How often its data was set.
    pub version: NodeVersion,
    /// The revision that made it.
    pub created: Revision,
    /// The revision that last set its data.
    pub modified: Revision,
    /// The session that it goes with, if it is ephemeral.
    pub owner: Option<SessionId>,
    /// Bytes of its data.
    pub data_length: u32,
    /// How many children it has.
    pub children: u32,
}

/// A child of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its name.
    pub name: String,
    /// What it holds; empty if that was not asked for.
    pub data: Bytes,
    /// The rest.
    pub stat: Stat,
}

/// Some children of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// In the order of their names.
    pub children: Vec<Child>,
    /// Whether there are others behind them.
    pub more: bool,
}

/// Which children of a node are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only those whose names begin so.
    pub prefix: String,
    /// Only those behind this name.
    pub after: String,
    /// At most so many; 0 is as many as a coordinator tells at once.
    pub limit: u32,
    /// Whether their data is wanted, too.
    pub with_data: bool,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a transaction that was refused changed nothing"]
pub enum Transacted {
    /// Everything was done: for each operation the path, and the node unless it is not there.
    Done(Vec<(String, Option<Stat>)>),
    /// Nothing was done.
    Refused {
        /// The operation that cannot be, by its place from 0.
        operation: usize,
        /// Why.
        cause: TreeError,
    },
}

/// The tree, from outside. Clones share connections.
#[derive(Clone, Debug)]
pub struct TreeClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    addresses: Vec<String>,
    timeout: Duration,
    connections: Connections,
    /// Place of the coordinator that is asked first: the one that answered last.
    favourite: AtomicUsize,
}

impl TreeClient {
    /// A client of these coordinators (`host:port`), which connects when it is first needed. A
    /// request takes `timeout` at most.
    pub fn new(
        coordinators: impl IntoIterator<Item = impl Into<String>>,
        timeout: Duration,
    ) -> Self {
        let addresses = coordinators.into_iter().map(Into::into).collect();
        let (connections, favourite) = (Connections::default(), AtomicUsize::new(0));
        Self { shared: Arc::new(Shared { addresses, timeout, connections, favourite }) }
    }

    /// Makes a node. Returns its path, with its number if it was given one.
    ///
    /// # Errors
    ///
    /// The parent is not there, the node is, or the session is over; or see [`TreeError`].
    pub async fn create(
        &self,
        path: &NodePath,
        data: impl Into<Bytes>,
        lifetime: Lifetime,
        naming: Naming,
    ) -> Result<String, TreeError> {
        let request = v1::CreateRequest {
            path: path.to_string(),
            data: data.into(),
            session: match lifetime {
                Lifetime::Persistent => None,
                Lifetime::Ephemeral(session) => Some(session.get()),
            },
            sequential: naming == Naming::Sequential,
        };
        let send = |mut tree: Tree| {
            let request = request.clone();
            async move { tree.create(request).await }
        };
        Ok(self.ask("Create", Repeat::Unsafe, send).await?.path)
    }

    /// A node's data and what else is known of it.
    ///
    /// # Errors
    ///
    /// It is not there; or see [`TreeError`].
    pub async fn get(&self, path: &NodePath) -> Result<(Bytes, Stat), TreeError> {
        self.look(path, false).await
    }

    /// What is known of a node beside its data.
    ///
    /// # Errors
    ///
    /// It is not there; or see [`TreeError`].
    pub async fn stat(&self, path: &NodePath) -> Result<Stat, TreeError> {
        Ok(self.look(path, true).await?.1)
    }

    async fn look(&self, path: &NodePath, without_data: bool) -> Result<(Bytes, Stat), TreeError> {
        let send = |mut tree: Tree| {
            let request = v1::GetRequest { path: path.to_string(), without_data };
            async move { tree.get(request).await }
        };
        let node = required(self.ask("Get", Repeat::Safe, send).await?.node, "node")?;
        Ok((node.data, stat_from_proto(node.stat)?))
    }

    /// Sets a node's data; with a version, only if it is of that one.
    ///
    /// # Errors
    ///
    /// It is not there, or of another version; or see [`TreeError`].
    pub async fn set(
        &self,
        path: &NodePath,
        data: impl Into<Bytes>,
        version: Option<NodeVersion>,
    ) -> Result<Stat, TreeError> {
        let version = version.map(NodeVersion::get);
        let request = v1::SetRequest { path: path.to_string(), data: data.into(), version };
        let send = |mut tree: Tree| {
            let request = request.clone();
            async move { tree.set(request).await }
        };
        Ok(stat_from_proto(self.ask("Set", Repeat::Unsafe, send).await?.stat)?)
    }

    /// Deletes a node without children; with a version, only if it is of that one.
    ///
    /// # Errors
    ///
    /// It is not there, of another version, or has children; or see [`TreeError`].
    pub async fn delete(
        &self,
        path: &NodePath,
        version: Option<NodeVersion>,
    ) -> Result<(), TreeError> {
        let version = version.map(NodeVersion::get);
        let send = |mut tree: Tree| {
            let request = v1::DeleteRequest { path: path.to_string(), version };
            async move { tree.delete(request).await }
        };
        self.ask("Delete", Repeat::Unsafe, send).await.map(drop)
    }

    /// Children of a node, in order.
    ///
    /// # Errors
    ///
    /// The node is not there; or see [`TreeError`].
    pub async fn list(&self, path: &NodePath, wanted: &Wanted) -> Result<Listing, TreeError> {
        let request = v1::ListRequest {
            path: path.to_string(),
            prefix: wanted.prefix.clone(),
            after: wanted.after.clone(),
            limit: wanted.limit,
            with_data: wanted.with_data,
        };
        let send = |mut tree: Tree| {
            let request = request.clone();
            async move { tree.list(request).await }
        };
        let answer = self.ask("List", Repeat::Safe, send).await?;
        let child = |child: v1::Child| {
            Ok(Child { name: child.name, data: child.data, stat: stat_from_proto(child.stat)? })
        };
        let children: Result<_, InvalidMessage> = answer.children.into_iter().map(child).collect();
        Ok(Listing { children: children?, more: answer.more })
    }

    /// The names of all children of a node, in order. They may change while they are asked for.
    ///
    /// # Errors
    ///
    /// The node is not there; or see [`TreeError`].
    pub async fn children(&self, path: &NodePath) -> Result<Vec<String>, TreeError> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let after = names.last().cloned().unwrap_or_default();
            let listing = self.list(path, &Wanted { after, ..Wanted::default() }).await?;
            names.extend(listing.children.into_iter().map(|child| child.name));
            if !listing.more {
                return Ok(names);
            }
        }
    }

    /// Deletes a node and everything below it, the deepest first; not at once. Returns how many
    /// nodes.
    ///
    /// # Errors
    ///
    /// The node is not there, or somebody makes nodes below it meanwhile; or see [`TreeError`].
    pub async fn delete_all(&self, path: &NodePath) -> Result<usize, TreeError> {
        let mut found = vec![path.clone()];
        let mut at = 0;
        while let Some(parent) = found.get(at).cloned() {
            for name in self.children(&parent).await? {
                found.push(parent.child(&name)?);
            }
            at += 1;
        }
        for path in found.iter().rev() {
            self.delete(path, None).await?;
        }
        Ok(found.len())
    }

    /// Does all operations, in order, or none.
    ///
    /// # Errors
    ///
    /// It is not certain what became of it; or see [`TreeError`].
    pub async fn multi(&self, operations: &[Operation]) -> Result<Transacted, TreeError> {
        let operations: Vec<_> = operations.iter().map(operation_to_proto).collect();
        let send = |mut tree: Tree| {
            let request = v1::MultiRequest { operations: operations.clone() };
            async move { tree.multi(request).await }
        };
        let answer = self.ask("Multi", Repeat::Unsafe, send).await?;
        if let Some(failure) = answer.failure {
            let error = required(failure.error, "failure.error")?;
            let operation = usize::try_from(failure.operation).unwrap_or(usize::MAX);
            let cause = TreeError::Refused(error_to_remote(error));
            return Ok(Transacted::Refused { operation, cause });
        }
        let result = |result: v1::OperationResult| {
            let stat = result.stat.map(|stat| stat_from_proto(Some(stat))).transpose()?;
            Ok((result.path, stat))
        };
        let results: Result<_, InvalidMessage> = answer.results.into_iter().map(result).collect();
        Ok(Transacted::Done(results?))
    }

    /// Begins a session, and keeps it alive until it is closed or dropped. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`TreeError`].
    pub async fn session(&self, timeout: Duration) -> Result<Session, TreeError> {
        Session::begin(self.clone(), timeout).await
    }

    /// Watches a node, or everything below it: what is there, unless `after` is given, then what
    /// changes.
    ///
    /// # Errors
    ///
    /// Changes after `after` are no longer held ([`Reason::RevisionOutOfRange`]); or see
    /// [`TreeError`].
    pub async fn watch(
        &self,
        path: &NodePath,
        scope: Scope,
        after: Option<Revision>,
    ) -> Result<Watch, TreeError> {
        let request = v1::WatchRequest {
            path: path.to_string(),
            subtree: scope.subtree,
            with_data: scope.with_data,
            after_revision: after.map(Revision::get),
        };
        let send = |mut tree: Tree| {
            let request = request.clone();
            async move { tree.watch(request).await }
        };
        Ok(Watch::new(self.ask("Watch", Repeat::Safe, send).await?))
    }

    /// Sends a request to the coordinator that leads, once it is found.
    async fn ask<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        request: &'static str,
        repeat: Repeat,
        send: impl Fn(Tree) -> F,
    ) -> Result<T, TreeError> {
        let Shared { addresses, timeout, connections, favourite } = &*self.shared;
        let deadline = Instant::now() + *timeout;
        let too_late = || TreeError::Timeout { request, waited: *timeout };
        let mut unreachable: BTreeMap<&String, String> = BTreeMap::new();
        let mut failures = 0;
        loop {
            let place = favourite.load(Ordering::Relaxed);
            let Some(address) = addresses.get(place % addresses.len().max(1)) else {
                return Err(TreeError::Unreachable {
                    addresses: String::new(),
                    detail: "no coordinator is named".to_owned(),
                });
            };
            let next = || favourite.store(place.wrapping_add(1), Ordering::Relaxed);
            let connected = timeout_at(deadline, connections.shared(address));
            let channel = match connected.await.map_err(|_elapsed| too_late())? {
                Ok(channel) => channel,
                Err(error) => {
                    next();
                    unreachable.insert(address, detail(&error));
                    if unreachable.len() < addresses.len() {
                        continue;
                    }
                    return Err(all_unreachable(&unreachable));
                }
            };
            unreachable.clear();
            let tree = TreeServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
            let answer = timeout_at(deadline, send(tree)).await;
            let status = match answer {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_elapsed) if repeat == Repeat::Safe => return Err(too_late()),
                Err(_elapsed) => {
                    return Err(TreeError::OutcomeUnknown { request, cause: Box::new(too_late()) });
                }
            };
            let error = wire::from_status(&status);
            if error.reason == Reason::NotController {
                next();
            } else if matches!(error.code(), Code::Unavailable | Code::Timeout | Code::Internal)
                && error.reason != Reason::CoordinatorNotAvailable
            {
                // The connection broke, maybe amid an answer, or the coordinator ends.
                connections.forget(address);
                next();
                if repeat == Repeat::Unsafe {
                    let cause = Box::new(TreeError::Refused(error));
                    return Err(TreeError::OutcomeUnknown { request, cause });
                }
            } else if !matches!(error.reason, Reason::CoordinatorNotAvailable | Reason::Busy) {
                return Err(TreeError::Refused(error));
            }
            // It does not lead (yet), or has too much to do: refused before anything was done.
            failures += 1;
            let wait = backoff::wait(failures, backoff::random());
            if deadline < Instant::now() + wait {
                return Err(TreeError::Refused(error));
            }
            sleep(wait).await;
        }
    }
}

type Tree = TreeServiceClient<Channel>;

fn detail(error: &ClientError) -> String {
    if let ClientError::Unreachable { detail, .. } = error {
        return detail.clone();
    }
    error.to_string()
}

fn all_unreachable(found: &BTreeMap<&String, String>) -> TreeError {
    let addresses: Vec<_> = found.keys().map(|address| address.as_str()).collect();
    let detail = found.values().next_back().cloned().unwrap_or_default();
    TreeError::Unreachable { addresses: addresses.join(","), detail }
}

fn stat_from_proto(stat: Option<v1::Stat>) -> Result<Stat, InvalidMessage> {
    let stat = required(stat, "stat")?;
    Ok(Stat {
        version: NodeVersion::new(stat.version),
        created: Revision::new(stat.created_revision),
        modified: Revision::new(stat.modified_revision),
        owner: stat.session.map(SessionId::new),
        data_length: stat.data_length,
        children: stat.children,
    })
}
