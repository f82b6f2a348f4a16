//! What raft asks of its log, and how the log is kept.

use std::collections::VecDeque;

use disk::Disk;
use raft::prelude::{ConfState, Entry, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError, util};
use types::Timestamp;
use wire::convert::snapshot_to_chunks;
use wire::v1::storage::Membership;

use super::checkpoint::{Checkpoint, Checkpoints};
use super::entry_log::EntryLog;
use super::error::RaftError;
use super::hard_state::{HardState, HardStateFile};
use crate::replicated::Replicated;

/// The last checkpoint and the entries behind it, which are in memory too: raft reads them while
/// the loop waits.
#[derive(Debug)]
pub(super) struct RaftStorage<D: Disk> {
    pub(super) log: EntryLog<D>,
    pub(super) hard_state: HardStateFile<D>,
    pub(super) checkpoints: Checkpoints,
    pub(super) checkpoint: Checkpoint,
    /// From `checkpoint.index + 1` on.
    pub(super) entries: VecDeque<Entry>,
}

impl<D: Disk> RaftStorage<D> {
    pub(super) fn last(&self) -> u64 {
        self.entries.back().map_or(self.checkpoint.index, |entry| entry.index)
    }

    /// Makes entries and hard state durable, in this order (rule C2).
    pub(super) fn persist(
        &mut self,
        entries: Vec<Entry>,
        hard_state: Option<&raft::prelude::HardState>,
        now: Timestamp,
    ) -> Result<(), RaftError> {
        self.log.append(&entries, now)?;
        if let Some(first) = entries.first() {
            self.entries.truncate(self.place(first.index));
            self.entries.extend(entries);
        }
        let Some(new) = hard_state else { return Ok(()) };
        let saved = self.hard_state.saved();
        // The commit index alone need not last: the next leader finds it again.
        if (new.term, new.vote) == (saved.term, saved.vote) {
            return Ok(());
        }
        self.hard_state.save(HardState {
            raft_id: saved.raft_id,
            term: new.term,
            vote: new.vote,
            commit: new.commit,
        })
    }

    /// Gives up the entries that `checkpoint`, which is saved, covers (rule C3).
    pub(super) fn compact(&mut self, checkpoint: Checkpoint) -> Result<(), RaftError> {
        self.raise_commit(checkpoint.index)?;
        self.log.discard_before(checkpoint.index + 1)?;
        self.entries.drain(..self.place(checkpoint.index + 1));
        self.checkpoint = checkpoint;
        Ok(())
    }

    fn raise_commit(&mut self, commit: u64) -> Result<(), RaftError> {
        let saved = self.hard_state.saved();
        if commit <= saved.commit {
            return Ok(());
        }
        self.hard_state.save(HardState { commit, ..saved })
    }

    /// Where `index` is, or would be, among the entries.
    fn place(&self, index: u64) -> usize {
        let place = index.saturating_sub(self.checkpoint.index + 1);
        usize::try_from(place).unwrap_or(usize::MAX).min(self.entries.len())
    }
}

impl<D: Disk> Storage for RaftStorage<D> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let saved = self.hard_state.saved();
        let hard_state = raft::prelude::HardState {
            term: saved.term,
            vote: saved.vote,
            commit: saved.commit,
            ..Default::default()
        };
        Ok(RaftState { hard_state, conf_state: conf_state(&self.checkpoint.membership) })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.checkpoint.index {
            return Err(StorageError::Compacted.into());
        }
        if self.last() + 1 < high {
            return Err(StorageError::Unavailable.into());
        }
        let mut entries: Vec<_> =
            self.entries.range(self.place(low)..self.place(high)).cloned().collect();
        util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.checkpoint.index {
            return Ok(self.checkpoint.term);
        }
        if index < self.checkpoint.index {
            return Err(StorageError::Compacted.into());
        }
        let entry = self.entries.get(self.place(index));
        entry.map(|entry| entry.term).ok_or_else(|| StorageError::Unavailable.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.checkpoint.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        if self.checkpoint.index < request_index {
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        let mut snapshot = Snapshot::default();
        // Chunks of snapshot parts, one behind the other, are a chunk again.
        let Replicated { cluster, tree } = &self.checkpoint.state;
        snapshot.set_data(snapshot_to_chunks(cluster, tree, usize::MAX).concat().into());
        let metadata = snapshot.mut_metadata();
        metadata.set_index(self.checkpoint.index);
        metadata.set_term(self.checkpoint.term);
        metadata.set_conf_state(conf_state(&self.checkpoint.membership));
        Ok(snapshot)
    }
}

fn conf_state(membership: &Membership) -> ConfState {
    let mut conf_state = ConfState::default();
    conf_state.set_voters(membership.voters.clone());
    conf_state.set_learners(membership.learners.clone());
    conf_state.set_voters_outgoing(membership.voters_outgoing.clone());
    conf_state.set_learners_next(membership.learners_next.clone());
    conf_state.set_auto_leave(membership.auto_leave);
    conf_state
}

pub(super) fn membership(conf_state: &ConfState) -> Membership {
    Membership {
        voters: conf_state.get_voters().to_vec(),
        learners: conf_state.get_learners().to_vec(),
        voters_outgoing: conf_state.get_voters_outgoing().to_vec(),
        learners_next: conf_state.get_learners_next().to_vec(),
        auto_leave: conf_state.get_auto_leave(),
    }
}
