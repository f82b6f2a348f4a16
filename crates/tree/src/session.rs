use std::fmt;

use rpds::RedBlackTreeSetSync;

use crate::NodePath;

/// A session: the revision of the command that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// Wraps a revision.
    pub const fn new(revision: u64) -> Self {
        Self(revision)
    }

    /// The revision.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    /// As `ZooKeeper` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Somebody whose nodes go when they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// How long its owner may be silent, in milliseconds.
    pub timeout_ms: u32,
    pub(crate) ephemerals: RedBlackTreeSetSync<NodePath>,
}

impl Session {
    pub(crate) fn new(timeout_ms: u32) -> Self {
        Self { timeout_ms, ephemerals: RedBlackTreeSetSync::new_sync() }
    }

    /// The nodes that go with it, in order.
    pub fn ephemerals(&self) -> impl Iterator<Item = &NodePath> {
        self.ephemerals.iter()
    }

    /// How many they are.
    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals.size()
    }
}
