use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};
use types::Revision;

use crate::{
    Command, Expectation, Lifetime, Missing, Naming, Node, NodePath, NodeVersion, Operation,
    Refused, Session, SessionId, SnapshotError, TreeError,
};

/// The most nodes that a tree may grow to.
pub const MAX_NODES: usize = 1_000_000;
/// The most bytes of paths and data that a tree may grow to.
pub const MAX_TREE_BYTES: u64 = 256 * 1024 * 1024;
/// The most sessions at once.
pub const MAX_SESSIONS: usize = 100_000;

/// All nodes and sessions. A clone costs a few reference counts and shares everything with the
/// original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    nodes: RedBlackTreeMapSync<NodePath, Arc<Node>>,
    sessions: RedBlackTreeMapSync<SessionId, Arc<Session>>,
    /// Of paths and data.
    bytes: u64,
}

/// What a command did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The session that was begun, if the command begins one.
    pub session: Option<SessionId>,
    /// One for each operation of a transaction.
    pub touched: Vec<Touched>,
    /// What changed, in order.
    pub events: Vec<Event>,
}

/// The node that an operation was about, as the operation left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Its path, with its number if it was given one.
    pub path: NodePath,
    /// What it is now; none if it is not there.
    pub node: Option<Arc<Node>>,
}

/// One change of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which node.
    pub path: NodePath,
    /// What happened to it, with the node as it then was.
    pub what: What,
}

/// What can happen to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was made.
    Created(Arc<Node>),
    /// Its data was set.
    Changed(Arc<Node>),
    /// It was taken away.
    Deleted,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// The tree before the first command: a root that holds nothing.
    pub fn new() -> Self {
        let (nodes, sessions) = (RedBlackTreeMapSync::new_sync(), RedBlackTreeMapSync::new_sync());
        let mut tree = Self { nodes, sessions, bytes: 0 };
        tree.put(NodePath::root(), Arc::new(Node::new(Bytes::new(), Revision::ZERO, None)));
        tree
    }

    /// Puts a snapshot together: sessions as ids and timeouts, nodes in the order of
    /// [`nodes`](Self::nodes); what they say of their children is not looked at.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]: a node's parent or session is not there.
    pub fn from_parts(
        sessions: impl IntoIterator<Item = (SessionId, u32)>,
        nodes: impl IntoIterator<Item = (NodePath, Node)>,
    ) -> Result<Self, SnapshotError> {
        let mut tree = Self::new();
        for (id, timeout_ms) in sessions {
            tree.sessions.insert_mut(id, Arc::new(Session::new(timeout_ms)));
        }
        // A parent's children are gathered before it is made persistent: once for each node.
        let mut children: BTreeMap<NodePath, RedBlackTreeSetSync<Arc<str>>> = BTreeMap::new();
        let mut entries = Vec::new();
        for (path, node) in nodes {
            if let Some(session) = node.owner {
                let held = tree
                    .sessions
                    .get(&session)
                    .ok_or_else(|| SnapshotError::UnknownOwner { path: path.clone(), session })?;
                let mut held = Session::clone(held);
                held.ephemerals.insert_mut(path.clone());
                tree.sessions.insert_mut(session, Arc::new(held));
            }
            if let Some((parent, name)) = path.split() {
                let siblings = children.get_mut(&parent);
                let siblings =
                    siblings.ok_or_else(|| SnapshotError::Orphan { path: path.clone() })?;
                siblings.insert_mut(Arc::from(name));
            }
            children.insert(path.clone(), RedBlackTreeSetSync::new_sync());
            entries.push((path, node));
        }
        for (path, mut node) in entries {
            node.children = children.remove(&path).unwrap_or_default();
            tree.put(path, Arc::new(node));
        }
        Ok(tree)
    }

    /// A node.
    pub fn node(&self, path: &NodePath) -> Option<&Arc<Node>> {
        self.nodes.get(path)
    }

    /// Every node, parents before their children.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodePath, &Arc<Node>)> {
        self.nodes.iter()
    }

    /// A node and all below it, parents before their children; only those behind `after`, if it is
    /// given.
    pub fn subtree<'a>(
        &'a self,
        path: &'a NodePath,
        after: Option<&'a NodePath>,
    ) -> impl Iterator<Item = (&'a NodePath, &'a Arc<Node>)> {
        let start = match after {
            Some(after) => Bound::Excluded(after.as_str()),
            None => Bound::Included(path.as_str()),
        };
        // Neighbours such as `/a-b` sort between `/a` and `/a/b`.
        self.nodes
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(other, _)| other.as_str().starts_with(path.as_str()))
            .filter(|(other, _)| path.covers(other))
    }

    /// How many nodes there are, the root among them.
    pub fn node_count(&self) -> usize {
        self.nodes.size()
    }

    /// Bytes of paths and data.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Every session, by id.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Arc<Session>)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.size()
    }

    /// A session that is not over.
    pub fn session(&self, id: SessionId) -> Option<&Arc<Session>> {
        self.sessions.get(&id)
    }

    /// Whether there is room for what a command may add.
    ///
    /// # Errors
    ///
    /// [`TreeError::Full`].
    pub fn check_room(&self, command: &Command) -> Result<(), TreeError> {
        let fits = match command {
            Command::CreateSession { .. } => self.sessions.size() < MAX_SESSIONS,
            Command::CloseSession { .. } => true,
            Command::Transact { operations } => {
                let added: u64 = operations.iter().map(Operation::weight).sum();
                let grows = operations.iter().any(|operation| match operation {
                    Operation::Create { .. } | Operation::Set { .. } | Operation::Put { .. } => {
                        true
                    }
                    Operation::Delete { .. } | Operation::Check { .. } => false,
                });
                let nodes = self.nodes.size() + operations.len();
                !grows || (nodes <= MAX_NODES && self.bytes + added <= MAX_TREE_BYTES)
            }
        };
        if fits {
            return Ok(());
        }
        let (nodes, sessions) = (self.nodes.size(), self.sessions.size());
        Err(TreeError::Full { nodes, bytes: self.bytes, sessions })
    }

    /// Applies the command that stands at `revision` of the log, and says what it did. Revisions
    /// grow from call to call, but need not be dense.
    ///
    /// # Errors
    ///
    /// The command's conditions do not hold (any more). It then changed nothing, here as on every
    /// other coordinator.
    pub fn apply(&mut self, revision: Revision, command: &Command) -> Result<Applied, Refused> {
        match command {
            Command::CreateSession { timeout_ms } => {
                let id = SessionId::new(revision.get());
                self.sessions.insert_mut(id, Arc::new(Session::new(*timeout_ms)));
                Ok(Applied { session: Some(id), ..Applied::default() })
            }
            Command::CloseSession { session } => self.close(*session),
            Command::Transact { operations } => {
                let mut next = Draft { tree: self.clone(), revision, applied: Applied::default() };
                for (place, operation) in operations.iter().enumerate() {
                    let touched = next.perform(operation);
                    let touched = touched.map_err(|cause| Refused { operation: place, cause })?;
                    next.applied.touched.push(touched);
                }
                *self = next.tree;
                Ok(next.applied)
            }
        }
    }

    fn close(&mut self, id: SessionId) -> Result<Applied, Refused> {
        let Some(session) = self.sessions.get(&id).cloned() else {
            return Err(Refused { operation: 0, cause: TreeError::NoSession { session: id } });
        };
        self.sessions.remove_mut(&id);
        let mut applied = Applied::default();
        for path in session.ephemerals() {
            self.take(path);
            applied.events.push(Event { path: path.clone(), what: What::Deleted });
        }
        Ok(applied)
    }

    /// Puts a node where there is none or another.
    fn put(&mut self, path: NodePath, node: Arc<Node>) {
        self.bytes += weight(&path, &node);
        if let Some(before) = self.nodes.get(&path) {
            self.bytes -= weight(&path, before);
        }
        self.nodes.insert_mut(path, node);
    }

    /// Takes a node away, and its name from its parent.
    fn take(&mut self, path: &NodePath) {
        let Some(node) = self.nodes.get(path).cloned() else { return };
        self.bytes -= weight(path, &node);
        self.nodes.remove_mut(path);
        if let Some((parent, name)) = path.split()
            && let Some(above) = self.nodes.get(&parent)
        {
            let mut above = Node::clone(above);
            above.children.remove_mut(name);
            self.put(parent, Arc::new(above));
        }
        if let Some(owner) = node.owner
            && let Some(session) = self.sessions.get(&owner)
        {
            let mut session = Session::clone(session);
            session.ephemerals.remove_mut(path);
            self.sessions.insert_mut(owner, Arc::new(session));
        }
    }

    fn existing(&self, path: &NodePath) -> Result<&Arc<Node>, TreeError> {
        self.node(path).ok_or_else(|| TreeError::NoNode { path: path.clone() })
    }
}

fn weight(path: &NodePath, node: &Node) -> u64 {
    (path.as_str().len() + node.data.len()) as u64
}

/// A transaction in progress, on a tree of its own.
struct Draft {
    tree: Tree,
    revision: Revision,
    applied: Applied,
}

impl Draft {
    fn perform(&mut self, operation: &Operation) -> Result<Touched, TreeError> {
        match operation {
            Operation::Create { path, data, lifetime, naming } => {
                self.create(path, data, *lifetime, *naming)
            }
            Operation::Set { path, data, version } => {
                let node = self.tree.existing(path)?;
                check_version(path, node, *version)?;
                Ok(self.set(path, data, &Arc::clone(node)))
            }
            Operation::Put { path, data } => match self.tree.node(path).cloned() {
                Some(node) => Ok(self.set(path, data, &node)),
                None => self.create(path, data, Lifetime::Persistent, Naming::Given),
            },
            Operation::Delete { path, version, missing } => self.delete(path, *version, *missing),
            Operation::Check { path, expected } => {
                self.check(path, expected)?;
                Ok(Touched { path: path.clone(), node: self.tree.node(path).cloned() })
            }
        }
    }

    fn create(
        &mut self,
        path: &NodePath,
        data: &Bytes,
        lifetime: Lifetime,
        naming: Naming,
    ) -> Result<Touched, TreeError> {
        let (parent, name) = path.split().ok_or(TreeError::Root)?;
        let mut above = Node::clone(self.tree.existing(&parent)?);
        if above.owner.is_some() {
            return Err(TreeError::EphemeralParent { path: parent });
        }
        let path = match naming {
            Naming::Given => path.clone(),
            Naming::Sequential => loop {
                let numbered = parent.child(&format!("{name}{:010}", above.next_sequence))?;
                above.next_sequence += 1;
                // Somebody may have taken the name without asking for a number.
                if self.tree.node(&numbered).is_none() {
                    break numbered;
                }
            },
        };
        if self.tree.node(&path).is_some() {
            return Err(TreeError::NodeExists { path });
        }
        let owner = match lifetime {
            Lifetime::Persistent => None,
            Lifetime::Ephemeral(owner) => {
                let session = self.tree.sessions.get(&owner);
                let session = session.ok_or(TreeError::NoSession { session: owner })?;
                let mut session = Session::clone(session);
                session.ephemerals.insert_mut(path.clone());
                self.tree.sessions.insert_mut(owner, Arc::new(session));
                Some(owner)
            }
        };
        if let Some((_, name)) = path.split() {
            above.children.insert_mut(Arc::from(name));
        }
        self.tree.put(parent, Arc::new(above));
        let node = Arc::new(Node::new(data.clone(), self.revision, owner));
        self.tree.put(path.clone(), Arc::clone(&node));
        self.tell(&path, What::Created(Arc::clone(&node)));
        Ok(Touched { path, node: Some(node) })
    }

    fn set(&mut self, path: &NodePath, data: &Bytes, before: &Node) -> Touched {
        let node = Arc::new(Node {
            data: data.clone(),
            version: before.version.next(),
            modified: self.revision,
            ..before.clone()
        });
        self.tree.put(path.clone(), Arc::clone(&node));
        self.tell(path, What::Changed(Arc::clone(&node)));
        Touched { path: path.clone(), node: Some(node) }
    }

    fn delete(
        &mut self,
        path: &NodePath,
        version: Option<NodeVersion>,
        missing: Missing,
    ) -> Result<Touched, TreeError> {
        if path.is_root() {
            return Err(TreeError::Root);
        }
        let gone = Touched { path: path.clone(), node: None };
        let node = match self.tree.existing(path) {
            Ok(node) => node,
            Err(_no_node) if missing == Missing::Fine => return Ok(gone),
            Err(error) => return Err(error),
        };
        check_version(path, node, version)?;
        if 0 < node.child_count() {
            return Err(TreeError::NotEmpty { path: path.clone() });
        }
        self.tree.take(path);
        self.tell(path, What::Deleted);
        Ok(gone)
    }

    fn check(&self, path: &NodePath, expected: &Expectation) -> Result<(), TreeError> {
        match (expected, self.tree.existing(path)) {
            (Expectation::Absent, Err(_)) | (Expectation::Exists, Ok(_)) => Ok(()),
            (Expectation::Absent, Ok(_)) => Err(TreeError::NodeExists { path: path.clone() }),
            (Expectation::Version(version), Ok(node)) => check_version(path, node, Some(*version)),
            (Expectation::Data(data), Ok(node)) if *data == node.data => Ok(()),
            (Expectation::Data(_), Ok(_)) => Err(TreeError::OtherData { path: path.clone() }),
            (
                Expectation::Exists | Expectation::Version(_) | Expectation::Data(_),
                Err(no_node),
            ) => Err(no_node),
        }
    }

    fn tell(&mut self, path: &NodePath, what: What) {
        self.applied.events.push(Event { path: path.clone(), what });
    }
}

fn check_version(
    path: &NodePath,
    node: &Node,
    expected: Option<NodeVersion>,
) -> Result<(), TreeError> {
    match expected {
        Some(expected) if expected != node.version => {
            Err(TreeError::BadVersion { path: path.clone(), expected, found: node.version })
        }
        Some(_) | None => Ok(()),
    }
}
