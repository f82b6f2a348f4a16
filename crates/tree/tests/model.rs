//! The tree beside the plainest thing that could be one: two sorted maps, copied as a whole.

#![expect(clippy::unwrap_used, reason = "a test; its helpers are not marked as such")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use tree::{
    Command, Event, Expectation, Lifetime, Missing, Naming, Node, NodePath, NodeVersion, Operation,
    SessionId, Tree, What,
};
use types::{Coded as _, Reason, Revision};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Plain {
    data: Vec<u8>,
    version: u64,
    created: u64,
    modified: u64,
    owner: Option<u64>,
    sequence: u64,
}

#[derive(Clone, Debug, Default)]
struct Model {
    nodes: BTreeMap<String, Plain>,
    sessions: BTreeMap<u64, u32>,
}

impl Model {
    fn new() -> Self {
        let mut model = Self::default();
        model.make("/", b"", 0, None);
        model
    }

    fn make(&mut self, path: &str, data: &[u8], revision: u64, owner: Option<u64>) {
        let (created, modified, data) = (revision, revision, data.to_vec());
        let plain = Plain { data, version: 0, created, modified, owner, sequence: 0 };
        self.nodes.insert(path.to_owned(), plain);
    }

    fn parent(path: &str) -> String {
        match path.rsplit_once('/').unwrap() {
            ("", _) => "/".to_owned(),
            (parent, _) => parent.to_owned(),
        }
    }

    fn has_children(&self, path: &str) -> bool {
        self.nodes.keys().any(|other| other != "/" && Self::parent(other) == path)
    }

    fn apply(&mut self, revision: u64, command: &Command) -> Result<(), (usize, Reason)> {
        match command {
            Command::CreateSession { timeout_ms } => {
                self.sessions.insert(revision, *timeout_ms);
            }
            Command::CloseSession { session } => {
                let id = session.get();
                self.sessions.remove(&id).ok_or((0, Reason::SessionExpired))?;
                self.nodes.retain(|_, node| node.owner != Some(id));
            }
            Command::Transact { operations } => {
                let mut next = self.clone();
                for (place, operation) in operations.iter().enumerate() {
                    next.perform(revision, operation).map_err(|reason| (place, reason))?;
                }
                *self = next;
            }
        }
        Ok(())
    }

    fn perform(&mut self, revision: u64, operation: &Operation) -> Result<(), Reason> {
        let path = operation.path().as_str().to_owned();
        let found = self.nodes.get(&path).cloned();
        match operation {
            Operation::Create { data, lifetime, naming, .. } => {
                let owner = match lifetime {
                    Lifetime::Persistent => None,
                    Lifetime::Ephemeral(session) => Some(session.get()),
                };
                self.create(path, data, revision, owner, *naming == Naming::Sequential)
            }
            Operation::Put { data, .. } if found.is_none() => {
                self.create(path, data, revision, None, false)
            }
            Operation::Put { data, .. } | Operation::Set { data, .. } => {
                let mut node = found.ok_or(Reason::NoNode)?;
                if let Operation::Set { version: Some(version), .. } = operation
                    && version.get() != node.version
                {
                    return Err(Reason::BadVersion);
                }
                node.data = data.to_vec();
                node.version += 1;
                node.modified = revision;
                self.nodes.insert(path, node);
                Ok(())
            }
            Operation::Delete { version, missing, .. } => {
                if path == "/" {
                    return Err(Reason::InvalidRequest);
                }
                let Some(node) = found else {
                    return if *missing == Missing::Fine { Ok(()) } else { Err(Reason::NoNode) };
                };
                if version.is_some_and(|version| version.get() != node.version) {
                    return Err(Reason::BadVersion);
                }
                if self.has_children(&path) {
                    return Err(Reason::NotEmpty);
                }
                self.nodes.remove(&path);
                Ok(())
            }
            Operation::Check { expected, .. } => match (expected, found) {
                (Expectation::Absent, None) | (Expectation::Exists, Some(_)) => Ok(()),
                (Expectation::Absent, Some(_)) => Err(Reason::NodeExists),
                (_, None) => Err(Reason::NoNode),
                (Expectation::Version(version), Some(node)) if version.get() == node.version => {
                    Ok(())
                }
                (Expectation::Data(data), Some(node)) if *data == node.data => Ok(()),
                (Expectation::Version(_) | Expectation::Data(_), Some(_)) => {
                    Err(Reason::BadVersion)
                }
            },
        }
    }

    fn create(
        &mut self,
        mut path: String,
        data: &[u8],
        revision: u64,
        owner: Option<u64>,
        sequential: bool,
    ) -> Result<(), Reason> {
        if path == "/" {
            return Err(Reason::InvalidRequest);
        }
        let parent = Self::parent(&path);
        let mut above = self.nodes.get(&parent).cloned().ok_or(Reason::NoNode)?;
        if above.owner.is_some() {
            return Err(Reason::NoChildrenForEphemerals);
        }
        if sequential {
            let free = (above.sequence..above.sequence + 1_000)
                .find(|number| !self.nodes.contains_key(&format!("{path}{number:010}")));
            path = format!("{path}{:010}", free.unwrap());
            above.sequence = free.unwrap() + 1;
        }
        if self.nodes.contains_key(&path) {
            return Err(Reason::NodeExists);
        }
        if owner.is_some_and(|owner| !self.sessions.contains_key(&owner)) {
            return Err(Reason::SessionExpired);
        }
        self.nodes.insert(parent, above);
        self.make(&path, data, revision, owner);
        Ok(())
    }
}

fn plain(node: &Node) -> Plain {
    Plain {
        data: node.data.to_vec(),
        version: node.version.get(),
        created: node.created.get(),
        modified: node.modified.get(),
        owner: node.owner.map(SessionId::get),
        sequence: node.next_sequence,
    }
}

fn model_of(tree: &Tree) -> BTreeMap<String, Plain> {
    tree.nodes().map(|(path, node)| (path.to_string(), plain(node))).collect()
}

fn path() -> impl Strategy<Value = NodePath> {
    let name = prop_oneof![Just("a"), Just("a-"), Just("b"), Just("a0000000000")];
    proptest::collection::vec(name, 0..4)
        .prop_map(|names| NodePath::new(&format!("/{}", names.join("/"))).unwrap())
}

fn data() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(0_u8..3, 0..3).prop_map(Bytes::from)
}

fn version() -> impl Strategy<Value = Option<NodeVersion>> {
    proptest::option::weighted(0.3, (0_u64..3).prop_map(NodeVersion::new))
}

fn session() -> impl Strategy<Value = SessionId> {
    (1_u64..12).prop_map(SessionId::new)
}

fn operation() -> impl Strategy<Value = Operation> {
    let lifetime =
        prop_oneof![3 => Just(Lifetime::Persistent), 2 => session().prop_map(Lifetime::Ephemeral)];
    let naming = prop_oneof![3 => Just(Naming::Given), 1 => Just(Naming::Sequential)];
    let missing = prop_oneof![Just(Missing::Refused), Just(Missing::Fine)];
    let expected = prop_oneof![
        Just(Expectation::Exists),
        Just(Expectation::Absent),
        (0_u64..3).prop_map(|count| Expectation::Version(NodeVersion::new(count))),
        data().prop_map(Expectation::Data),
    ];
    prop_oneof![
        5 => (path(), data(), lifetime, naming).prop_map(|(path, data, lifetime, naming)| {
            Operation::Create { path, data, lifetime, naming }
        }),
        2 => (path(), data(), version())
            .prop_map(|(path, data, version)| Operation::Set { path, data, version }),
        2 => (path(), data()).prop_map(|(path, data)| Operation::Put { path, data }),
        2 => (path(), version(), missing)
            .prop_map(|(path, version, missing)| Operation::Delete { path, version, missing }),
        1 => (path(), expected).prop_map(|(path, expected)| Operation::Check { path, expected }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => (1_u32..9).prop_map(|timeout_ms| Command::CreateSession { timeout_ms }),
        1 => session().prop_map(|session| Command::CloseSession { session }),
        9 => proptest::collection::vec(operation(), 1..4)
            .prop_map(|operations| Command::Transact { operations }),
    ]
}

/// Follows what a command says that it changed, as a watcher would.
fn follow(copy: &mut BTreeMap<String, Plain>, events: &[Event]) {
    for event in events {
        match &event.what {
            What::Created(node) => {
                assert!(copy.insert(event.path.to_string(), plain(node)).is_none(), "{event:?}");
            }
            What::Changed(node) => {
                assert!(copy.insert(event.path.to_string(), plain(node)).is_some(), "{event:?}");
            }
            What::Deleted => assert!(copy.remove(event.path.as_str()).is_some(), "{event:?}"),
        }
    }
}

proptest! {
    #[test]
    fn the_tree_does_what_two_sorted_maps_do(
        commands in proptest::collection::vec(command(), 1..60),
    ) {
        let (mut tree, mut model) = (Tree::new(), Model::new());
        let mut copy = model_of(&tree);
        for (revision, command) in (1..).zip(&commands) {
            let before = tree.clone();
            let done = tree.apply(Revision::new(revision), command);
            let expected = model.apply(revision, command);
            match &done {
                Ok(applied) => follow(&mut copy, &applied.events),
                Err(_refused) => prop_assert_eq!(&tree, &before),
            }
            let refused = done.as_ref().map(drop);
            prop_assert_eq!(refused.map_err(|no| (no.operation, no.reason())), expected);
            prop_assert_eq!(&model_of(&tree), &model.nodes);
            let sessions: BTreeMap<u64, u32> =
                tree.sessions().map(|(id, session)| (id.get(), session.timeout_ms)).collect();
            prop_assert_eq!(&sessions, &model.sessions);
            // A parent's counter is nothing that a watcher is told.
            let visible = |nodes: &BTreeMap<String, Plain>| -> BTreeMap<String, Plain> {
                let blind = |(path, node): (&String, &Plain)| {
                    (path.clone(), Plain { sequence: 0, ..node.clone() })
                };
                nodes.iter().map(blind).collect()
            };
            prop_assert_eq!(visible(&copy), visible(&model.nodes));
        }
        check_indexes(&tree);
    }

    #[test]
    fn a_tree_put_together_from_its_parts_goes_on_as_the_original(
        commands in proptest::collection::vec(command(), 1..60),
        more in proptest::collection::vec(command(), 1..20),
    ) {
        let mut tree = Tree::new();
        for (revision, command) in (1..).map(Revision::new).zip(&commands) {
            tree.apply(revision, command).ok();
        }
        let sessions = tree.sessions().map(|(id, session)| (id, session.timeout_ms));
        let nodes = tree.nodes().map(|(path, node)| (path.clone(), Node::clone(node)));
        let mut copy = Tree::from_parts(sessions, nodes).unwrap();
        prop_assert_eq!(&copy, &tree);
        for (revision, command) in (100..).map(Revision::new).zip(&more) {
            prop_assert_eq!(copy.apply(revision, command), tree.apply(revision, command));
            prop_assert_eq!(&copy, &tree);
        }
    }
}

/// What the tree keeps beside its nodes says the same as the nodes.
fn check_indexes(tree: &Tree) {
    let mut bytes = 0;
    for (path, node) in tree.nodes() {
        bytes += path.as_str().len() + node.data.len();
        let below: Vec<_> = tree.nodes().filter_map(|(other, _)| other.split()).collect();
        let children: Vec<_> =
            below.iter().filter(|(parent, _)| parent == path).map(|(_, name)| *name).collect();
        let listed: Vec<_> = node.children().map(AsRef::as_ref).collect();
        assert_eq!(listed, children, "{path}");
        assert_eq!(node.child_count(), children.len());
        let subtree: Vec<_> = tree.subtree(path, None).map(|(other, _)| other.clone()).collect();
        let covered: Vec<_> = tree
            .nodes()
            .map(|(other, _)| other.clone())
            .filter(|other| path.covers(other))
            .collect();
        assert_eq!(subtree, covered);
        for (place, after) in subtree.iter().enumerate() {
            let rest = tree.subtree(path, Some(after)).map(|(other, _)| other);
            assert!(rest.eq(subtree.iter().skip(place + 1)));
        }
    }
    assert_eq!(tree.bytes(), bytes as u64);
    for (id, session) in tree.sessions() {
        let owned: Vec<_> =
            tree.nodes().filter(|(_, node)| node.owner == Some(id)).map(|(path, _)| path).collect();
        assert_eq!(session.ephemerals().collect::<Vec<_>>(), owned);
    }
}
