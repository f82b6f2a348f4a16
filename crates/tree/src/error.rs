use thiserror::Error;
use types::{Coded, Reason};

use crate::tree::{MAX_NODES, MAX_SESSIONS, MAX_TREE_BYTES};
use crate::{MAX_DATA_BYTES, MAX_OPERATIONS, NodePath, NodeVersion, SessionId};

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path:?} is no path of a node: {rule}")]
pub struct InvalidPath {
    /// The text, or its beginning.
    pub path: String,
    /// Which rule it breaks.
    pub rule: &'static str,
}

impl Coded for InvalidPath {
    fn reason(&self) -> Reason {
        Reason::InvalidRequest
    }
}

/// A command that was not done: which of its operations cannot be, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{cause}")]
pub struct Refused {
    /// The operation's place in its transaction, from 0; 0 where there is no transaction.
    pub operation: usize,
    /// Why it cannot be done.
    #[source]
    pub cause: TreeError,
}

impl Coded for Refused {
    fn reason(&self) -> Reason {
        self.cause.reason()
    }
}

/// Why an operation is refused. Where `ZooKeeper`'s shell has words for it, these are the words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TreeError {
    /// No such node.
    #[error("Node does not exist: {path}")]
    NoNode {
        /// Which one.
        path: NodePath,
    },
    /// There is one already.
    #[error("Node already exists: {path}")]
    NodeExists {
        /// Which one.
        path: NodePath,
    },
    /// It has children.
    #[error("Node not empty: {path}")]
    NotEmpty {
        /// Which one.
        path: NodePath,
    },
    /// It was changed meanwhile, or never was of that version.
    #[error("version No is not valid : {path} (it is {found}, not {expected}; read it again)")]
    BadVersion {
        /// Which one.
        path: NodePath,
        /// What was expected.
        expected: NodeVersion,
        /// What it is.
        found: NodeVersion,
    },
    /// It holds something other than expected.
    #[error("{path} holds other data than expected; read it again")]
    OtherData {
        /// Which one.
        path: NodePath,
    },
    /// What goes with a session has nothing below it.
    #[error("Ephemerals cannot have children: {path}")]
    EphemeralParent {
        /// The ephemeral node.
        path: NodePath,
    },
    /// The root stays.
    #[error("the root of the tree cannot be made or deleted")]
    Root,
    /// The session is over, or never was.
    #[error("session {session} is over; its ephemeral nodes are gone: begin another one")]
    NoSession {
        /// Which one.
        session: SessionId,
    },
    /// The name would be too long with its number.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// More than one node may hold.
    #[error("{given} bytes of data for {path} are too much; a node holds {MAX_DATA_BYTES} at most")]
    TooMuchData {
        /// Which node.
        path: NodePath,
        /// How many.
        given: usize,
    },
    /// More than one transaction may do.
    #[error("{given} operations are too many for a transaction; it may have {MAX_OPERATIONS}")]
    TooManyOperations {
        /// How many.
        given: usize,
    },
    /// The tree is in memory, on every coordinator.
    #[error(
        "the tree is full ({nodes} of {MAX_NODES} nodes, {bytes} of {MAX_TREE_BYTES} bytes, {sessions} of {MAX_SESSIONS} sessions); delete what is not needed"
    )]
    Full {
        /// Nodes there are.
        nodes: usize,
        /// Bytes of paths and data there are.
        bytes: u64,
        /// Sessions there are.
        sessions: usize,
    },
}

impl Coded for TreeError {
    fn reason(&self) -> Reason {
        match self {
            Self::NoNode { .. } => Reason::NoNode,
            Self::NodeExists { .. } => Reason::NodeExists,
            Self::NotEmpty { .. } => Reason::NotEmpty,
            Self::BadVersion { .. } | Self::OtherData { .. } => Reason::BadVersion,
            Self::EphemeralParent { .. } => Reason::NoChildrenForEphemerals,
            Self::NoSession { .. } => Reason::SessionExpired,
            Self::Root
            | Self::Path(_)
            | Self::TooMuchData { .. }
            | Self::TooManyOperations { .. } => Reason::InvalidRequest,
            Self::Full { .. } => Reason::StorageFull,
        }
    }
}

/// Entries that make no tree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// A node whose parent is not among the entries before it.
    #[error("node {path} has no parent")]
    Orphan {
        /// Which one.
        path: NodePath,
    },
    /// A node of a session that is not there.
    #[error("node {path} goes with session {session}, which is not there")]
    UnknownOwner {
        /// Which node.
        path: NodePath,
        /// Which session.
        session: SessionId,
    },
}
