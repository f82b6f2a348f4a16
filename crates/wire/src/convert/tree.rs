//! What callers of the tree send and are sent.

use tree::{
    Event, Expectation, Lifetime, Missing, Naming, Node, NodePath, NodeVersion, Operation,
    SessionId, Touched, What,
};

use super::required;
use crate::InvalidMessage;
use crate::v1::tree as v1;
use crate::v1::tree::check::Expected;
use crate::v1::tree::operation::Operation as Kind;

/// An operation, as a caller sends it.
pub fn operation_to_proto(operation: &Operation) -> v1::Operation {
    let path = operation.path().to_string();
    let kind = match operation {
        Operation::Create { data, lifetime, naming, .. } => Kind::Create(v1::CreateRequest {
            path,
            data: data.clone(),
            session: match lifetime {
                Lifetime::Persistent => None,
                Lifetime::Ephemeral(session) => Some(session.get()),
            },
            sequential: *naming == Naming::Sequential,
        }),
        Operation::Set { data, version, .. } => Kind::Set(v1::SetRequest {
            path,
            data: data.clone(),
            version: version.map(NodeVersion::get),
        }),
        Operation::Put { data, .. } => Kind::Put(v1::Put { path, data: data.clone() }),
        Operation::Delete { version, missing, .. } => Kind::Delete(v1::Delete {
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
            Kind::Check(v1::Check { path, expected })
        }
    };
    v1::Operation { operation: Some(kind) }
}

/// An operation that was sent.
///
/// # Errors
///
/// [`InvalidMessage`]: a path is none, or something is missing.
pub fn operation_from_proto(operation: v1::Operation) -> Result<Operation, InvalidMessage> {
    Ok(match required(operation.operation, "operation")? {
        Kind::Create(create) => Operation::Create {
            path: NodePath::new(&create.path)?,
            data: create.data,
            lifetime: create
                .session
                .map_or(Lifetime::Persistent, |id| Lifetime::Ephemeral(SessionId::new(id))),
            naming: if create.sequential { Naming::Sequential } else { Naming::Given },
        },
        Kind::Set(set) => Operation::Set {
            path: NodePath::new(&set.path)?,
            data: set.data,
            version: set.version.map(NodeVersion::new),
        },
        Kind::Put(put) => Operation::Put { path: NodePath::new(&put.path)?, data: put.data },
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
                Expected::Data(data) => Expectation::Data(data),
            },
        },
    })
}

/// What is known of a node beside its data.
pub fn stat_to_proto(node: &Node) -> v1::Stat {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    v1::Stat {
        version: node.version.get(),
        created_revision: node.created.get(),
        modified_revision: node.modified.get(),
        session: node.owner.map(SessionId::get),
        data_length: count(node.data.len()),
        children: count(node.child_count()),
    }
}

/// A node, with its data if that is wanted.
pub fn node_to_proto(path: &NodePath, node: &Node, with_data: bool) -> v1::Node {
    let data = if with_data { node.data.clone() } else { bytes::Bytes::new() };
    v1::Node { path: path.to_string(), data, stat: Some(stat_to_proto(node)) }
}

/// What an operation did.
pub fn touched_to_proto(touched: &Touched) -> v1::OperationResult {
    v1::OperationResult {
        path: touched.path.to_string(),
        stat: touched.node.as_deref().map(stat_to_proto),
    }
}

/// A change of a node, with its data if that is wanted.
pub fn event_to_proto(event: &Event, with_data: bool) -> v1::Event {
    use v1::event::Kind;
    let (kind, node) = match &event.what {
        What::Created(node) => (Kind::Created, Some(node)),
        What::Changed(node) => (Kind::Changed, Some(node)),
        What::Deleted => (Kind::Deleted, None),
    };
    let gone = || v1::Node { path: event.path.to_string(), ..v1::Node::default() };
    let node = node.map_or_else(gone, |node| node_to_proto(&event.path, node, with_data));
    v1::Event { kind: kind.into(), node: Some(node) }
}
