use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rpds::RedBlackTreeSetSync;
use types::Revision;

use crate::SessionId;

/// The most data that one node holds, in bytes.
pub const MAX_DATA_BYTES: usize = 1024 * 1024;

/// How often a node's data was set since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeVersion(u64);

impl NodeVersion {
    /// Wraps a count.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The count.
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for NodeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One node. A clone shares data and children with the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it holds.
    pub data: Bytes,
    /// How often that was set.
    pub version: NodeVersion,
    /// The revision that made it.
    pub created: Revision,
    /// The revision that last set its data.
    pub modified: Revision,
    /// The session that it goes with, if it is ephemeral.
    pub owner: Option<SessionId>,
    /// The number that its next sequential child gets, unless the name is taken.
    pub next_sequence: u64,
    pub(crate) children: RedBlackTreeSetSync<Arc<str>>,
}

impl Node {
    /// A node without children, as it is made.
    pub fn new(data: Bytes, revision: Revision, owner: Option<SessionId>) -> Self {
        Self {
            data,
            version: NodeVersion::default(),
            created: revision,
            modified: revision,
            owner,
            next_sequence: 0,
            children: RedBlackTreeSetSync::new_sync(),
        }
    }

    /// The names of its children, in order.
    pub fn children(&self) -> impl Iterator<Item = &Arc<str>> {
        self.children.iter()
    }

    /// The names of its children from `from` on, in order.
    pub fn children_from(&self, from: &str) -> impl Iterator<Item = &Arc<str>> {
        self.children.range::<str, _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded))
    }

    /// How many children it has.
    pub fn child_count(&self) -> usize {
        self.children.size()
    }
}
