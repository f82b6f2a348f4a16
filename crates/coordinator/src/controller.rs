//! The coordinator's mind: one struct, stepped by its owner, that holds the replicated state and
//! everyone who waits for it.
//!
//! A step takes what has come in, lets time pass, and sees everything through that this makes
//! possible: persist, then apply, then answer. Nothing is answered before it is certain, and no
//! read before a round that began after it came in has proved that this coordinator still leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::tree::{SessionId, Tree};
use bytes::Bytes;
use cluster::{ClusterId, Command, Delta, State};
use disk::Disk;
use tracing::{info, warn};
use types::{BrokerId, Revision, Timestamp};
use wire::convert::{LogCommand, command_from_bytes, command_to_bytes};

use crate::feed::{Duty, Feed};
use crate::raft::{Checkpoint, Committed, Place, ProposeError, RaftError, Replica, Role};
use crate::replicated::Replicated;
use crate::request::{Change, Changed, Mode, Quorum, Reply, Request, RequestError};
use crate::sessions::Sessions;
use crate::tree_feed::TreeFeed;
use crate::tree_sessions::TreeSessions;

mod heartbeats;
mod liveness;
#[cfg(test)]
mod tests;
mod tree;
mod waiting;

use waiting::{Outcome, Read, Ticket, Waiting};

/// Commands since the last checkpoint that call for another: they are in memory too.
const CHECKPOINT_BYTES: usize = 16 * 1024 * 1024;

/// Between two looks at the log's files.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The time, both kinds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For timestamps in the log.
    pub(crate) wall: Timestamp,
    /// For ticks and sessions.
    pub(crate) monotonic: Duration,
}

/// How a controller behaves.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What the cluster will be called, if it has no name yet.
    pub(crate) cluster_id: ClusterId,
    /// How long a broker may be silent.
    pub(crate) session_timeout: Duration,
    /// Between two ticks of raft's clock.
    pub(crate) tick: Duration,
    /// A checkpoint is taken after so many entries, or sooner if they are large.
    pub(crate) checkpoint_entries: u64,
}

/// What those who only read are told.
#[derive(Clone, Debug)]
pub(crate) struct Feeds {
    pub(crate) metadata: Arc<Feed>,
    pub(crate) tree: Arc<TreeFeed>,
}

impl Feeds {
    /// Of a state that was recovered; each keeps changes of at most `max_bytes`.
    pub(crate) fn new(state: &Replicated, max_bytes: usize) -> Self {
        let image = state.cluster.image().clone();
        let revision = image.revision();
        Self {
            metadata: Arc::new(Feed::new(image, max_bytes)),
            tree: Arc::new(TreeFeed::new(revision, state.tree.clone(), max_bytes)),
        }
    }

    fn set_duty(&self, duty: Duty) {
        self.metadata.set_duty(duty);
        self.tree.set_duty(duty);
    }
}

/// How far this coordinator is in taking over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leadership {
    /// It does not lead, or has not applied an entry of its own term yet.
    None,
    Active {
        term: u64,
    },
}

/// See the module.
pub(crate) struct Controller<D: Disk> {
    replica: Replica<D>,
    state: State,
    tree: Tree,
    applied: Place,
    settings: Settings,
    leadership: Leadership,
    feeds: Feeds,
    waiting: Waiting,
    sessions: Sessions,
    tree_sessions: TreeSessions,
    /// Sessions of the tree whose end is proposed, and at which index.
    closing: BTreeMap<SessionId, u64>,
    /// Brokers whose fencing is proposed, and at which index.
    fencing: BTreeMap<BrokerId, u64>,
    /// What fenced brokers must have seen before they may serve again.
    fenced_at: BTreeMap<BrokerId, Revision>,
    last_tick: Duration,
    next_upkeep: Duration,
    /// Applied since the last checkpoint was begun.
    uncheckpointed_bytes: usize,
    checkpointing: bool,
}

impl<D: Disk> Controller<D> {
    pub(crate) fn new(
        replica: Replica<D>,
        Replicated { cluster: state, tree }: Replicated,
        feeds: Feeds,
        settings: Settings,
        now: Duration,
    ) -> Self {
        Self {
            applied: Place { index: state.image().revision().get(), term: 0 },
            sessions: Sessions::new(settings.session_timeout),
            replica,
            state,
            tree,
            settings,
            leadership: Leadership::None,
            feeds,
            waiting: Waiting::default(),
            tree_sessions: TreeSessions::default(),
            closing: BTreeMap::new(),
            fencing: BTreeMap::new(),
            fenced_at: BTreeMap::new(),
            last_tick: now,
            next_upkeep: now + UPKEEP_INTERVAL,
            uncheckpointed_bytes: 0,
            checkpointing: false,
        }
    }

    /// Takes in `requests` and sees through what can be. A checkpoint that comes back is to be
    /// saved, elsewhere, and its end reported as [`Request::Checkpointed`].
    ///
    /// # Errors
    ///
    /// This coordinator can take no further part; nothing of the step may be answered.
    pub(crate) fn step(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
        now: Now,
    ) -> Result<Option<Checkpoint>, RaftError> {
        for request in requests {
            self.take(request)?;
        }
        self.tick(now)?;
        loop {
            if let Some(round) = self.waiting.begin_round() {
                self.replica.read_index(round);
            }
            let progress = self.replica.advance(now.wall)?;
            let idle = progress.committed.is_empty() && progress.reads.is_empty();
            for committed in progress.committed {
                self.apply(committed, now)?;
            }
            self.follow_leadership(now);
            for (round, index) in progress.reads {
                self.waiting.round_is_through(round, index);
            }
            self.answer_reads(now);
            if idle && !self.waiting.has_gathered() {
                return Ok(self.checkpoint());
            }
        }
    }

    /// When the next tick is due.
    pub(crate) fn next_tick(&self) -> Duration {
        self.last_tick + self.settings.tick
    }

    fn take(&mut self, request: Request) -> Result<(), RaftError> {
        match request {
            Request::Change { change, reply } => match self.readiness() {
                Ok(()) => self.change(change, reply),
                Err(error) => answer(reply, Err(error)),
            },
            Request::Tree { command, reply } => match self.readiness() {
                Ok(()) => self.change_tree(&command, reply),
                Err(error) => answer(reply, Err(error)),
            },
            Request::KeepAlive { session, reply } => match self.readiness() {
                Ok(()) => self.waiting.gather(Read::KeepAlive { session, reply }),
                Err(error) => answer(reply, Err(error)),
            },
            Request::Heartbeat { heartbeat, reply } => match self.readiness() {
                Ok(()) => self.waiting.gather(Read::Heartbeat { heartbeat, reply }),
                Err(error) => answer(reply, Err(error)),
            },
            Request::Barrier { reply } => match self.readiness() {
                Ok(()) => self.waiting.gather(Read::Barrier { reply }),
                Err(error) => answer(reply, Err(error)),
            },
            Request::Describe { reply } => answer(reply, Ok(self.describe())),
            Request::Checkpointed { saved } => {
                self.checkpointing = false;
                self.replica.compact(*saved?)?;
            }
        }
        Ok(())
    }

    /// Whether requests that need the leader can be taken.
    fn readiness(&self) -> Result<(), RequestError> {
        match (self.leadership, self.replica.role()) {
            (Leadership::Active { .. }, _) if self.state.image().cluster_id().is_some() => Ok(()),
            (Leadership::Active { .. }, _) | (Leadership::None, Role::Leader) => {
                Err(RequestError::Starting)
            }
            (Leadership::None, Role::Other { .. }) => Err(RequestError::NotLeader),
        }
    }

    fn change(&mut self, change: Change, reply: Reply<Changed>) {
        let mut scratch = self.state.clone();
        let mut results = Vec::with_capacity(change.decisions.len());
        let mut proposals: Vec<(usize, Bytes)> = Vec::new();
        for (slot, decision) in change.decisions.into_iter().enumerate() {
            let next = Revision::new(scratch.image().revision().get() + 1);
            let decided = decision.decide(scratch.image()).and_then(|command| {
                scratch.apply(next, &command)?;
                Ok(command_to_bytes(&command))
            });
            results.push(decided.map(|command| proposals.push((slot, command))));
        }
        let changed = Changed { revision: self.state.image().revision(), results };
        if change.mode == Mode::ValidateOnly || proposals.is_empty() {
            return self.waiting.gather(Read::Unchanged { changed, reply });
        }
        let (slots, commands): (Vec<_>, _) = proposals.into_iter().unzip();
        match self.replica.propose(commands) {
            Ok(places) => self.waiting.expect(&slots, &places, Ticket::Change { changed, reply }),
            Err(error) => answer(reply, Err(error.into())),
        }
    }

    /// Proposes what nobody outside asked for.
    fn propose(&mut self, command: &Command, ticket: Ticket) -> Option<Place> {
        match self.replica.propose(vec![command_to_bytes(command)]) {
            Ok(places) => {
                self.waiting.expect(&[0], &places, ticket);
                places.first().copied()
            }
            Err(error) => {
                ticket.fail(&error.into());
                None
            }
        }
    }

    fn apply(&mut self, committed: Committed, now: Now) -> Result<(), RaftError> {
        let Committed { place, data } = committed;
        self.uncheckpointed_bytes += data.len();
        let revision = Revision::new(place.index);
        let (delta, outcome) = if data.is_empty() {
            self.state.pass(revision);
            (Delta::default(), Outcome::Cluster(Ok(())))
        } else {
            let command = command_from_bytes(data)
                .map_err(|source| RaftError::Command { index: place.index, source })?;
            self.carry_out(&command, revision, now.monotonic)
        };
        self.applied = place;
        self.replica.applied(place.index);
        self.feeds.metadata.publish(self.state.image(), &delta);
        let events = match &outcome {
            Outcome::Tree(Ok(applied)) => applied.events.clone(),
            Outcome::Tree(Err(_)) | Outcome::Cluster(_) => Vec::new(),
        };
        self.feeds.tree.publish(revision, &self.tree, events);
        if let Some(Ticket::Heartbeat { heartbeat, reply }) = self.waiting.settle(place, outcome) {
            answer(reply, Ok(self.heartbeat_answer(heartbeat)));
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        command: &LogCommand,
        revision: Revision,
        now: Duration,
    ) -> (Delta, Outcome) {
        match command {
            LogCommand::Cluster(command) => {
                let outcome = self.state.apply(revision, command);
                self.note(command, revision, &outcome, now);
                match outcome {
                    Ok(delta) => (delta, Outcome::Cluster(Ok(()))),
                    Err(error) => (Delta::default(), Outcome::Cluster(Err(error))),
                }
            }
            LogCommand::Tree(command) => {
                self.state.pass(revision);
                let outcome = self.tree.apply(revision, command);
                self.note_tree(command, &outcome, now);
                (Delta::default(), Outcome::Tree(outcome))
            }
        }
    }

    /// Takes over, or hands over, as raft decided.
    fn follow_leadership(&mut self, now: Now) {
        let term = self.applied.term;
        let leads = self.replica.leads_term(term);
        if let Leadership::Active { term: held } = self.leadership
            && (!leads || held != term)
        {
            warn!(term = held, "leadership was lost");
            self.leadership = Leadership::None;
            self.feeds.set_duty(Duty::Resting);
            self.waiting.leadership_lost();
            self.fencing.clear();
            self.closing.clear();
        }
        if leads && self.leadership == Leadership::None {
            self.take_over(term, now);
        }
        if self.readiness().is_ok() {
            self.feeds.set_duty(Duty::Leading);
        }
    }

    fn take_over(&mut self, term: u64, now: Now) {
        info!(term, revision = %self.state.image().revision(), "leadership was taken over");
        self.leadership = Leadership::Active { term };
        let image = self.state.image().clone();
        let alive = image.brokers().filter(|broker| broker.is_alive());
        self.sessions.restart(alive.map(|broker| (broker.id, broker.epoch)), now.monotonic);
        self.restart_tree_sessions(now.monotonic);
        self.fenced_at = image.brokers().map(|broker| (broker.id, image.revision())).collect();
        if image.cluster_id().is_none() {
            let cluster_id = self.settings.cluster_id.clone();
            self.propose(&Command::InitCluster { cluster_id }, Ticket::Internal);
        }
    }

    fn answer_reads(&mut self, now: Now) {
        for read in self.waiting.due(self.applied.index) {
            match read {
                Read::Heartbeat { heartbeat, reply } => self.heartbeat(heartbeat, reply, now),
                Read::Unchanged { changed, reply } => answer(reply, Ok(changed)),
                Read::Barrier { reply } => answer(reply, Ok(self.state.image().revision())),
                Read::TreeRefused { changed, reply } => answer(reply, Ok(changed)),
                Read::KeepAlive { session, reply } => self.keep_alive(session, reply, now),
            }
        }
    }

    fn checkpoint(&mut self) -> Option<Checkpoint> {
        let entries = self.applied.index - self.replica.checkpointed();
        let due = self.settings.checkpoint_entries <= entries
            || CHECKPOINT_BYTES <= self.uncheckpointed_bytes;
        if self.checkpointing || !due {
            return None;
        }
        self.checkpointing = true;
        self.uncheckpointed_bytes = 0;
        let state = Replicated { cluster: self.state.clone(), tree: self.tree.clone() };
        Some(self.replica.checkpoint(self.applied, state))
    }

    fn describe(&self) -> Quorum {
        let standing = self.replica.standing();
        let cluster_id = self.state.image().cluster_id();
        Quorum {
            cluster_id: cluster_id.map(ToString::to_string).unwrap_or_default(),
            raft_id: standing.raft_id,
            leader: match standing.role {
                Role::Leader => Some(standing.raft_id),
                Role::Other { leader } => leader,
            },
            term: standing.term,
            commit: standing.commit,
            applied: self.applied.index,
            voters: standing.voters,
            learners: standing.learners,
        }
    }
}

/// Answers; the caller may have given up, and its answer is then of no use to anyone.
fn answer<T>(reply: Reply<T>, result: Result<T, RequestError>) {
    reply.send(result).ok();
}

impl From<ProposeError> for RequestError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader => Self::NotLeader,
            ProposeError::Busy => Self::Busy,
            ProposeError::TooLarge { length } => Self::TooLarge { length },
        }
    }
}
