use std::path::Path;

use cluster::decision::NewTopic;
use cluster::{ClusterError, Endpoint, Incarnation, MetadataImage, Registration};
use disk::{FaultyDisk, Operation, PlannedFault};
use kv_store::{KvStore, MemoryStore};
use tokio::sync::oneshot::{self, error::TryRecvError};
use types::{BrokerEpoch, DirectoryId, TopicId, TopicName};

use super::*;
use crate::raft::Recovery;
use crate::request::{Decision, Heartbeat, HeartbeatAnswer, Wish};

const SECOND: Duration = Duration::from_secs(1);
const SESSION: Duration = Duration::from_secs(9);
const ALMOST_A_SESSION: Duration = Duration::from_secs(8);
const BROKER: BrokerId = BrokerId::new(1);

type Answer<T> = oneshot::Receiver<Result<T, RequestError>>;

/// A coordinator alone in its quorum, on a machine that can lose its power.
struct Machine {
    disk: FaultyDisk,
    store: Arc<MemoryStore>,
    controller: Controller<FaultyDisk>,
    feeds: Feeds,
    now: Duration,
    checkpoint_entries: u64,
}

impl Machine {
    fn start() -> Self {
        Self::with_checkpoints(1_000)
    }

    fn with_checkpoints(checkpoint_entries: u64) -> Self {
        let (disk, store): (_, Arc<MemoryStore>) = (FaultyDisk::new(1), Arc::default());
        let (controller, feeds) = open(&disk, &store, checkpoint_entries, Duration::ZERO);
        let now = Duration::ZERO;
        let mut machine = Self { disk, store, controller, feeds, now, checkpoint_entries };
        machine.step([]);
        machine
    }

    /// Loses what was not synced, and starts again some time later.
    fn lose_power(self, now: Duration) -> Self {
        let Self { disk, store, controller, checkpoint_entries, .. } = self;
        drop(controller);
        disk.lose_power();
        let (controller, feeds) = open(&disk, &store, checkpoint_entries, now);
        let mut machine = Self { disk, store, controller, feeds, now, checkpoint_entries };
        machine.step([]);
        machine
    }

    fn try_step(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
    ) -> Result<Option<Checkpoint>, RaftError> {
        let now = Now { wall: Timestamp::from_millis(0), monotonic: self.now };
        self.controller.step(requests, now)
    }

    #[track_caller]
    fn step(&mut self, requests: impl IntoIterator<Item = Request>) {
        if let Some(checkpoint) = self.try_step(requests).unwrap() {
            let store: Arc<dyn KvStore> = Arc::clone(&self.store) as _;
            let saved = crate::raft::Checkpoints::new(store).save(&checkpoint);
            let saved = saved.map(|()| Box::new(checkpoint));
            self.step([Request::Checkpointed { saved }]);
        }
    }

    /// Lets time pass in ticks.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now = until.min(self.now + self.controller.settings.tick);
            self.step([]);
        }
    }

    #[track_caller]
    fn change(&mut self, decision: Decision) -> Result<Revision, RequestError> {
        let (request, answer) = change(vec![decision], Mode::Apply);
        self.step([request]);
        let changed = received(answer)?;
        changed.results.into_iter().collect::<Result<(), _>>()?;
        Ok(changed.revision)
    }

    #[track_caller]
    fn register(&mut self) -> BrokerEpoch {
        let registration = Registration {
            broker: BROKER,
            endpoint: Endpoint { host: "localhost".into(), port: 9192 },
            listeners: BTreeMap::new(),
            rack: String::new(),
            incarnation: Incarnation::from_bytes([1; 16]),
            directory: DirectoryId::from_bytes([2; 16]),
        };
        let revision = self.change(Decision::Register(registration)).unwrap();
        BrokerEpoch::new(revision.get())
    }

    #[track_caller]
    fn heartbeat(
        &mut self,
        epoch: BrokerEpoch,
        wish: Wish,
    ) -> Result<HeartbeatAnswer, RequestError> {
        let (request, answer) = heartbeat(epoch, self.image().revision(), wish);
        self.step([request]);
        received(answer)
    }

    /// A broker that serves, and one topic on it.
    #[track_caller]
    fn serve(&mut self) -> BrokerEpoch {
        let epoch = self.register();
        assert!(!self.heartbeat(epoch, Wish::Serve).unwrap().fenced);
        self.change(topic("t", 1)).unwrap();
        epoch
    }

    fn image(&self) -> MetadataImage {
        self.feeds.metadata.image()
    }

    fn leader(&self) -> Option<BrokerId> {
        self.image().topic(&name("t")).unwrap().partitions[0].leader
    }
}

fn open(
    disk: &FaultyDisk,
    store: &Arc<MemoryStore>,
    checkpoint_entries: u64,
    now: Duration,
) -> (Controller<FaultyDisk>, Feeds) {
    let recovery = Recovery {
        disk: disk.clone(),
        dir: Path::new("/c"),
        store: Arc::clone(store) as _,
        fresh: [[1; 16], [2; 16], [3; 16], [4; 16]],
        now: Timestamp::from_millis(0),
    };
    let (replica, state) = Replica::open(recovery).unwrap();
    let feeds = Feeds::new(&state, 1 << 20);
    let settings = Settings {
        cluster_id: ClusterId::new("nest").unwrap(),
        session_timeout: SESSION,
        tick: SECOND / 10,
        checkpoint_entries,
    };
    (Controller::new(replica, state, feeds.clone(), settings, now), feeds)
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn topic(topic: &str, id: u8) -> Decision {
    let wanted =
        NewTopic { name: name(topic), partitions: 1, replication_factor: 1, configs: vec![] };
    Decision::CreateTopic { wanted, id: TopicId::from_bytes([id; 16]) }
}

fn change(decisions: Vec<Decision>, mode: Mode) -> (Request, Answer<Changed>) {
    let (reply, answer) = oneshot::channel();
    (Request::Change { change: Change { decisions, mode }, reply }, answer)
}

fn heartbeat(
    epoch: BrokerEpoch,
    revision: Revision,
    wish: Wish,
) -> (Request, Answer<HeartbeatAnswer>) {
    let (reply, answer) = oneshot::channel();
    let heartbeat = Heartbeat { broker: BROKER, epoch, revision, wish };
    (Request::Heartbeat { heartbeat, reply }, answer)
}

#[track_caller]
fn received<T>(mut answer: Answer<T>) -> Result<T, RequestError> {
    answer.try_recv().expect("the step answers")
}

#[test]
fn a_new_cluster_is_named_once() {
    let machine = Machine::start();
    let named = machine.image().cluster_id().cloned();
    assert_eq!(named, ClusterId::new("nest"));
    assert_eq!(machine.lose_power(SECOND).image().cluster_id().cloned(), named);
}

#[test]
fn what_was_answered_survives_a_loss_of_power() {
    let mut machine = Machine::start();
    machine.serve();
    let revision = machine.change(topic("u", 2)).unwrap();
    let machine = machine.lose_power(SECOND);
    assert!(machine.image().topic(&name("u")).is_some());
    assert!(revision < machine.image().revision());
}

#[test]
fn no_producer_id_is_given_out_twice_whenever_the_power_fails() {
    let mut machine = Machine::with_checkpoints(3);
    let mut given = std::collections::BTreeSet::new();
    for _ in 0..6 {
        // Two at once: one change may hold the answer of the other's revision.
        let requests = [(); 2].map(|()| change(vec![Decision::AllocateProducerIds], Mode::Apply));
        let [(first, first_answer), (second, second_answer)] = requests;
        machine.step([first, second]);
        for answer in [first_answer, second_answer] {
            let changed = received(answer).unwrap();
            assert_eq!(changed.results, [Ok(())]);
            let block = cluster::ProducerIdBlock::of(changed.revision).unwrap();
            let ids = block.first.get()..block.first.get() + u64::from(block.count);
            assert!(ids.into_iter().all(|id| given.insert(id)), "{block:?} was given before");
        }
        machine = machine.lose_power(SECOND);
    }
}

#[test]
fn nothing_is_answered_that_could_not_be_stored() {
    let mut machine = Machine::start();
    machine.serve();
    machine.disk.fail(PlannedFault {
        operation: Operation::SyncData,
        path_contains: ".log".into(),
        after: 0,
        error: std::io::ErrorKind::Other,
    });
    let (request, mut answer) = change(vec![topic("u", 2)], Mode::Apply);
    assert!(machine.try_step([request]).is_err());
    assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_restart_from_a_checkpoint_gives_the_same_state() {
    let mut machine = Machine::with_checkpoints(7);
    machine.serve();
    for (id, topic_name) in (2..).zip(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]) {
        machine.change(topic(topic_name, id)).unwrap();
        let before: Vec<_> = machine.image().topics().cloned().collect();
        machine = machine.lose_power(SECOND);
        assert_eq!(machine.image().topics().cloned().collect::<Vec<_>>(), before);
    }
    assert!(7 < machine.controller.replica.checkpointed(), "the log was cut");
}

#[test]
fn several_topics_are_decided_one_after_the_other() {
    let mut machine = Machine::start();
    machine.serve();
    let decisions = vec![topic("t", 7), topic("u", 8), topic("u", 9)];
    let (request, answer) = change(decisions, Mode::Apply);
    machine.step([request]);
    let changed = received(answer).unwrap();
    let exists = |topic: &str| Err(ClusterError::TopicExists { name: name(topic) });
    assert_eq!(changed.results, [exists("t"), Ok(()), exists("u")]);
    assert_eq!(machine.image().revision(), changed.revision);
}

#[test]
fn what_is_only_validated_changes_nothing() {
    let mut machine = Machine::start();
    machine.serve();
    let before = machine.image();
    let (request, answer) = change(vec![topic("u", 2)], Mode::ValidateOnly);
    machine.step([request]);
    assert_eq!(received(answer).unwrap().results, [Ok(())]);
    assert_eq!(machine.image(), before);
}

#[test]
fn two_requests_for_one_topic_make_one() {
    let mut machine = Machine::start();
    machine.serve();
    let (first, first_answer) = change(vec![topic("u", 2)], Mode::Apply);
    let (second, second_answer) = change(vec![topic("u", 3)], Mode::Apply);
    machine.step([first, second]);
    assert_eq!(received(first_answer).unwrap().results, [Ok(())]);
    let exists = ClusterError::TopicExists { name: name("u") };
    assert_eq!(received(second_answer).unwrap().results, [Err(exists)]);
}

#[test]
fn a_broker_serves_once_it_has_seen_its_registration() {
    let mut machine = Machine::start();
    let epoch = machine.register();
    let (request, answer) = heartbeat(epoch, Revision::new(epoch.get() - 1), Wish::Serve);
    machine.step([request]);
    assert!(received(answer).unwrap().fenced);
    assert!(!machine.heartbeat(epoch, Wish::Serve).unwrap().fenced);
}

#[test]
fn a_silent_broker_is_fenced_after_its_session_and_no_sooner() {
    let mut machine = Machine::start();
    let epoch = machine.serve();
    machine.wait(ALMOST_A_SESSION);
    assert!(!machine.heartbeat(epoch, Wish::Serve).unwrap().fenced);
    machine.wait(ALMOST_A_SESSION);
    assert_eq!(machine.leader(), Some(BROKER));
    machine.wait(SECOND);
    assert_eq!(machine.leader(), None);
}

#[test]
fn a_fenced_broker_serves_again_only_when_it_knows_that_it_was_fenced() {
    let mut machine = Machine::start();
    let epoch = machine.serve();
    let before = machine.image().revision();
    machine.wait(SESSION);
    let (request, answer) = heartbeat(epoch, before, Wish::Serve);
    machine.step([request]);
    assert!(received(answer).unwrap().fenced, "it may still believe that it leads");
    assert!(!machine.heartbeat(epoch, Wish::Serve).unwrap().fenced);
    assert_eq!(machine.leader(), Some(BROKER));
}

#[test]
fn after_a_restart_every_broker_has_a_whole_session() {
    let mut machine = Machine::start();
    machine.serve();
    machine.wait(ALMOST_A_SESSION);
    let hour = 3600 * SECOND;
    let mut machine = machine.lose_power(hour);
    machine.wait(ALMOST_A_SESSION);
    assert_eq!(machine.leader(), Some(BROKER));
    machine.wait(SECOND);
    assert_eq!(machine.leader(), None);
}

#[test]
fn a_pause_of_the_coordinator_fences_nobody() {
    let mut machine = Machine::start();
    machine.serve();
    machine.now += 60 * SECOND;
    machine.step([]);
    assert_eq!(machine.leader(), Some(BROKER));
}

#[test]
fn a_broker_that_leaves_may_go_once_it_leads_nothing() {
    let mut machine = Machine::start();
    let epoch = machine.serve();
    let answer = machine.heartbeat(epoch, Wish::ShutDown).unwrap();
    assert_eq!(answer, HeartbeatAnswer { fenced: true, may_shut_down: true });
    assert_eq!(machine.leader(), None);
}

#[test]
fn the_heartbeat_of_a_broker_that_registered_again_is_refused() {
    let mut machine = Machine::start();
    let old = machine.serve();
    machine.register();
    let refused = machine.heartbeat(old, Wish::Serve);
    let stale =
        matches!(refused, Err(RequestError::Cluster(ClusterError::StaleBrokerEpoch { .. })));
    assert!(stale, "{refused:?}");
}

#[test]
fn r7_every_heartbeat_takes_a_round_to_prove_that_the_answer_is_the_leaders() {
    let mut machine = Machine::start();
    let epoch = machine.serve();
    for _ in 0..3 {
        let before = machine.controller.waiting.next_round;
        machine.heartbeat(epoch, Wish::Serve).unwrap();
        assert_eq!(machine.controller.waiting.next_round, before + 1);
    }
}

#[test]
fn r7_a_heartbeat_waits_for_a_round_that_began_after_it_came_in() {
    let epoch = BrokerEpoch::new(1);
    let read = || {
        let (reply, answer) = oneshot::channel();
        let heartbeat =
            Heartbeat { broker: BROKER, epoch, revision: Revision::ZERO, wish: Wish::Serve };
        (Read::Heartbeat { heartbeat, reply }, answer)
    };
    let mut waiting = Waiting::default();
    let ((early, _), (late, _)) = (read(), read());
    waiting.gather(early);
    let round = waiting.begin_round().unwrap();
    waiting.gather(late);
    waiting.round_is_through(round, 5);
    assert_eq!(waiting.due(4).len(), 0, "what the round found certain is not applied yet");
    assert_eq!(waiting.due(5).len(), 1);
    let next = waiting.begin_round().unwrap();
    assert_eq!(waiting.due(5).len(), 0);
    waiting.round_is_through(next, 5);
    assert_eq!(waiting.due(5).len(), 1);
}

#[test]
fn r7_who_lost_leadership_answers_no_heartbeat_and_calls_no_outcome_known() {
    let mut waiting = Waiting::default();
    let (reply, read) = oneshot::channel();
    waiting.gather(Read::Barrier { reply });
    waiting.begin_round().unwrap();
    let (reply, proposed) = oneshot::channel();
    let changed = Changed { revision: Revision::ZERO, results: vec![Ok(())] };
    let place = Place { index: 3, term: 1 };
    waiting.expect(&[0], &[place], Ticket::Change { changed, reply });
    waiting.leadership_lost();
    assert_eq!(received(read), Err(RequestError::NotLeader));
    assert_eq!(received(proposed), Err(RequestError::OutcomeUnknown));
}

#[test]
fn a_proposal_whose_place_another_leader_took_has_an_unknown_outcome() {
    let mut waiting = Waiting::default();
    let (reply, answer) = oneshot::channel();
    let changed = Changed { revision: Revision::ZERO, results: vec![Ok(())] };
    waiting.expect(&[0], &[Place { index: 3, term: 1 }], Ticket::Change { changed, reply });
    waiting.settle(Place { index: 3, term: 2 }, Outcome::Cluster(Ok(())));
    assert_eq!(received(answer), Err(RequestError::OutcomeUnknown));
}

#[test]
fn watchers_are_told_of_every_revision() {
    let mut machine = Machine::start();
    let mut copy = machine.image();
    machine.serve();
    machine.wait(2 * SESSION);
    while copy.revision() < machine.image().revision() {
        let crate::feed::Due::Change(change) = machine.feeds.metadata.after(copy.revision()) else {
            panic!("every change is still held");
        };
        let Some(wire::v1::coordinator::watch_metadata_response::Content::Delta(delta)) =
            change.content.clone()
        else {
            panic!("a change is a delta");
        };
        let delta = wire::convert::delta_from_proto(delta).unwrap();
        copy.apply(Revision::new(change.revision), &delta).unwrap();
    }
    assert_eq!(copy, machine.image());
}
