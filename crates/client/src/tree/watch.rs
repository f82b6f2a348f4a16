use bytes::Bytes;
use tonic::Streaming;
use types::Revision;
use wire::InvalidMessage;
use wire::convert::required;
use wire::v1::tree as v1;
use wire::v1::tree::event::Kind;
use wire::v1::tree::watch_response::Content;

use super::{Stat, TreeError, stat_from_proto};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Whether everything below the node is watched, too.
    pub subtree: bool,
    /// Whether data is wanted, too.
    pub with_data: bool,
}

/// A node as a watch tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedNode {
    /// Where it is.
    pub path: String,
    /// What it holds; empty if that was not asked for.
    pub data: Bytes,
    /// The rest.
    pub stat: Stat,
}

/// What happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Created(WatchedNode),
    /// Its data was set.
    Changed(WatchedNode),
    /// It was taken away.
    Deleted {
        /// Where it was.
        path: String,
    },
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// What is there, over as many of these as it takes.
    Snapshot {
        /// Parents before their children.
        nodes: Vec<WatchedNode>,
        /// Whether this is the last of it.
        complete: bool,
    },
    /// What one revision changed, in order.
    Changes(Vec<Change>),
    /// Nothing that is watched changed.
    Progress,
}

/// A stream of changes.
#[derive(Debug)]
pub struct Watch {
    stream: Streaming<v1::WatchResponse>,
}

impl Watch {
    pub(super) fn new(stream: Streaming<v1::WatchResponse>) -> Self {
        Self { stream }
    }

    /// Waits for what comes next, and the revision up to which the caller then knows everything;
    /// within a snapshot, once it is complete.
    ///
    /// # Errors
    ///
    /// The watch ended. It can be begun again after the last revision.
    pub async fn next(&mut self) -> Result<(Revision, News), TreeError> {
        let message = self.stream.message().await;
        let message = message.map_err(|status| TreeError::Refused(wire::from_status(&status)))?;
        let message = message.ok_or(TreeError::BrokenOff)?;
        let news = match required(message.content, "content")? {
            Content::Snapshot(snapshot) => News::Snapshot {
                nodes: snapshot.nodes.into_iter().map(node).collect::<Result<_, _>>()?,
                complete: snapshot.complete,
            },
            Content::Changes(changes) => {
                News::Changes(changes.events.into_iter().map(change).collect::<Result<_, _>>()?)
            }
            Content::Progress(v1::Progress {}) => News::Progress,
        };
        Ok((Revision::new(message.revision), news))
    }
}

fn node(node: v1::Node) -> Result<WatchedNode, InvalidMessage> {
    Ok(WatchedNode { path: node.path, data: node.data, stat: stat_from_proto(node.stat)? })
}

fn change(event: v1::Event) -> Result<Change, InvalidMessage> {
    let kind = event.kind();
    let told = required(event.node, "node")?;
    Ok(match kind {
        Kind::Created => Change::Created(node(told)?),
        Kind::Changed => Change::Changed(node(told)?),
        Kind::Deleted => Change::Deleted { path: told.path },
        Kind::Unspecified => {
            return Err(InvalidMessage::Value {
                field: "kind",
                found: event.kind.to_string(),
                expected: "created, changed or deleted",
            });
        }
    })
}
