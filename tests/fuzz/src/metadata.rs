//! What peers ask of the cluster's metadata, on its way through everything that keeps or follows it.

use bytes::Bytes;
use cluster::{ClusterId, Command, MetadataImage, State, decision};
use prost::Message;
use tree::Tree;
use types::{BrokerEpoch, BrokerId, Revision, TopicId, TopicName};
use wire::InvalidMessage;
use wire::convert::{
    LogCommand, command_from_bytes, command_to_bytes, config_entries, delta_from_proto,
    delta_to_proto, image_from_proto, image_to_proto, new_topic_from_proto,
    registration_from_proto, snapshot_from_chunks, snapshot_to_chunks, tree_command_to_bytes,
};
use wire::v1::coordinator as v1;

use crate::tape::Tape;

/// More partitions in all make an input slow and tell nothing new.
const MAX_PARTITIONS: usize = 300;

/// Three copies of the metadata: of the coordinator that decides, of one that reads the log, and of
/// a broker that watches.
struct Copies {
    leader: State,
    follower: State,
    watcher: MetadataImage,
    topics_made: u128,
}

/// Takes an input for a row of requests, each behind its kind and its length. What they become is
/// decided, logged, applied, watched and stored in snapshots, and every copy of it is the same.
pub fn follow(input: &[u8]) {
    let mut copies = Copies::new();
    let mut tape = Tape::new(input);
    while !tape.is_over() {
        let kind = tape.byte();
        let len = usize::from(tape.byte());
        let message = tape.bytes(len);
        match kind % 8 {
            0 => copies.register(message),
            1 => copies.create_topics(message),
            2 => copies.delete_topics(message),
            3 => copies.create_partitions(message),
            4 => copies.alter_configs(message),
            5 => copies.heartbeat(kind, message),
            6 => copies.decided(&Command::AllocateProducerIds),
            _ => copies.snapshot(usize::from(kind) * 16),
        }
    }
}

impl Copies {
    fn new() -> Self {
        let (leader, follower, watcher) = (State::new(), State::new(), MetadataImage::new());
        let mut copies = Self { leader, follower, watcher, topics_made: 0 };
        let cluster_id = ClusterId::new("nest").expect("a name");
        copies.decided(&Command::InitCluster { cluster_id });
        copies
    }

    fn register(&mut self, message: &[u8]) {
        let Ok(request) = v1::RegisterBrokerRequest::decode(message) else { return };
        if let Ok(registration) = registration_from_proto(request) {
            self.decided(&Command::RegisterBroker(registration));
        }
    }

    fn create_topics(&mut self, message: &[u8]) {
        let Ok(request) = v1::CreateTopicsRequest::decode(message) else { return };
        for topic in request.topics {
            self.topics_made += 1;
            let id = TopicId::from_bytes(self.topics_made.to_be_bytes());
            let Ok(wanted) = new_topic_from_proto(topic) else { continue };
            if let Ok(command) = decision::create_topic(self.leader.image(), wanted, id) {
                self.decided(&command);
            }
        }
    }

    fn delete_topics(&mut self, message: &[u8]) {
        let Ok(request) = v1::DeleteTopicsRequest::decode(message) else { return };
        for name in request.topics {
            let Ok(name) = TopicName::new(&name) else { continue };
            if let Ok(command) = decision::delete_topic(self.leader.image(), &name) {
                self.decided(&command);
            }
        }
    }

    fn create_partitions(&mut self, message: &[u8]) {
        let Ok(request) = v1::CreatePartitionsRequest::decode(message) else { return };
        let Ok(name) = TopicName::new(&request.topic) else { return };
        let decided = decision::create_partitions(self.leader.image(), &name, request.total);
        if let Ok(command) = decided {
            self.decided(&command);
        }
    }

    fn alter_configs(&mut self, message: &[u8]) {
        let Ok(request) = v1::AlterConfigsRequest::decode(message) else { return };
        let Ok(name) = TopicName::new(&request.topic) else { return };
        let set = config_entries(request.set);
        let decided = decision::alter_configs(self.leader.image(), &name, set, request.unset);
        if let Ok(command) = decided {
            self.decided(&command);
            let topic = self.leader.image().topic(&name).expect("it was just altered");
            // What was allowed to be set means something.
            let configs = &topic.configs;
            let _numbers = (configs.retention_ms(), configs.retention_bytes());
            assert!(0 < configs.segment_bytes() && 0 < configs.segment_ms());
            assert!(0 < configs.max_message_bytes() && 0 < configs.min_insync_replicas());
        }
    }

    fn heartbeat(&mut self, kind: u8, message: &[u8]) {
        let Ok(request) = v1::HeartbeatRequest::decode(message) else { return };
        let image = self.leader.image();
        let broker = BrokerId::new(request.broker_id);
        // The epoch it was given, unless the input says another.
        let held = image.broker(broker).map(|broker| broker.epoch);
        let told = BrokerEpoch::new(request.broker_epoch);
        let epoch = held.filter(|_| request.broker_epoch == 0).unwrap_or(told);
        let command = if kind & 8 == 0 {
            decision::unfence(image, broker, epoch).ok().flatten()
        } else {
            decision::fence(image, broker, epoch)
        };
        if let Some(command) = command {
            self.decided(&command);
        }
    }

    /// Logs a command and lets everyone follow.
    fn decided(&mut self, command: &Command) {
        let partitions = match command {
            Command::CreateTopic { assignments, .. }
            | Command::CreatePartitions { assignments, .. } => assignments.len(),
            _ => 0,
        };
        let held: usize = self.leader.image().topics().map(|topic| topic.partitions.len()).sum();
        if MAX_PARTITIONS < held + partitions {
            return;
        }
        let logged = command_from_bytes(command_to_bytes(command)).expect("it was just written");
        assert_eq!(logged, LogCommand::Cluster(command.clone()));
        let revision = Revision::new(self.leader.image().revision().get() + 1);
        let applied = self.leader.apply(revision, command);
        assert_eq!(self.follower.apply(revision, command), applied);
        assert_eq!(self.follower, self.leader);
        let Ok(delta) = applied else { return };
        if revision == Revision::new(1) {
            self.watcher = self.leader.image().clone();
        } else {
            let told = delta_from_proto(delta_to_proto(&delta)).expect("what a coordinator tells");
            self.watcher.apply(revision, &told).expect("it is the next one");
        }
        // Revisions that changed nothing are not told.
        let parts = |image: &MetadataImage| image_to_proto(image);
        assert_eq!(parts(&self.watcher), parts(self.leader.image()));
    }

    /// Stores the state and goes on from what was stored.
    fn snapshot(&mut self, max_chunk_bytes: usize) {
        let chunks = snapshot_to_chunks(&self.leader, &Tree::new(), max_chunk_bytes);
        let (read, tree) = snapshot_from_chunks(chunks).expect("it was just written");
        assert_eq!((&read, tree), (&self.leader, Tree::new()));
        self.leader = read;
        let image = self.leader.image();
        let told = image_from_proto(image.revision(), image_to_proto(image));
        assert_eq!(told.as_ref(), Ok(image));
    }
}

/// Takes bytes for what a coordinator stores: what can be read can be written and read again.
pub fn restore(bytes: &Bytes) {
    if let Ok(command) = command_from_bytes(bytes.clone()) {
        let written = match &command {
            LogCommand::Cluster(command) => command_to_bytes(command),
            LogCommand::Tree(command) => tree_command_to_bytes(command),
        };
        assert_eq!(command_from_bytes(written).as_ref(), Ok(&command));
        match command {
            LogCommand::Cluster(command) => {
                State::new().apply(Revision::new(1), &command).ok();
            }
            LogCommand::Tree(command) => {
                Tree::new().apply(Revision::new(1), &command).ok();
            }
        }
    }
    let read: Result<(State, Tree), InvalidMessage> = snapshot_from_chunks([bytes.clone()]);
    if let Ok((mut state, mut tree)) = read {
        let written = snapshot_to_chunks(&state, &tree, 100);
        assert_eq!(snapshot_from_chunks(written).as_ref(), Ok(&(state.clone(), tree.clone())));
        let revision = state.image().revision().get();
        if let Some(next) = revision.checked_add(1).map(Revision::new) {
            state.apply(next, &Command::AllocateProducerIds).ok();
            let sessions: Vec<_> = tree.sessions().map(|(session, _)| session).collect();
            for session in sessions {
                tree.apply(next, &tree::Command::CloseSession { session }).ok();
            }
        }
    }
}
