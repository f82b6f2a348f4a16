use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cluster::{ClusterId, Command};
use disk::FaultyDisk;
use kv_store::{KvError, KvStore, MemoryStore, Transaction};
use proptest::prelude::*;
use raft::prelude::Entry;
use raft::{GetEntriesContext, Storage};
use types::{Revision, Timestamp};
use wire::v1::storage::Membership;

use super::hard_state::{HardState, HardStateFile};
use super::storage::RaftStorage;
use super::*;

const NOW: Timestamp = Timestamp::from_millis(0);
const FRESH: [[u8; 16]; 4] = [[7; 16], [8; 16], [6; 16], [9; 16]];

/// A member's disk and checkpoint store, which outlive its process.
#[derive(Clone)]
struct Machine {
    disk: FaultyDisk,
    store: Arc<MemoryStore>,
}

impl Machine {
    fn new(seed: u64) -> Self {
        Self { disk: FaultyDisk::new(seed), store: Arc::default() }
    }

    fn open(&self) -> Result<RaftStorage<FaultyDisk>, RaftError> {
        let store: Arc<dyn KvStore> = Arc::clone(&self.store) as _;
        let (disk, dir) = (self.disk.clone(), Path::new("/c"));
        Recovery { disk, dir, store, fresh: FRESH, now: NOW }.open()
    }

    #[track_caller]
    fn opened(&self) -> RaftStorage<FaultyDisk> {
        self.open().unwrap()
    }
}

fn entry(index: u64, term: u64) -> Entry {
    let mut entry = Entry::default();
    entry.set_index(index);
    entry.set_term(term);
    entry.set_data(format!("{index}@{term}").into());
    entry
}

fn entries(from: u64, terms: &[u64]) -> Vec<Entry> {
    (from..).zip(terms).map(|(index, term)| entry(index, *term)).collect()
}

fn voted(term: u64, vote: u64, commit: u64) -> raft::prelude::HardState {
    raft::prelude::HardState { term, vote, commit, ..Default::default() }
}

fn checkpoint(index: u64, term: u64) -> Checkpoint {
    let mut state = crate::replicated::Replicated::default();
    state.cluster.pass(Revision::new(index));
    let membership = Membership { voters: vec![1], ..Membership::default() };
    Checkpoint { index, term, membership, state }
}

fn held(storage: &RaftStorage<FaultyDisk>) -> Vec<(u64, u64)> {
    let (first, last) = (storage.first_index().unwrap(), storage.last_index().unwrap());
    let entries = storage.entries(first, last + 1, None, GetEntriesContext::empty(false));
    entries.unwrap().iter().map(|entry| (entry.index, entry.term)).collect()
}

#[test]
fn a_formatted_directory_has_a_raft_id_that_stays() {
    let machine = Machine::new(1);
    let id = machine.opened().hard_state.saved().raft_id;
    assert_ne!(id, 0);
    assert_eq!(machine.opened().hard_state.saved().raft_id, id);
    assert_eq!(machine.opened().initial_state().unwrap().conf_state.voters, [id]);
}

#[test]
fn formatting_can_be_cut_short_anywhere() {
    for operations in 0..40 {
        let machine = Machine::new(u64::from(operations));
        machine.disk.cut_power_after(operations);
        let opened = machine.open().map(drop);
        assert!(opened.is_ok() || machine.disk.is_without_power());
        machine.disk.lose_power();
        assert_eq!(held(&machine.opened()), []);
    }
}

#[test]
fn c2_entries_of_a_truncated_term_do_not_come_back() {
    for seed in 0..50 {
        let machine = Machine::new(seed);
        let mut storage = machine.opened();
        storage.persist(entries(2, &[1, 1, 2, 2]), Some(&voted(2, 0, 1)), NOW).unwrap();
        storage.persist(entries(4, &[3]), Some(&voted(3, 0, 1)), NOW).unwrap();
        drop(storage);
        machine.disk.lose_power();
        let storage = machine.opened();
        assert_eq!(held(&storage), [(2, 1), (3, 1), (4, 3)]);
        assert_eq!(storage.hard_state.saved().term, 3);
    }
}

#[test]
fn c2_a_term_is_never_forgotten_that_an_entry_proves() {
    for operations in 0..30 {
        let machine = Machine::new(u64::from(operations));
        let mut storage = machine.opened();
        machine.disk.cut_power_after(operations);
        storage.persist(entries(2, &[5]), Some(&voted(5, 9, 1)), NOW).ok();
        drop(storage);
        machine.disk.lose_power();
        let storage = machine.opened();
        let saved = storage.hard_state.saved();
        let last = held(&storage).last().map_or(1, |(_, term)| *term);
        assert!(last <= saved.term, "{saved:?}");
    }
}

#[test]
fn c2_the_commit_index_never_runs_ahead_of_the_entries() {
    for operations in 0..30 {
        let machine = Machine::new(u64::from(operations));
        let mut storage = machine.opened();
        machine.disk.cut_power_after(operations);
        storage.persist(entries(2, &[2, 2, 2]), Some(&voted(2, 0, 4)), NOW).ok();
        drop(storage);
        machine.disk.lose_power();
        machine.opened();
    }
}

#[test]
fn c3_a_log_of_another_history_than_the_checkpoint_is_discarded() {
    let machine = Machine::new(1);
    let mut storage = machine.opened();
    storage.persist(entries(2, &[1, 1, 2, 2]), None, NOW).unwrap();
    // A snapshot was taken over, and the power went before the log was reset.
    storage.checkpoints.save(&checkpoint(4, 3)).unwrap();
    drop(storage);
    let storage = machine.opened();
    assert_eq!(held(&storage), []);
    assert_eq!(storage.first_index().unwrap(), 5);
    assert_eq!(storage.term(4).unwrap(), 3);
    assert_eq!(storage.hard_state.saved().commit, 4);
}

#[test]
fn c3_a_log_that_ends_before_the_checkpoint_begins_behind_it() {
    let machine = Machine::new(1);
    let mut storage = machine.opened();
    storage.persist(entries(2, &[1]), None, NOW).unwrap();
    storage.checkpoints.save(&checkpoint(9, 3)).unwrap();
    drop(storage);
    let mut storage = machine.opened();
    assert_eq!(storage.last_index().unwrap(), 9);
    storage.persist(entries(10, &[3]), None, NOW).unwrap();
    drop(storage);
    assert_eq!(held(&machine.opened()), [(10, 3)]);
}

#[test]
fn c3_a_log_that_ends_below_commit_is_refused() {
    let machine = Machine::new(1);
    let mut storage = machine.opened();
    storage.persist(entries(2, &[2, 2]), Some(&voted(2, 0, 3)), NOW).unwrap();
    storage.log.append(&entries(2, &[2]), NOW).unwrap();
    drop(storage);
    let refused = machine.open().map(drop);
    assert!(matches!(refused, Err(RaftError::LogBehindCommit { last: 2, commit: 3 })));
}

#[test]
fn a_checkpoint_that_was_lost_is_told_from_a_new_directory() {
    let machine = Machine::new(1);
    let mut storage = machine.opened();
    storage.persist(entries(2, &[2, 2, 2]), Some(&voted(2, 0, 4)), NOW).unwrap();
    let saved = checkpoint(3, 2);
    storage.checkpoints.save(&saved).unwrap();
    storage.compact(saved).unwrap();
    drop(storage);
    let lost = Machine { store: Arc::default(), ..machine };
    let refused = lost.open().map(drop);
    assert!(matches!(refused, Err(RaftError::LogBehindCheckpoint { first: 4, checkpoint: 1 })));
}

#[test]
fn a_log_without_its_hard_state_is_refused() {
    let machine = Machine::new(1);
    machine.opened().persist(entries(2, &[2]), None, NOW).unwrap();
    disk::Disk::remove_file(&machine.disk, Path::new("/c/hard-state")).unwrap();
    assert!(matches!(machine.open().map(drop), Err(RaftError::HardStateMissing { .. })));
}

#[test]
fn a_torn_write_of_the_hard_state_leaves_the_one_before() {
    let path = Path::new("/hard-state");
    for seed in 0..200 {
        let disk = FaultyDisk::new(seed);
        let state = |term| HardState { raft_id: 5, term, vote: term, commit: term };
        let mut file = HardStateFile::create(&disk, path, state(1)).unwrap();
        file.save(state(2)).unwrap();
        disk.cut_power_after(u32::try_from(seed % 3).unwrap());
        let third = file.save(state(3)).is_ok();
        disk.lose_power();
        let saved = HardStateFile::open(&disk, path).unwrap().unwrap().saved();
        assert!(saved == state(3) || (saved == state(2) && !third), "{saved:?}");
    }
}

#[test]
fn a_hard_state_whose_slots_are_both_damaged_is_refused() {
    let machine = Machine::new(1);
    drop(machine.opened());
    for position in [12, 4096 + 12] {
        machine.disk.rot(Path::new("/c/hard-state"), position).unwrap();
    }
    assert!(matches!(machine.open().map(drop), Err(RaftError::HardStateDamaged { .. })));
}

/// Loses power, for good, at the commit given.
struct FailingStore {
    store: Arc<MemoryStore>,
    left: std::sync::atomic::AtomicUsize,
}

impl KvStore for FailingStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.store.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<kv_store::KeyValue>, KvError> {
        self.store.scan(prefix, after, limit)
    }

    fn commit(&self, transaction: Transaction) -> Result<kv_store::Committed, KvError> {
        use std::sync::atomic::Ordering::Relaxed;
        let left = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        left.map_err(|_none_left| KvError::Failed { dir: "memory".into() })?;
        self.store.commit(transaction)
    }
}

#[test]
fn a_checkpoint_that_is_cut_short_leaves_the_one_before() {
    let store: Arc<MemoryStore> = Arc::default();
    let mut last = None;
    for (index, commits) in (1..).zip([usize::MAX, 0, 1, 2, 3, 4, usize::MAX, 1, 0, 2]) {
        let failing = Arc::new(FailingStore { store: Arc::clone(&store), left: commits.into() });
        let mut saved = checkpoint(index, 1);
        let cluster_id = ClusterId::new(&format!("nest-{index}")).unwrap();
        saved
            .state
            .cluster
            .apply(Revision::new(index + 1), &Command::InitCluster { cluster_id })
            .unwrap();
        let done = Checkpoints::new(failing).save(&saved);
        let loaded = Checkpoints::new(Arc::clone(&store) as _).load().unwrap();
        if done.is_ok() {
            assert_eq!(loaded.as_ref(), Some(&saved));
        }
        assert!(loaded == Some(saved) || loaded == last, "after {commits} commits");
        last = loaded;
    }
}

#[test]
fn a_checkpoint_with_a_missing_chunk_is_refused() {
    let store: Arc<MemoryStore> = Arc::default();
    let checkpoints = Checkpoints::new(Arc::clone(&store) as _);
    checkpoints.save(&checkpoint(7, 1)).unwrap();
    let (key, _) = store.scan(b"chunk/", None, 1).unwrap().remove(0);
    assert_eq!(store.commit(Transaction::new().delete(key)).unwrap(), kv_store::Committed::Yes);
    assert!(matches!(checkpoints.load(), Err(CheckpointError::Damaged { index: 7 })));
}

/// What raft does to its storage.
#[derive(Clone, Debug)]
enum Step {
    /// Entries behind the last, in a term this much higher.
    Append { count: u64, newer: u64 },
    /// Another leader's entries in place of the last few.
    Conflict { back: u64, count: u64 },
    /// A checkpoint this far behind the last entry.
    Compact { back: u64 },
    /// The process ends and begins again.
    Restart,
    /// So does the machine.
    PowerLoss,
    /// The power goes in the middle of what comes next.
    CutSoon { operations: u32 },
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u64..5, 0_u64..2).prop_map(|(count, newer)| Step::Append { count, newer }),
        3 => (1_u64..5, 1_u64..4).prop_map(|(back, count)| Step::Conflict { back, count }),
        2 => (0_u64..4).prop_map(|back| Step::Compact { back }),
        1 => Just(Step::Restart),
        2 => Just(Step::PowerLoss),
        2 => (0_u32..25).prop_map(|operations| Step::CutSoon { operations }),
    ]
}

/// The log as it must be: index to term, from behind the checkpoint.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    checkpoint: (u64, u64),
    log: BTreeMap<u64, u64>,
    term: u64,
    commit: u64,
}

impl Model {
    fn last(&self) -> u64 {
        self.log.last_key_value().map_or(self.checkpoint.0, |(index, _)| *index)
    }

    fn put(&mut self, from: u64, count: u64, term: u64) -> Vec<Entry> {
        self.log.split_off(&from);
        self.log.extend((from..from + count).map(|index| (index, term)));
        self.term = term;
        (from..from + count).map(|index| entry(index, term)).collect()
    }

    fn compact(&mut self, index: u64) -> Checkpoint {
        let term = self.log.get(&index).copied().unwrap_or(self.checkpoint.1);
        self.checkpoint = (index, term);
        self.log = self.log.split_off(&(index + 1));
        self.commit = self.commit.max(index);
        checkpoint(index, term)
    }

    fn matches(&self, storage: &RaftStorage<FaultyDisk>) -> bool {
        let entries: Vec<_> = self.log.iter().map(|(index, term)| (*index, *term)).collect();
        let saved = storage.hard_state.saved();
        held(storage) == entries
            && storage.first_index().unwrap() == self.checkpoint.0 + 1
            && storage.term(self.checkpoint.0).unwrap() == self.checkpoint.1
            && saved.term == self.term
            && self.checkpoint.0 <= saved.commit
            && storage.snapshot(0, 2).unwrap().get_metadata().index == self.checkpoint.0
    }
}

/// Does one step to both; on an error the model is as it was, and as it would be.
fn perform(
    storage: &mut RaftStorage<FaultyDisk>,
    model: &mut Model,
    step: &Step,
) -> Result<(), RaftError> {
    match *step {
        Step::Append { count, newer } => {
            let entries = model.put(model.last() + 1, count, model.term + newer);
            storage.persist(entries, Some(&voted(model.term, 0, model.commit)), NOW)
        }
        Step::Conflict { back, count } => {
            // What is certain is never overwritten.
            let from = model.last().saturating_sub(back).max(model.commit) + 1;
            let entries = model.put(from, count, model.term + 1);
            storage.persist(entries, Some(&voted(model.term, 0, model.commit)), NOW)
        }
        Step::Compact { back } => {
            let index = model.last().saturating_sub(back).max(model.checkpoint.0);
            let saved = model.compact(index);
            storage.checkpoints.save(&saved)?;
            storage.compact(saved)
        }
        Step::Restart | Step::PowerLoss | Step::CutSoon { .. } => Ok(()),
    }
}

/// Whether `storage` is what a crash in the middle of the way from `before` to `after` may leave:
/// a step is not one write, but what it had done is in its order.
fn is_between(storage: &RaftStorage<FaultyDisk>, before: &Model, after: &Model) -> bool {
    let held: BTreeMap<_, _> = held(storage).into_iter().collect();
    let common =
        |model: &Model| held.iter().all(|(index, term)| model.log.get(index) == Some(term));
    let floor = storage.first_index().unwrap() - 1;
    let kept = before.log.iter().filter(|(index, _)| floor < **index);
    let untouched = kept.filter(|(index, term)| after.log.get(index) == Some(term));
    let nothing_lost = untouched.into_iter().all(|(index, term)| held.get(index) == Some(term));
    let saved = storage.hard_state.saved();
    nothing_lost
        && (common(before) || common(after))
        && before.term <= saved.term
        && saved.term <= after.term
}

fn reopened(machine: &Machine, storage: RaftStorage<FaultyDisk>) -> RaftStorage<FaultyDisk> {
    drop(storage);
    machine.disk.lose_power();
    machine.opened()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_log_is_what_raft_was_promised_over_any_crash(
        seed in any::<u64>(),
        steps in prop::collection::vec(a_step(), 1..30),
    ) {
        let machine = Machine::new(seed);
        let mut storage = machine.opened();
        let mut model =
            Model { checkpoint: (1, 1), log: BTreeMap::new(), term: 1, commit: 1 };
        for step in steps {
            let before = model.clone();
            match &step {
                Step::Restart => {
                    drop(storage);
                    storage = machine.open().or_else(|_cut| {
                        machine.disk.lose_power();
                        machine.open()
                    }).unwrap();
                }
                Step::PowerLoss => storage = reopened(&machine, storage),
                Step::CutSoon { operations } => machine.disk.cut_power_after(*operations),
                Step::Append { .. } | Step::Conflict { .. } | Step::Compact { .. } => {}
            }
            let failed = perform(&mut storage, &mut model, &step).is_err();
            if failed || machine.disk.is_without_power() {
                storage = reopened(&machine, storage);
                if failed {
                    prop_assert!(is_between(&storage, &before, &model), "{:?} {:?}", step, held(&storage));
                    model.log = held(&storage).into_iter().collect();
                    let floor = storage.first_index().unwrap() - 1;
                    model.checkpoint = (floor, storage.term(floor).unwrap());
                    model.term = storage.hard_state.saved().term;
                    model.commit = storage.hard_state.saved().commit.max(floor);
                }
            }
            prop_assert!(model.matches(&storage), "{:?} {:?} {:?}", step, model, held(&storage));
        }
    }
}
