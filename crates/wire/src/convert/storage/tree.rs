//! The tree: its commands in the log, its sessions and nodes in a snapshot.

use bytes::Bytes;
use prost::Message;
use tree::{
    Command, Expectation, Lifetime, Missing, Naming, Node, NodePath, NodeVersion, Operation,
    SessionId, SnapshotError, Tree,
};
use types::Revision;

use super::TREE_VERSION;
use crate::InvalidMessage;
use crate::convert::required;
use crate::v1::storage as v1;
use crate::v1::storage::check_tree_node::Expected;
use crate::v1::storage::snapshot_part::Part;
use crate::v1::storage::tree_operation::Operation as Kind;

/// Data of one node that goes into one part, so that a part with it fits a value of the store.
const DATA_PER_PART: usize = 32 * 1024;

/// A command of the tree, as the log holds it.
pub fn tree_command_to_bytes(command: &Command) -> Bytes {
    use v1::command::Command as Kind;
    let kind = match command {
        Command::CreateSession { timeout_ms } => {
            Kind::CreateTreeSession(v1::CreateTreeSession { timeout_ms: *timeout_ms })
        }
        Command::CloseSession { session } => {
            Kind::CloseTreeSession(v1::CloseTreeSession { session: session.get() })
        }
        Command::Transact { operations } => Kind::TransactTree(v1::TransactTree {
            operations: operations.iter().map(operation_to_proto).collect(),
        }),
    };
    v1::Command { version: TREE_VERSION, command: Some(kind) }.encode_to_vec().into()
}

impl From<v1::CreateTreeSession> for Command {
    fn from(session: v1::CreateTreeSession) -> Self {
        Self::CreateSession { timeout_ms: session.timeout_ms }
    }
}

impl From<v1::CloseTreeSession> for Command {
    fn from(session: v1::CloseTreeSession) -> Self {
        Self::CloseSession { session: SessionId::new(session.session) }
    }
}

pub(super) fn transaction_from_proto(
    transaction: v1::TransactTree,
) -> Result<Command, InvalidMessage> {
    let operations = transaction.operations.into_iter().map(operation_from_proto);
    Ok(Command::Transact { operations: operations.collect::<Result<_, _>>()? })
}

fn operation_to_proto(operation: &Operation) -> v1::TreeOperation {
    let path = operation.path().to_string();
    let kind = match operation {
        Operation::Create { data, lifetime, naming, .. } => Kind::Create(v1::CreateTreeNode {
            path,
            data: data.clone(),
            session: match lifetime {
                Lifetime::Persistent => None,
                Lifetime::Ephemeral(session) => Some(session.get()),
            },
            sequential: *naming == Naming::Sequential,
        }),
        Operation::Set { data, version, .. } => Kind::Set(v1::SetTreeNode {
            path,
            data: data.clone(),
            version: version.map(NodeVersion::get),
        }),
        Operation::Put { data, .. } => Kind::Put(v1::PutTreeNode { path, data: data.clone() }),
        Operation::Delete { version, missing, .. } => Kind::Delete(v1::DeleteTreeNode {
            path,
            version: version.map(NodeVersion::get),
            missing_is_fine: *missing == Missing::Fine,
        }),
        Operation::Check { expected, .. } => {
            let expected = Some(match expected {
                Expectation::Exists => Expected::Exists(true),
                Expectation::Absent => Expected::Exists(false),
                Expectation::Version(version) => Expected::Version(version.get()),
                Expectation::Data(data) => Expected::Data(data.clone()),
            });
            Kind::Check(v1::CheckTreeNode { path, expected })
        }
    };
    v1::TreeOperation { operation: Some(kind) }
}

fn operation_from_proto(operation: v1::TreeOperation) -> Result<Operation, InvalidMessage> {
    Ok(match required(operation.operation, "operation")? {
        Kind::Create(create) => Operation::Create {
            path: NodePath::new(&create.path)?,
            data: own(&create.data),
            lifetime: create
                .session
                .map_or(Lifetime::Persistent, |id| Lifetime::Ephemeral(SessionId::new(id))),
            naming: if create.sequential { Naming::Sequential } else { Naming::Given },
        },
        Kind::Set(set) => Operation::Set {
            path: NodePath::new(&set.path)?,
            data: own(&set.data),
            version: set.version.map(NodeVersion::new),
        },
        Kind::Put(put) => Operation::Put { path: NodePath::new(&put.path)?, data: own(&put.data) },
        Kind::Delete(delete) => Operation::Delete {
            path: NodePath::new(&delete.path)?,
            version: delete.version.map(NodeVersion::new),
            missing: if delete.missing_is_fine { Missing::Fine } else { Missing::Refused },
        },
        Kind::Check(check) => Operation::Check {
            path: NodePath::new(&check.path)?,
            expected: match required(check.expected, "expected")? {
                Expected::Exists(true) => Expectation::Exists,
                Expected::Exists(false) => Expectation::Absent,
                Expected::Version(version) => Expectation::Version(NodeVersion::new(version)),
                Expected::Data(data) => Expectation::Data(own(&data)),
            },
        },
    })
}

/// Data by itself. A slice of the command would keep all of that in memory as long as the node.
fn own(data: &Bytes) -> Bytes {
    Bytes::copy_from_slice(data)
}

/// The tree in parts: sessions, then nodes, long data cut up.
pub(super) fn tree_to_parts(tree: &Tree) -> impl Iterator<Item = Part> {
    let sessions = tree.sessions().map(|(id, session)| {
        let timeout_ms = session.timeout_ms;
        Part::TreeSession(v1::TreeSession { session: id.get(), timeout_ms })
    });
    let nodes = tree.nodes().flat_map(|(path, node)| {
        let first = node.data.slice(..node.data.len().min(DATA_PER_PART));
        let rest = node.data.slice(first.len()..);
        let node = Part::TreeNode(v1::TreeNode {
            path: path.to_string(),
            data: first,
            version: node.version.get(),
            created: node.created.get(),
            modified: node.modified.get(),
            session: node.owner.map(SessionId::get),
            next_sequence: node.next_sequence,
        });
        let pieces = (0..rest.len()).step_by(DATA_PER_PART);
        let more = pieces.map(move |start| {
            Part::MoreData(rest.slice(start..rest.len().min(start + DATA_PER_PART)))
        });
        std::iter::once(node).chain(more)
    });
    sessions.chain(nodes)
}

/// What a snapshot holds of a tree, so far.
#[derive(Default)]
pub(super) struct TreeParts {
    sessions: Vec<(SessionId, u32)>,
    nodes: Vec<(NodePath, Node)>,
    /// Of the last node, if it came in several parts.
    data: Vec<u8>,
}

impl TreeParts {
    pub(super) fn take_session(&mut self, session: v1::TreeSession) {
        self.sessions.push((SessionId::new(session.session), session.timeout_ms));
    }

    pub(super) fn take_node(&mut self, node: &v1::TreeNode) -> Result<(), InvalidMessage> {
        self.close_node();
        let path = NodePath::new(&node.path)?;
        let owner = node.session.map(SessionId::new);
        let mut held = Node::new(own(&node.data), Revision::new(node.created), owner);
        held.version = NodeVersion::new(node.version);
        held.modified = Revision::new(node.modified);
        held.next_sequence = node.next_sequence;
        self.nodes.push((path, held));
        Ok(())
    }

    pub(super) fn take_data(&mut self, data: &[u8]) -> Result<(), InvalidMessage> {
        let (_, node) = required(self.nodes.last(), "node before more_data")?;
        if self.data.is_empty() {
            self.data.extend_from_slice(&node.data);
        }
        self.data.extend_from_slice(data);
        Ok(())
    }

    fn close_node(&mut self) {
        let data = std::mem::take(&mut self.data);
        if !data.is_empty()
            && let Some((_, node)) = self.nodes.last_mut()
        {
            node.data = data.into();
        }
    }

    pub(super) fn finish(mut self) -> Result<Tree, InvalidMessage> {
        self.close_node();
        Tree::from_parts(self.sessions, self.nodes).map_err(|error: SnapshotError| {
            InvalidMessage::Value {
                field: "tree_node",
                found: error.to_string(),
                expected: "nodes behind their parents and sessions",
            }
        })
    }
}
