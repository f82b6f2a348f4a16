use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use types::{
    BrokerEpoch, BrokerId, Coded, DirectoryId, LeaderEpoch, PartitionEpoch, PartitionId, Reason,
    Revision, TopicId, TopicName, TopicPartition,
};

use super::*;
use crate::config::TopicConfigs;
use crate::decision::{self, NewTopic};
use crate::{Endpoint, Partition, Registration};

/// A log and the state it gives.
#[derive(Default)]
struct Cluster {
    state: State,
    last: u64,
}

impl Cluster {
    fn try_apply(&mut self, command: &Command) -> Result<Delta, ClusterError> {
        self.last += 1;
        self.state.apply(Revision::new(self.last), command)
    }

    #[track_caller]
    fn apply(&mut self, command: &Command) -> Delta {
        self.try_apply(command).unwrap()
    }

    #[track_caller]
    fn refused(&mut self, command: &Command) -> ClusterError {
        self.try_apply(command).unwrap_err()
    }

    fn epoch(&self, broker: u32) -> BrokerEpoch {
        self.state.image().broker(BrokerId::new(broker)).unwrap().epoch
    }

    fn fence(&mut self, broker: u32) -> Delta {
        let epoch = self.epoch(broker);
        self.apply(&Command::FenceBroker { broker: BrokerId::new(broker), epoch })
    }

    fn unfence(&mut self, broker: u32) -> Delta {
        let epoch = self.epoch(broker);
        self.apply(&Command::UnfenceBroker { broker: BrokerId::new(broker), epoch })
    }

    fn start(&mut self, brokers: impl IntoIterator<Item = u32>) {
        for broker in brokers {
            self.apply(&register(broker, 0));
            self.unfence(broker);
        }
    }

    fn partition(&self, topic: &str) -> Partition {
        let name = TopicPartition::new(name(topic), PartitionId::new(0));
        Partition::clone(self.state.image().partition(&name).unwrap())
    }

    fn leadership(&self, topic: &str) -> (Option<u32>, u32) {
        let partition = self.partition(topic);
        (partition.leader.map(BrokerId::get), partition.leader_epoch.get())
    }
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn register(broker: u32, directory: u8) -> Command {
    Command::RegisterBroker(Registration {
        broker: BrokerId::new(broker),
        endpoint: Endpoint { host: "localhost".into(), port: 9192 },
        listeners: BTreeMap::new(),
        rack: String::new(),
        incarnation: Incarnation::from_bytes([0; 16]),
        directory: DirectoryId::from_bytes([directory; 16]),
    })
}

fn create(topic: &str, id: u8, assignments: &[&[u32]]) -> Command {
    let ids = |replicas: &&[u32]| replicas.iter().copied().map(BrokerId::new).collect();
    Command::CreateTopic {
        name: name(topic),
        id: TopicId::from_bytes([id; 16]),
        assignments: assignments.iter().map(ids).collect(),
        configs: TopicConfigs::default(),
    }
}

#[test]
fn a_fenced_broker_leads_nothing_and_leads_again_in_a_new_epoch() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    cluster.apply(&create("t", 1, &[&[1]]));
    assert_eq!(cluster.leadership("t"), (Some(1), 0));
    cluster.fence(1);
    assert_eq!(cluster.leadership("t"), (None, 1));
    assert_eq!(cluster.partition("t").isr, [BrokerId::new(1)], "it has what was committed");
    cluster.unfence(1);
    assert_eq!(cluster.leadership("t"), (Some(1), 2));
}

#[test]
fn r1_a_broker_that_registers_anew_gets_a_new_epoch_of_all_it_led() {
    let mut cluster = Cluster::default();
    cluster.start([1, 2]);
    cluster.apply(&create("alone", 1, &[&[1]]));
    cluster.apply(&create("shared", 2, &[&[1, 2]]));
    // Within its session: the coordinator never saw it dead.
    cluster.apply(&register(1, 0));
    cluster.unfence(1);
    let (leader, epoch) = cluster.leadership("alone");
    assert!(leader == Some(1) && 0 < epoch, "the log it lost the end of was of epoch 0");
    let (leader, epoch) = cluster.leadership("shared");
    assert!(leader.is_some() && 0 < epoch);
}

#[test]
fn r2_a_change_of_min_insync_replicas_bumps_partition_epochs() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    cluster.apply(&create("t", 1, &[&[1]]));
    let alter = |set: &[(&str, &str)]| Command::AlterConfigs {
        topic: TopicId::from_bytes([1; 16]),
        set: set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        unset: vec![],
    };
    cluster.apply(&alter(&[("retention.ms", "1")]));
    assert_eq!(cluster.partition("t").partition_epoch, PartitionEpoch::ZERO);
    cluster.apply(&alter(&[("min.insync.replicas", "2")]));
    assert_eq!(cluster.partition("t").partition_epoch, PartitionEpoch::new(1));
    assert_eq!(cluster.partition("t").leader_epoch, LeaderEpoch::ZERO);
    assert!(cluster.apply(&alter(&[("min.insync.replicas", "2")])).is_empty());
}

#[test]
fn the_first_in_sync_replica_that_is_alive_takes_over() {
    let mut cluster = Cluster::default();
    cluster.start([1, 2, 3]);
    cluster.apply(&create("t", 1, &[&[2, 3, 1]]));
    cluster.fence(2);
    assert_eq!(cluster.leadership("t"), (Some(3), 1));
    assert_eq!(
        cluster.partition("t").isr,
        [3, 1].map(BrokerId::new),
        "the dead one holds nobody up"
    );
    cluster.unfence(2);
    assert_eq!(cluster.leadership("t"), (Some(3), 1), "it is not in sync any more");
}

#[test]
fn a_live_broker_id_is_refused_to_another_directory() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    let refused = cluster.refused(&register(1, 9));
    assert!(matches!(refused, ClusterError::BrokerAlive { .. }), "{refused}");
    assert_eq!(refused.reason(), Reason::DuplicateBrokerRegistration);
    cluster.fence(1);
    cluster.apply(&register(1, 9));
}

#[test]
fn a_broker_without_its_only_copies_is_refused_until_they_are_given_up() {
    let mut cluster = Cluster::default();
    cluster.start([1, 2]);
    cluster.apply(&create("alone", 1, &[&[1]]));
    cluster.apply(&create("shared", 2, &[&[1, 2]]));
    cluster.fence(1);
    let refused = cluster.refused(&register(1, 9));
    assert!(matches!(refused, ClusterError::DirectoryReplaced { partitions: 1, .. }), "{refused}");
    cluster.apply(&Command::DeleteTopic { topic: TopicId::from_bytes([1; 16]) });
    cluster.apply(&register(1, 9));
    assert_eq!(cluster.partition("shared").isr, [BrokerId::new(2)]);
}

#[test]
fn a_stale_broker_epoch_changes_nothing() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    let (broker, old) = (BrokerId::new(1), cluster.epoch(1));
    cluster.apply(&register(1, 0));
    let refused = cluster.refused(&Command::UnfenceBroker { broker, epoch: old });
    assert!(matches!(refused, ClusterError::StaleBrokerEpoch { .. }), "{refused}");
    assert!(!cluster.state.image().is_alive(broker));
}

#[test]
fn a_topic_that_is_deleted_and_made_again_is_another_topic() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    cluster.apply(&create("t", 1, &[&[1]]));
    let refused = cluster.refused(&create("t", 2, &[&[1]]));
    assert!(matches!(refused, ClusterError::TopicExists { .. }), "{refused}");
    cluster.apply(&Command::DeleteTopic { topic: TopicId::from_bytes([1; 16]) });
    cluster.apply(&create("t", 2, &[&[1]]));
    let topic = cluster.state.image().topic(&name("t")).unwrap();
    assert_eq!(topic.id, TopicId::from_bytes([2; 16]));
}

#[test]
fn partitions_that_were_added_meanwhile_are_not_added_twice() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    cluster.apply(&create("t", 1, &[&[1]]));
    let grow = decision::create_partitions(cluster.state.image(), &name("t"), 3).unwrap();
    cluster.apply(&grow);
    let refused = cluster.refused(&grow);
    assert!(matches!(refused, ClusterError::PartitionsChanged { current: 3, .. }), "{refused}");
}

#[test]
fn replicas_that_cannot_be_are_refused() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    for replicas in [&[][..], &[1, 1], &[7]] {
        let refused = cluster.refused(&create("t", 1, &[&[1], replicas]));
        assert_eq!(refused, ClusterError::Assignment { partition: 1 });
    }
}

#[test]
fn topics_spread_over_the_brokers_that_are_alive() {
    let mut cluster = Cluster::default();
    cluster.start([1, 2, 3]);
    cluster.fence(2);
    for (id, topic) in (1..).zip(["a", "b", "c"]) {
        let wanted =
            NewTopic { name: name(topic), partitions: 1, replication_factor: 1, configs: vec![] };
        let id = TopicId::from_bytes([id; 16]);
        let command = decision::create_topic(cluster.state.image(), wanted, id).unwrap();
        cluster.apply(&command);
    }
    let leaders: Vec<_> = ["a", "b", "c"].map(|topic| cluster.leadership(topic).0.unwrap()).into();
    assert_eq!(leaders, [1, 3, 1]);
}

#[test]
fn what_is_not_possible_is_refused_before_it_is_proposed() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    let refused = |partitions, replication_factor, config: &str| {
        let configs = vec![(config.to_owned(), "1".to_owned())];
        let wanted = NewTopic { name: name("t"), partitions, replication_factor, configs };
        let id = TopicId::from_bytes([1; 16]);
        decision::create_topic(cluster.state.image(), wanted, id).unwrap_err().reason()
    };
    assert_eq!(refused(0, 1, "segment.ms"), Reason::InvalidPartitions);
    assert_eq!(refused(10_001, 1, "segment.ms"), Reason::InvalidPartitions);
    assert_eq!(refused(1, 0, "segment.ms"), Reason::InvalidReplicationFactor);
    assert_eq!(refused(1, 2, "segment.ms"), Reason::InvalidReplicationFactor);
    assert_eq!(refused(1, 1, "segment.msec"), Reason::InvalidConfig);
}

#[test]
fn a_second_replica_is_refused_while_nothing_would_ever_be_in_it() {
    let mut cluster = Cluster::default();
    cluster.start([1, 2]);
    let configs = vec![];
    let wanted = NewTopic { name: name("t"), partitions: 1, replication_factor: 2, configs };
    let id = TopicId::from_bytes([1; 16]);
    let refused = decision::create_topic(cluster.state.image(), wanted, id).unwrap_err();
    assert_eq!(refused, ClusterError::NotReplicated { given: 2, max: 1 });
    assert_eq!(refused.reason(), Reason::InvalidReplicationFactor);
}

fn a_command() -> impl Strategy<Value = Command> {
    let broker = || 1_u32..5;
    let topic = || 1_u8..5;
    let epoch = || (1_u64..60).prop_map(BrokerEpoch::new);
    let replicas = || prop::collection::vec(broker().prop_map(BrokerId::new), 1..4);
    let assignments = move || prop::collection::vec(replicas(), 1..4);
    let id = |id: u8| TopicId::from_bytes([id; 16]);
    prop_oneof![
        1 => (broker(), 0_u8..2).prop_map(|(broker, directory)| register(broker, directory)),
        1 => (broker(), epoch()).prop_map(|(broker, epoch)| Command::FenceBroker {
            broker: BrokerId::new(broker),
            epoch
        }),
        4 => (broker(), epoch()).prop_map(|(broker, epoch)| Command::UnfenceBroker {
            broker: BrokerId::new(broker),
            epoch
        }),
        3 => (topic(), 1_u8..9, assignments()).prop_map(move |(topic, fresh, assignments)| {
            let configs = TopicConfigs::default();
            Command::CreateTopic { name: name(&format!("t{topic}")), id: id(fresh), assignments, configs }
        }),
        1 => (1_u8..9).prop_map(move |topic| Command::DeleteTopic { topic: id(topic) }),
        1 => Just(Command::AllocateProducerIds),
        1 => (1_u8..9, 0_u32..4, assignments()).prop_map(move |(topic, expected, assignments)| {
            Command::CreatePartitions { topic: id(topic), expected, assignments }
        }),
        1 => (1_u8..9, 1_u32..4).prop_map(move |(topic, min)| Command::AlterConfigs {
            topic: id(topic),
            set: vec![("min.insync.replicas".into(), min.to_string())],
            unset: vec!["retention.ms".into()],
        }),
    ]
}

/// Commands whose broker epochs are mostly right, as they are in life.
fn a_history() -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec((a_command(), prop::bool::weighted(0.9)), 1..60).prop_map(|drawn| {
        let mut cluster = Cluster::default();
        let mut history = Vec::new();
        for (mut command, current) in drawn {
            if let Command::FenceBroker { broker, epoch } | Command::UnfenceBroker { broker, epoch } =
                &mut command
                && let (true, Some(held)) = (current, cluster.state.image().broker(*broker))
            {
                *epoch = held.epoch;
            }
            cluster.try_apply(&command).ok();
            history.push(command);
        }
        history
    })
}

fn rebuilt(state: &State) -> State {
    let image = state.image();
    let brokers: Vec<_> = image.brokers().cloned().collect();
    let identities: Vec<_> =
        brokers.iter().map(|broker| (broker.id, *state.identity(broker.id).unwrap())).collect();
    let topics = image.topics().cloned();
    let image =
        MetadataImage::from_parts(image.revision(), image.cluster_id().cloned(), brokers, topics);
    State::from_parts(image.unwrap(), identities)
}

fn check_leadership(state: &State) {
    for partition in state.image().topics().flat_map(|topic| &topic.partitions) {
        assert!(!partition.isr.is_empty(), "{partition:?}");
        assert!(partition.isr.iter().all(|id| partition.replicas.contains(id)), "{partition:?}");
        let electable = partition.isr.iter().any(|id| state.image().is_alive(*id));
        assert_eq!(partition.leader.is_some(), electable, "{partition:?}");
        if let Some(leader) = partition.leader {
            assert!(partition.isr.contains(&leader) && state.image().is_alive(leader));
        }
    }
}

fn check_epochs(before: &State, after: &State) {
    for old in before.image().topics() {
        let Some(new) = after.image().topic_by_id(old.id) else { continue };
        for (old, new) in old.partitions.iter().zip(&new.partitions) {
            assert!(old.leader_epoch <= new.leader_epoch);
            assert_eq!(old.leader == new.leader, old.leader_epoch == new.leader_epoch);
            assert_eq!(old == new, old.partition_epoch == new.partition_epoch);
            assert!(old.partition_epoch <= new.partition_epoch);
        }
    }
}

proptest! {
    #[test]
    fn a_leader_is_alive_and_in_sync_and_epochs_only_grow(history in a_history()) {
        let mut cluster = Cluster::default();
        for command in &history {
            let before = cluster.state.clone();
            cluster.try_apply(command).ok();
            check_leadership(&cluster.state);
            check_epochs(&before, &cluster.state);
        }
    }

    #[test]
    fn the_same_log_gives_the_same_state_also_from_a_snapshot(
        history in a_history(),
        at in any::<prop::sample::Index>(),
    ) {
        let cut = at.index(history.len());
        let (mut whole, mut resumed) = (Cluster::default(), Cluster::default());
        for (place, command) in history.iter().enumerate() {
            if place == cut {
                resumed = Cluster { state: rebuilt(&whole.state), last: whole.last };
            }
            let first = whole.try_apply(command);
            if cut <= place {
                prop_assert_eq!(resumed.try_apply(command), first);
            }
        }
        prop_assert_eq!(resumed.state, whole.state);
    }

    #[test]
    fn a_copy_that_follows_the_deltas_is_the_original(
        history in a_history(),
        at in any::<prop::sample::Index>(),
    ) {
        let cut = at.index(history.len());
        let mut cluster = Cluster::default();
        let mut copy = MetadataImage::new();
        for (place, command) in history.iter().enumerate() {
            let delta = cluster.try_apply(command).unwrap_or_default();
            if place <= cut {
                copy = cluster.state.image().clone();
            } else {
                copy.apply(Revision::new(cluster.last), &delta).unwrap();
            }
            prop_assert_eq!(&copy, cluster.state.image());
        }
    }
}

#[test]
fn a_copy_refuses_what_does_not_follow_and_stays_as_it_was() {
    let mut cluster = Cluster::default();
    cluster.start([1]);
    let delta = cluster.apply(&create("t", 1, &[&[1]]));
    let mut copy = cluster.state.image().clone();
    let before = copy.clone();
    let old = copy.apply(copy.revision(), &delta);
    assert!(matches!(old, Err(crate::ImageError::NotNewer { .. })), "{old:?}");
    let mut usurper = delta;
    let mut topic = crate::Topic::clone(usurper.topics.values().next().unwrap());
    topic.id = TopicId::from_bytes([2; 16]);
    usurper.topics = [(topic.id, Arc::new(topic))].into();
    let taken = copy.apply(Revision::new(99), &usurper);
    assert!(matches!(taken, Err(crate::ImageError::NameTaken { .. })), "{taken:?}");
    assert_eq!(copy, before);
}
