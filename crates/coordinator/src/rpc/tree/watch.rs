//! The tree as a stream. It is drawn by the caller: a slow one falls behind, and is told so when
//! what it has not drawn is no longer held.

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use tokio::time::{MissedTickBehavior, interval};
use tonic::Status;
use tree::{NodePath, Tree};
use types::Revision;
use wire::convert::{event_to_proto, node_to_proto};
use wire::to_status;
use wire::v1::tree as v1;
use wire::v1::tree::watch_response::Content;

use super::{TreeRpc, ask};
use crate::request::{Request, RequestError};
use crate::tree_feed::{TreeChange, TreeDue};

/// Between two notes to a watcher that nothing of its concern changed.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Nodes of a snapshot that go into one message, by number and by bytes.
const NODES_PER_MESSAGE: usize = 1_000;
const BYTES_PER_MESSAGE: usize = 1024 * 1024;

/// What is watched.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) path: NodePath,
    pub(super) subtree: bool,
    pub(super) with_data: bool,
}

impl TreeRpc {
    /// What is there, if the caller has nothing, and everything after it, from a tree that holds at
    /// least what was certain when this was called.
    pub(super) async fn begin_watch(
        &self,
        scope: Scope,
        after: Option<Revision>,
    ) -> Result<
        impl Stream<Item = Result<v1::WatchResponse, Status>> + Send + 'static + use<>,
        RequestError,
    > {
        let watches = Arc::clone(&self.watches);
        let permit = watches.try_acquire_owned().map_err(|_all_taken| RequestError::Busy)?;
        self.check_resumable(after).await?;
        let (feed, stop) = (Arc::clone(&self.feed), self.stop.clone());
        Ok(stream! {
            let _permit = permit;
            let mut changed = feed.subscribe();
            let mut progress = interval(PROGRESS_INTERVAL);
            progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
            progress.reset();
            let mut last = if let Some(after) = after {
                after
            } else {
                let (revision, tree) = feed.view();
                let mut snapshot = Snapshot { scope: &scope, tree, revision, after: None };
                loop {
                    let (message, complete) = snapshot.next_message();
                    yield Ok(message);
                    if complete {
                        break revision;
                    }
                }
            };
            let mut told = last;
            loop {
                // Before looking, so that no change in between is missed.
                changed.mark_unchanged();
                match feed.after(last) {
                    TreeDue::Change(change) => {
                        last = change.revision;
                        if let Some(message) = scope.message(&change) {
                            told = last;
                            yield Ok(message);
                        }
                    }
                    TreeDue::Behind(held) => {
                        yield Err(to_status(&RequestError::Behind { asked: last, held }));
                        return;
                    }
                    TreeDue::NotLeading => {
                        yield Err(to_status(&RequestError::NotLeader));
                        return;
                    }
                    TreeDue::Nothing(revision) => {
                        last = last.max(revision);
                        tokio::select! {
                            _ = changed.changed() => {}
                            _ = progress.tick() => if told < last {
                                told = last;
                                let content = Some(Content::Progress(v1::Progress {}));
                                yield Ok(v1::WatchResponse { revision: last.get(), content });
                            },
                            () = stop.cancelled() => {
                                yield Err(to_status(&RequestError::ShuttingDown));
                                return;
                            }
                        }
                    }
                }
            }
        })
    }

    /// Waits until what was certain is here; refuses a revision that no change follows on here.
    async fn check_resumable(&self, after: Option<Revision>) -> Result<(), RequestError> {
        let held = ask(&self.mailbox, |reply| Request::Barrier { reply }).await?;
        let Some(asked) = after else { return Ok(()) };
        if held < asked {
            return Err(RequestError::Ahead { asked, held });
        }
        match self.feed.after(asked) {
            TreeDue::Behind(held) => Err(RequestError::Behind { asked, held }),
            TreeDue::Change(_) | TreeDue::Nothing(_) | TreeDue::NotLeading => Ok(()),
        }
    }
}

impl Scope {
    fn holds(&self, path: &NodePath) -> bool {
        if self.subtree { self.path.covers(path) } else { self.path == *path }
    }

    /// What of a change is watched.
    fn message(&self, change: &TreeChange) -> Option<v1::WatchResponse> {
        let watched = change.events.iter().filter(|event| self.holds(&event.path));
        let events: Vec<_> = watched.map(|event| event_to_proto(event, self.with_data)).collect();
        if events.is_empty() {
            return None;
        }
        let content = Some(Content::Changes(v1::Changes { events }));
        Some(v1::WatchResponse { revision: change.revision.get(), content })
    }
}

/// A snapshot on its way, message by message.
struct Snapshot<'a> {
    scope: &'a Scope,
    tree: Tree,
    revision: Revision,
    /// The last node that was sent.
    after: Option<NodePath>,
}

impl Snapshot<'_> {
    /// The next message, and whether it is the last.
    fn next_message(&mut self) -> (v1::WatchResponse, bool) {
        let Scope { path, subtree, with_data } = self.scope;
        let depth = if *subtree { usize::MAX } else { 1 };
        let mut nodes = Vec::new();
        let mut bytes = 0;
        let mut complete = true;
        let mut last = None;
        for (at, node) in self.tree.subtree(path, self.after.as_ref()).take(depth) {
            if !self.scope.holds(at) {
                break;
            }
            if nodes.len() == NODES_PER_MESSAGE || BYTES_PER_MESSAGE < bytes {
                complete = false;
                break;
            }
            let node = node_to_proto(at, node, *with_data);
            bytes += node.path.len() + node.data.len();
            nodes.push(node);
            last = Some(at.clone());
        }
        self.after = last.or_else(|| self.after.take());
        let content = Some(Content::Snapshot(v1::Snapshot { nodes, complete }));
        (v1::WatchResponse { revision: self.revision.get(), content }, complete)
    }
}
