//! Who waits for what: proposals for their entry to be applied, reads for their round.

use std::collections::{BTreeMap, VecDeque};

use cluster::ClusterError;
use tree::{Applied, Refused, SessionId};
use types::Revision;

use super::answer;
use crate::raft::Place;
use crate::request::{Changed, Heartbeat, HeartbeatAnswer, Reply, RequestError, TreeChanged};

/// What happens when the entries proposed together are applied.
#[derive(Debug)]
pub(super) enum Ticket {
    /// `changed` is completed, entry by entry, and sent.
    Change { changed: Changed, reply: Reply<Changed> },
    /// The heartbeat is answered.
    Heartbeat { heartbeat: Heartbeat, reply: Reply<HeartbeatAnswer> },
    /// What became of the tree is sent.
    Tree { reply: Reply<TreeChanged> },
    /// Nobody waits.
    Internal,
}

/// What became of an entry.
#[derive(Debug)]
pub(super) enum Outcome {
    Cluster(Result<(), ClusterError>),
    Tree(Result<Applied, Refused>),
}

impl Ticket {
    pub(super) fn fail(self, error: &RequestError) {
        match self {
            Self::Change { reply, .. } => answer(reply, Err(error.clone())),
            Self::Heartbeat { reply, .. } => answer(reply, Err(error.clone())),
            Self::Tree { reply } => answer(reply, Err(error.clone())),
            Self::Internal => {}
        }
    }
}

/// What is answered from the state, once it is certain to be new enough.
#[derive(Debug)]
pub(super) enum Read {
    Heartbeat {
        heartbeat: Heartbeat,
        reply: Reply<HeartbeatAnswer>,
    },
    /// A change that came to nothing: refused, or only tried.
    Unchanged {
        changed: Changed,
        reply: Reply<Changed>,
    },
    Barrier {
        reply: Reply<Revision>,
    },
    /// A change of the tree that was refused.
    TreeRefused {
        changed: TreeChanged,
        reply: Reply<TreeChanged>,
    },
    KeepAlive {
        session: SessionId,
        reply: Reply<()>,
    },
}

impl Read {
    /// A read has no effect, so that its caller may simply ask elsewhere.
    fn fail(self, error: &RequestError) {
        match self {
            Self::Heartbeat { reply, .. } => answer(reply, Err(error.clone())),
            Self::Unchanged { reply, .. } => answer(reply, Err(error.clone())),
            Self::Barrier { reply } => answer(reply, Err(error.clone())),
            Self::TreeRefused { reply, .. } => answer(reply, Err(error.clone())),
            Self::KeepAlive { reply, .. } => answer(reply, Err(error.clone())),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By index of the entry.
    proposals: BTreeMap<u64, Proposal>,
    tickets: BTreeMap<u64, (usize, Ticket)>,
    next_ticket: u64,
    /// Came in since the last round began.
    gathered: Vec<Read>,
    rounds: VecDeque<(u64, Vec<Read>)>,
    pub(super) next_round: u64,
    /// Their round is through; they wait for an index to be applied.
    due: Vec<(u64, Read)>,
}

#[derive(Debug)]
struct Proposal {
    term: u64,
    ticket: u64,
    slot: usize,
}

impl Waiting {
    /// `ticket` waits for the entries at `places`, which stand for these slots of its result.
    pub(super) fn expect(&mut self, slots: &[usize], places: &[Place], ticket: Ticket) {
        let number = self.next_ticket;
        self.next_ticket += 1;
        for (slot, place) in slots.iter().zip(places) {
            let proposal = Proposal { term: place.term, ticket: number, slot: *slot };
            self.proposals.insert(place.index, proposal);
        }
        self.tickets.insert(number, (places.len(), ticket));
    }

    /// The entry at `place` was applied, with this result. Gives back a heartbeat to be answered.
    pub(super) fn settle(&mut self, place: Place, outcome: Outcome) -> Option<Ticket> {
        let proposal = self.proposals.remove(&place.index)?;
        let (left, ticket) = self.tickets.get_mut(&proposal.ticket)?;
        if proposal.term != place.term {
            // Another leader's entry stands there; ours is gone, what came with it may not be.
            let (_, ticket) = self.tickets.remove(&proposal.ticket)?;
            ticket.fail(&RequestError::OutcomeUnknown);
            return None;
        }
        *left -= 1;
        let revision = Revision::new(place.index);
        let mut of_tree = None;
        match (ticket, outcome) {
            (Ticket::Change { changed, .. }, Outcome::Cluster(result)) => {
                changed.revision = revision;
                if let Some(slot) = changed.results.get_mut(proposal.slot) {
                    *slot = result;
                }
            }
            (_, Outcome::Tree(outcome)) => of_tree = Some(TreeChanged { revision, outcome }),
            (_, Outcome::Cluster(_)) => {}
        }
        if 0 < *left {
            return None;
        }
        match (self.tickets.remove(&proposal.ticket)?.1, of_tree) {
            (Ticket::Change { changed, reply }, _) => {
                answer(reply, Ok(changed));
                None
            }
            (heartbeat @ Ticket::Heartbeat { .. }, _) => Some(heartbeat),
            (Ticket::Tree { reply }, Some(changed)) => {
                answer(reply, Ok(changed));
                None
            }
            (ticket @ Ticket::Tree { .. }, None) => {
                ticket.fail(&RequestError::OutcomeUnknown);
                None
            }
            (Ticket::Internal, _) => None,
        }
    }

    /// A read came in; it waits for a round that has not begun yet.
    pub(super) fn gather(&mut self, read: Read) {
        self.gathered.push(read);
    }

    pub(super) fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Begins one round for all reads that have come in, if there are any.
    pub(super) fn begin_round(&mut self) -> Option<u64> {
        if self.gathered.is_empty() {
            return None;
        }
        let round = self.next_round;
        self.next_round += 1;
        self.rounds.push_back((round, std::mem::take(&mut self.gathered)));
        Some(round)
    }

    /// A round is through: its reads may be answered once `index` is applied. So are the rounds
    /// before it, since what is proved for a later moment was true at an earlier one.
    pub(super) fn round_is_through(&mut self, round: u64, index: u64) {
        while let Some((_, reads)) = self.rounds.pop_front_if(|(begun, _)| *begun <= round) {
            self.due.extend(reads.into_iter().map(|read| (index, read)));
        }
    }

    /// A read that has been let through has to wait for one more entry.
    pub(super) fn due_at(&mut self, index: u64, read: Read) {
        self.due.push((index, read));
    }

    /// The reads that may be answered now that `applied` is applied.
    pub(super) fn due(&mut self, applied: u64) -> Vec<Read> {
        let (due, later) = self.due.drain(..).partition(|(index, _)| *index <= applied);
        self.due = later;
        let due: Vec<(u64, Read)> = due;
        due.into_iter().map(|(_, read)| read).collect()
    }

    /// Fails everyone: proposals may or may not take effect under the next leader.
    pub(super) fn leadership_lost(&mut self) {
        self.proposals.clear();
        for (_, ticket) in std::mem::take(&mut self.tickets).into_values() {
            ticket.fail(&RequestError::OutcomeUnknown);
        }
        let begun = std::mem::take(&mut self.rounds).into_iter().flat_map(|(_, reads)| reads);
        let due = self.due.drain(..).map(|(_, read)| read);
        for read in begun.chain(due).chain(self.gathered.drain(..)) {
            read.fail(&RequestError::NotLeader);
        }
    }
}
