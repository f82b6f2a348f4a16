//! From what lies on the disk to a member of the quorum, or to a clear reason why not.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use disk::Disk;
use kv_store::KvStore;
use types::{Revision, Timestamp};
use wire::v1::storage::Membership;

use super::checkpoint::{Checkpoint, Checkpoints};
use super::entry_log::EntryLog;
use super::error::RaftError;
use super::hard_state::{HardState, HardStateFile};
use super::storage::RaftStorage;
use crate::replicated::Replicated;

/// Where a log begins: as if its first entry had been agreed on before, so that raft has a
/// checkpoint to start from.
const GENESIS: (u64, u64) = (1, 1);

/// What is needed to open a member's directory.
pub(crate) struct Recovery<'a, D> {
    pub(crate) disk: D,
    /// Exists.
    pub(crate) dir: &'a Path,
    /// Where checkpoints are kept.
    pub(crate) store: Arc<dyn KvStore>,
    /// Random bytes, for the ids of what is made.
    pub(crate) fresh: [[u8; 16]; 4],
    pub(crate) now: Timestamp,
}

impl<D: Disk> Recovery<'_, D> {
    /// Opens the directory; one without a member becomes that of a new one, with a raft id that
    /// nobody had before, alone in its quorum.
    ///
    /// Everything that raft would panic on is checked here (rule C3).
    pub(super) fn open(self) -> Result<RaftStorage<D>, RaftError> {
        let [fresh_raft_id, of_log @ ..] = self.fresh;
        let checkpoints = Checkpoints::new(Arc::clone(&self.store));
        let path = self.dir.join("hard-state");
        let mut log = EntryLog::open(
            self.disk.clone(),
            &self.dir.join("log"),
            GENESIS.0 + 1,
            of_log,
            self.now,
        )?;
        let mut hard_state = match HardStateFile::open(&self.disk, &path)? {
            Some(hard_state) => hard_state,
            None if (log.start(), log.end()) == (GENESIS.0 + 1, GENESIS.0 + 1) => {
                let raft_id = raft_id(fresh_raft_id);
                checkpoints.save(&genesis(raft_id))?;
                // Last: from now on there is a member.
                let (commit, term) = GENESIS;
                let state = HardState { raft_id, term, vote: 0, commit };
                HardStateFile::create(&self.disk, &path, state)?
            }
            None => return Err(RaftError::HardStateMissing { path }),
        };
        let checkpoint = checkpoints.load()?;
        let checkpoint = checkpoint.unwrap_or_else(|| genesis(hard_state.saved().raft_id));
        let entries = entries_behind(&mut log, &checkpoint)?;
        let last = entries
            .back()
            .map_or((checkpoint.index, checkpoint.term), |entry| (entry.index, entry.term));
        reconcile(&mut hard_state, checkpoint.index, last)?;
        Ok(RaftStorage { log, hard_state, checkpoints, checkpoint, entries })
    }
}

/// The entries that follow the checkpoint. A log that does not hold the checkpoint's own entry,
/// in its term, is of another history or older: what the checkpoint says is certain, so the log
/// goes.
fn entries_behind<D: Disk>(
    log: &mut EntryLog<D>,
    checkpoint: &Checkpoint,
) -> Result<VecDeque<raft::prelude::Entry>, RaftError> {
    let next = checkpoint.index + 1;
    if next < log.start() {
        return Err(RaftError::LogBehindCheckpoint {
            first: log.start(),
            checkpoint: checkpoint.index,
        });
    }
    // The log may have given up the checkpoint's entry already, and then nothing before it.
    let from = checkpoint.index.max(log.start());
    if log.end() < next {
        log.reset(next)?;
        return Ok(VecDeque::new());
    }
    let mut entries: VecDeque<_> = log.load(from)?.into();
    if let Some(first) = entries.front()
        && first.index == checkpoint.index
    {
        if first.term != checkpoint.term {
            log.reset(next)?;
            return Ok(VecDeque::new());
        }
        entries.pop_front();
    }
    Ok(entries)
}

/// Brings the hard state up to what log and checkpoint prove, or refuses a log that has lost
/// what was certain.
fn reconcile<D: Disk>(
    hard_state: &mut HardStateFile<D>,
    checkpoint: u64,
    (last, last_term): (u64, u64),
) -> Result<(), RaftError> {
    let saved = hard_state.saved();
    if last < saved.commit {
        return Err(RaftError::LogBehindCommit { last, commit: saved.commit });
    }
    let mut right = HardState { commit: saved.commit.max(checkpoint), ..saved };
    if saved.term < last_term {
        // Entries are synced before the hard state. This member sent nothing in that term yet, so
        // it has voted for nobody.
        right = HardState { term: last_term, vote: 0, ..right };
    }
    if right == saved { Ok(()) } else { hard_state.save(right) }
}

fn genesis(raft_id: u64) -> Checkpoint {
    let (index, term) = GENESIS;
    let mut state = Replicated::default();
    state.cluster.pass(Revision::new(index));
    let membership = Membership { voters: vec![raft_id], ..Membership::default() };
    Checkpoint { index, term, membership, state }
}

/// Never 0: raft takes that for nobody.
fn raft_id(random: [u8; 16]) -> u64 {
    random.first_chunk().copied().map_or(1, u64::from_le_bytes).max(1)
}
