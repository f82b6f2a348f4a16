use bytes::Bytes;
use disk::Disk;
use raft::prelude::{Entry, EntryType, Message, MessageType};
use raft::{Config, RawNode, ReadOnlyOption, StateRole};
use types::Timestamp;

use super::checkpoint::{Checkpoint, Checkpoints};
use super::error::{ProposeError, RaftError};
use super::logger::logger;
use super::recovery::Recovery;
use super::storage::{RaftStorage, membership};
use crate::replicated::Replicated;

/// Ticks without a leader after which a follower stands for election.
pub(crate) const ELECTION_TICKS: usize = 10;
const HEARTBEAT_TICKS: usize = 2;
const MAX_MESSAGE_BYTES: u64 = MAX_COMMAND_BYTES as u64;
const MAX_UNCOMMITTED_BYTES: u64 = 16 * 1024 * 1024;
const MAX_COMMITTED_BYTES: u64 = 16 * 1024 * 1024;
const MAX_INFLIGHT_MESSAGES: usize = 64;
/// The largest command: a node of the tree with all the data it may hold. An entry larger than a
/// message could not be sent.
pub(crate) const MAX_COMMAND_BYTES: usize = 1024 * 1024 + 64 * 1024;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: u64,
    pub(crate) term: u64,
}

/// An entry that is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) place: Place,
    /// Empty for the entry that a leader begins its term with.
    pub(crate) data: Bytes,
}

/// What this member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Leader,
    Other {
        /// Whom it takes for the leader.
        leader: Option<u64>,
    },
}

/// What has become certain.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// To be applied, in order.
    pub(crate) committed: Vec<Committed>,
    /// Read rounds that are through: the number given to [`Replica::read_index`], and the index up
    /// to which must be applied before the read.
    pub(crate) reads: Vec<(u64, u64)>,
}

/// Where the quorum stands, as this member knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) raft_id: u64,
    pub(crate) role: Role,
    pub(crate) term: u64,
    pub(crate) commit: u64,
    pub(crate) voters: Vec<u64>,
    pub(crate) learners: Vec<u64>,
}

/// One member of the quorum. Every call is synchronous; [`advance`](Self::advance) does the IO.
pub(crate) struct Replica<D: Disk> {
    node: RawNode<RaftStorage<D>>,
}

impl<D: Disk> Replica<D> {
    /// Opens a member, and gives the state as of its checkpoint.
    pub(crate) fn open(recovery: Recovery<'_, D>) -> Result<(Self, Replicated), RaftError> {
        let storage = recovery.open()?;
        let config = Config {
            id: storage.hard_state.saved().raft_id,
            applied: storage.checkpoint.index,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            pre_vote: true,
            check_quorum: true,
            read_only_option: ReadOnlyOption::Safe,
            max_size_per_msg: MAX_MESSAGE_BYTES,
            max_inflight_msgs: MAX_INFLIGHT_MESSAGES,
            max_uncommitted_size: MAX_UNCOMMITTED_BYTES,
            max_committed_size_per_ready: MAX_COMMITTED_BYTES,
            ..Config::default()
        };
        let state = storage.checkpoint.state.clone();
        let alone = storage.checkpoint.membership.voters == [config.id];
        let mut node = RawNode::new(&config, storage, &logger())?;
        if alone {
            // There is nobody whose heartbeat to wait for.
            node.campaign()?;
        }
        Ok((Self { node }, state))
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self) {
        self.node.tick();
    }

    /// Keeps the log's files in order; due every few seconds.
    pub(crate) fn upkeep(&mut self, now: Timestamp) -> Result<(), RaftError> {
        self.node.mut_store().log.upkeep(now)
    }

    /// Proposes commands, all or none; each takes effect if and when it comes back as committed
    /// at its place.
    pub(crate) fn propose(&mut self, commands: Vec<Bytes>) -> Result<Vec<Place>, ProposeError> {
        // A follower would forward it, and nobody would learn where it went.
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader);
        }
        if let Some(large) = commands.iter().find(|command| MAX_COMMAND_BYTES < command.len()) {
            return Err(ProposeError::TooLarge { length: large.len() });
        }
        let first = self.node.raft.raft_log.last_index() + 1;
        let entry = |data: Bytes| Entry { data, ..Entry::default() };
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.set_from(self.node.raft.id);
        message.set_entries(commands.into_iter().map(entry).collect());
        match self.node.step(message) {
            Ok(()) => {
                let raft = &self.node.raft;
                let indexes = first..=raft.raft_log.last_index();
                Ok(indexes.map(|index| Place { index, term: raft.term }).collect())
            }
            // Leaders drop proposals when too much is uncommitted.
            Err(_dropped) => Err(ProposeError::Busy),
        }
    }

    /// Begins a round that proves this member to lead still. raft drops it in silence unless
    /// an entry of the leader's own term is committed.
    pub(crate) fn read_index(&mut self, round: u64) {
        self.node.read_index(round.to_le_bytes().to_vec());
    }

    /// Whether this member leads in `term`.
    pub(crate) fn leads_term(&self, term: u64) -> bool {
        self.role() == Role::Leader && self.node.raft.term == term
    }

    pub(crate) fn role(&self) -> Role {
        let raft = &self.node.raft;
        match raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Follower | StateRole::Candidate | StateRole::PreCandidate => {
                Role::Other { leader: Some(raft.leader_id).filter(|id| *id != 0) }
            }
        }
    }

    /// Does what is outstanding: persists, then learns what that made certain.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Result<Progress, RaftError> {
        let mut progress = Progress::default();
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            for read in ready.take_read_states() {
                let round = read.request_ctx.first_chunk().copied().map(u64::from_le_bytes);
                progress.reads.extend(round.map(|round| (round, read.index)));
            }
            progress.take(ready.take_committed_entries())?;
            let (entries, hard_state) = (ready.take_entries(), ready.hs().cloned());
            self.node.mut_store().persist(entries, hard_state.as_ref(), now)?;
            // A voter alone has nobody to send to; messages would go out here, no sooner.
            let mut light = self.node.advance_append(ready);
            progress.take(light.take_committed_entries())?;
        }
        Ok(progress)
    }

    /// Tells raft that the state machine has applied everything up to `index`.
    pub(crate) fn applied(&mut self, index: u64) {
        self.node.advance_apply_to(index);
    }

    /// A checkpoint to be saved, of `state` with everything up to `place` applied.
    pub(crate) fn checkpoint(&self, place: Place, state: Replicated) -> Checkpoint {
        let conf_state = self.node.raft.prs().conf().to_conf_state();
        Checkpoint {
            index: place.index,
            term: place.term,
            membership: membership(&conf_state),
            state,
        }
    }

    /// Where checkpoints are saved.
    pub(crate) fn checkpoints(&self) -> Checkpoints {
        self.node.store().checkpoints.clone()
    }

    /// Gives up the entries that a saved checkpoint covers.
    pub(crate) fn compact(&mut self, saved: Checkpoint) -> Result<(), RaftError> {
        self.node.mut_store().compact(saved)
    }

    /// The last index of the log that the checkpoint on disk covers.
    pub(crate) fn checkpointed(&self) -> u64 {
        self.node.store().checkpoint.index
    }

    pub(crate) fn standing(&self) -> Standing {
        let raft = &self.node.raft;
        let conf_state = raft.prs().conf().to_conf_state();
        Standing {
            raft_id: raft.id,
            role: self.role(),
            term: raft.term,
            commit: raft.raft_log.committed,
            voters: conf_state.get_voters().to_vec(),
            learners: conf_state.get_learners().to_vec(),
        }
    }
}

impl Progress {
    fn take(&mut self, entries: Vec<Entry>) -> Result<(), RaftError> {
        for mut entry in entries {
            match entry.get_entry_type() {
                EntryType::EntryNormal => {}
                // Nobody can propose one yet.
                EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                    return Err(RaftError::UnknownEntry { index: entry.index });
                }
            }
            let place = Place { index: entry.index, term: entry.term };
            self.committed.push(Committed { place, data: entry.take_data() });
        }
        Ok(())
    }
}
