use std::collections::BTreeMap;

use ::tree::{
    Expectation, Lifetime, Missing, Naming, NodePath, NodeVersion, Operation, SessionId, Tree,
};
use cluster::{ListenerName, MetadataImage, State};
use types::{DirectoryId, Revision};

use super::*;
use crate::convert::{delta_from_proto, delta_to_proto, image_from_proto, image_to_proto};

fn registration(broker: u32) -> Command {
    Command::RegisterBroker(Registration {
        broker: BrokerId::new(broker),
        endpoint: Endpoint { host: "localhost".into(), port: 9192 },
        listeners: BTreeMap::from([(
            ListenerName::new("EXTERNAL").unwrap(),
            Endpoint { host: "outside".into(), port: 9193 },
        )]),
        rack: "r".into(),
        incarnation: Incarnation::from_bytes([3; 16]),
        directory: DirectoryId::from_bytes([4; 16]),
    })
}

fn commands() -> Vec<Command> {
    let (broker, epoch) = (BrokerId::new(1), BrokerEpoch::new(2));
    let topic = |id| TopicId::from_bytes([id; 16]);
    let create = |id: u8, partitions| Command::CreateTopic {
        name: TopicName::new(&format!("topic-{id}")).unwrap(),
        id: topic(id),
        assignments: vec![vec![broker]; partitions],
        configs: TopicConfigs::from_entries([("retention.ms".into(), "1".into())]),
    };
    vec![
        Command::InitCluster { cluster_id: ClusterId::new("nest").unwrap() },
        registration(1),
        Command::UnfenceBroker { broker, epoch },
        create(1, 300),
        create(2, 1),
        Command::CreatePartitions {
            topic: topic(2),
            expected: 1,
            assignments: vec![vec![broker]; 2],
        },
        Command::AlterConfigs {
            topic: topic(2),
            set: vec![("min.insync.replicas".into(), "2".into())],
            unset: vec!["retention.ms".into()],
        },
        create(3, 2),
        Command::DeleteTopic { topic: topic(3) },
        registration(2),
        Command::FenceBroker { broker, epoch },
        Command::AllocateProducerIds,
    ]
}

fn tree_commands() -> Vec<::tree::Command> {
    let path = |text| NodePath::new(text).unwrap();
    let session = SessionId::new(1);
    let create = |text, lifetime, naming, len| Operation::Create {
        path: path(text),
        data: vec![7; len].into(),
        lifetime,
        naming,
    };
    let (stays, goes) = (Lifetime::Persistent, Lifetime::Ephemeral(session));
    let check = |text, expected| Operation::Check { path: path(text), expected };
    let operations = vec![
        create("/a", stays, Naming::Given, 0),
        create("/a/long", stays, Naming::Given, 1_000_000),
        create("/a/here-", goes, Naming::Sequential, 40_000),
        Operation::Put { path: path("/b"), data: "put".into() },
        Operation::Set { path: path("/b"), data: "set".into(), version: None },
        Operation::Set { path: path("/"), data: "root".into(), version: Some(NodeVersion::new(0)) },
        check("/b", Expectation::Exists),
        check("/c", Expectation::Absent),
        check("/b", Expectation::Version(NodeVersion::new(1))),
        check("/b", Expectation::Data("set".into())),
        Operation::Delete { path: path("/c"), version: None, missing: Missing::Fine },
        Operation::Delete {
            path: path("/b"),
            version: Some(NodeVersion::new(1)),
            missing: Missing::Refused,
        },
    ];
    vec![
        ::tree::Command::CreateSession { timeout_ms: 5_000 },
        ::tree::Command::Transact { operations },
        ::tree::Command::CloseSession { session },
    ]
}

#[test]
fn every_command_reads_back_as_it_was_written() {
    for command in commands() {
        let read = command_from_bytes(command_to_bytes(&command));
        assert_eq!(read, Ok(LogCommand::Cluster(command)));
    }
    for command in tree_commands() {
        let read = command_from_bytes(tree_command_to_bytes(&command));
        assert_eq!(read, Ok(LogCommand::Tree(command)));
    }
}

/// As they were written before brokers had several listeners: byte for byte.
#[test]
fn what_was_stored_before_listeners_had_names_still_reads() {
    let registered = b"\x08\x01\x12\x37\x08\x01\x12\x09localhost\x18\xe8\x47\
        \x22\x10\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\
        \x2a\x10\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\
        \x32\x01r";
    let Command::RegisterBroker(expected) = registration(1) else { panic!("it is one") };
    let expected = Command::RegisterBroker(Registration { listeners: BTreeMap::new(), ..expected });
    assert_eq!(command_to_bytes(&expected), registered[..], "and is still written so");
    let read = command_from_bytes(Bytes::from_static(registered));
    assert_eq!(read.as_ref(), Ok(&LogCommand::Cluster(expected.clone())));

    let snapshot = b"\x0c\x0a\x0a\x08\x01\x12\x04nest\x18\x02\
        \x3d\x12\x3b\x08\x01\x12\x09localhost\x18\xe8\x47\
        \x22\x10\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\
        \x2a\x10\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\
        \x32\x01r\x38\x02\x40\x01";
    let mut state = State::new();
    let init = Command::InitCluster { cluster_id: ClusterId::new("nest").unwrap() };
    state.apply(Revision::new(1), &init).unwrap();
    state.apply(Revision::new(2), &expected).unwrap();
    assert_eq!(snapshot_from_chunks([Bytes::from_static(snapshot)]), Ok((state, Tree::new())));
}

#[test]
fn a_command_of_a_later_version_is_refused() {
    let later = v1::Command { version: 3, command: None }.encode_to_vec();
    let refused = command_from_bytes(later.into());
    assert!(matches!(refused, Err(InvalidMessage::Value { field: "version", .. })), "{refused:?}");
}

#[test]
fn bytes_that_are_no_command_are_an_error() {
    let refused = command_from_bytes(Bytes::from_static(b"\xff\xff\xff"));
    assert!(matches!(refused, Err(InvalidMessage::Value { field: "command", .. })), "{refused:?}");
    assert!(command_from_bytes(Bytes::new()).is_err());
}

#[test]
fn a_snapshot_in_chunks_of_any_size_is_the_state() {
    let mut state = State::new();
    for (revision, command) in (1..).map(Revision::new).zip(commands()) {
        state.apply(revision, &command).unwrap();
        for max_chunk_bytes in [1, 100, 4_000, 60_000] {
            let chunks = snapshot_to_chunks(&state, &Tree::new(), max_chunk_bytes);
            assert!(chunks.iter().all(|chunk| chunk.len() <= max_chunk_bytes.max(4_000)));
            assert_eq!(snapshot_from_chunks(chunks), Ok((state.clone(), Tree::new())));
        }
    }
    let mut tree = Tree::new();
    for (revision, command) in (1..).map(Revision::new).zip(tree_commands()) {
        tree.apply(revision, &command).unwrap();
        for max_chunk_bytes in [1, 60_000] {
            let chunks = snapshot_to_chunks(&state, &tree, max_chunk_bytes);
            assert!(chunks.iter().all(|chunk| chunk.len() <= 60_000));
            assert_eq!(snapshot_from_chunks(chunks), Ok((state.clone(), tree.clone())));
        }
    }
}

/// Bytes that the first version wrote, before there was a tree.
#[test]
fn a_snapshot_of_the_first_version_is_read_and_written_while_there_is_no_tree() {
    let head = v1::SnapshotHead { version: 1, cluster_id: "nest".into(), applied_index: 7 };
    let head = v1::snapshot_part::Part::Head(head);
    let old: Bytes = v1::SnapshotPart { part: Some(head) }.encode_length_delimited_to_vec().into();
    let (state, tree) = snapshot_from_chunks([old.clone()]).unwrap();
    assert_eq!((state.image().revision(), &tree), (Revision::new(7), &Tree::new()));
    assert_eq!(snapshot_to_chunks(&state, &tree, 1_000), [old]);
}

#[test]
fn nodes_without_a_parent_are_no_snapshot() {
    let state = State::new();
    let mut tree = Tree::new();
    for (revision, command) in (1..).map(Revision::new).zip(tree_commands()).take(2) {
        tree.apply(revision, &command).unwrap();
    }
    let mut chunks = snapshot_to_chunks(&state, &tree, 1);
    // Head, session, the root, `/a`, and what lies below it.
    chunks.remove(3);
    assert!(snapshot_from_chunks(chunks).is_err());
}

#[test]
fn a_snapshot_without_its_beginning_is_an_error() {
    let chunks = snapshot_to_chunks(&State::new(), &Tree::new(), 100);
    assert_eq!(
        snapshot_from_chunks(chunks.into_iter().skip(1)),
        Err(InvalidMessage::Missing { field: "head" })
    );
}

#[test]
fn a_watcher_that_follows_every_delta_has_the_image() {
    let mut state = State::new();
    let mut watcher = MetadataImage::new();
    for (revision, command) in (1..).map(Revision::new).zip(commands()) {
        let delta = state.apply(revision, &command).unwrap();
        let sent = image_to_proto(state.image());
        assert_eq!(image_from_proto(revision, sent).as_ref(), Ok(state.image()));
        if revision == Revision::new(1) {
            watcher = state.image().clone();
        } else {
            watcher.apply(revision, &delta_from_proto(delta_to_proto(&delta)).unwrap()).unwrap();
        }
        assert_eq!(&watcher, state.image());
    }
}
