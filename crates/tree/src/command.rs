use bytes::Bytes;

use crate::{MAX_DATA_BYTES, NodePath, NodeVersion, SessionId, TreeError};

/// The most operations in one transaction.
pub const MAX_OPERATIONS: usize = 10_000;

/// One change of the tree, as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begins a session. Its id is the revision of this command.
    CreateSession {
        /// How long its owner may be silent, in milliseconds.
        timeout_ms: u32,
    },
    /// Ends a session, closed or expired, and takes its nodes away.
    CloseSession {
        /// Which one.
        session: SessionId,
    },
    /// Does all of these, in order, or none.
    Transact {
        /// What to do.
        operations: Vec<Operation>,
    },
}

/// One step of a transaction. It sees what the steps before it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes a node below one that is there.
    Create {
        /// Where; the beginning of it, if the name is numbered.
        path: NodePath,
        /// What it holds.
        data: Bytes,
        /// How long it stays.
        lifetime: Lifetime,
        /// How the last name of its path comes about.
        naming: Naming,
    },
    /// Sets the data of a node that is there.
    Set {
        /// Which one.
        path: NodePath,
        /// What it holds from now on.
        data: Bytes,
        /// Only if it is of this version.
        version: Option<NodeVersion>,
    },
    /// Sets the data of a node, which is made, to stay, if it is not there.
    Put {
        /// Which one.
        path: NodePath,
        /// What it holds from now on.
        data: Bytes,
    },
    /// Takes away a node without children.
    Delete {
        /// Which one.
        path: NodePath,
        /// Only if it is of this version.
        version: Option<NodeVersion>,
        /// What if it is not there.
        missing: Missing,
    },
    /// Changes nothing; refuses the transaction unless a node is as expected.
    Check {
        /// Which one.
        path: NodePath,
        /// What it must be like.
        expected: Expectation,
    },
}

/// How long a node stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is deleted.
    Persistent,
    /// As long as a session, and without children.
    Ephemeral(SessionId),
}

/// How a new node gets its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// It is the one given.
    Given,
    /// It is the one given with ten digits behind it, which grow from node to node of one parent.
    Sequential,
}

/// What becomes of a deletion of nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is refused.
    Refused,
    /// There is nothing to do.
    Fine,
}

/// What a node must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// There.
    Exists,
    /// Not there.
    Absent,
    /// There, in this version.
    Version(NodeVersion),
    /// There, with exactly this data.
    Data(Bytes),
}

impl Command {
    /// Whether it may be proposed: its parts are within their limits.
    ///
    /// # Errors
    ///
    /// [`TreeError::TooMuchData`] or [`TreeError::TooManyOperations`].
    pub fn validate(&self) -> Result<(), TreeError> {
        let Self::Transact { operations } = self else { return Ok(()) };
        if MAX_OPERATIONS < operations.len() {
            return Err(TreeError::TooManyOperations { given: operations.len() });
        }
        let large = operations.iter().find(|operation| MAX_DATA_BYTES < operation.data_len());
        large.map_or(Ok(()), |operation| {
            let path = operation.path().clone();
            Err(TreeError::TooMuchData { path, given: operation.data_len() })
        })
    }
}

impl Operation {
    /// Makes a node that stays.
    pub fn create(path: NodePath, data: impl Into<Bytes>) -> Self {
        let (lifetime, naming) = (Lifetime::Persistent, Naming::Given);
        Self::Create { path, data: data.into(), lifetime, naming }
    }

    /// Sets a node's data, whatever its version.
    pub fn set(path: NodePath, data: impl Into<Bytes>) -> Self {
        Self::Set { path, data: data.into(), version: None }
    }

    /// Deletes a node, whatever its version.
    pub fn delete(path: NodePath) -> Self {
        Self::Delete { path, version: None, missing: Missing::Refused }
    }

    /// Which node it is about.
    pub fn path(&self) -> &NodePath {
        match self {
            Self::Create { path, .. }
            | Self::Set { path, .. }
            | Self::Put { path, .. }
            | Self::Delete { path, .. }
            | Self::Check { path, .. } => path,
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Self::Create { data, .. } | Self::Set { data, .. } | Self::Put { data, .. } => {
                data.len()
            }
            Self::Delete { .. } | Self::Check { .. } => 0,
        }
    }

    /// Bytes of memory that it may add to the tree, roughly.
    pub(crate) fn weight(&self) -> u64 {
        (self.path().as_str().len() + self.data_len()) as u64
    }
}
