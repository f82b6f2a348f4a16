//! What the RPC side asks of the loop. Requests wait in one bounded queue; each carries where its
//! answer goes.

use cluster::decision::{self, NewTopic};
use cluster::{ClusterError, Command, MetadataImage, Registration};
use thiserror::Error;
use tokio::sync::oneshot;
use tree::{Applied, Refused, SessionId, TreeError};
use types::{BrokerEpoch, BrokerId, Coded, Reason, Revision, TopicId, TopicName};

use crate::raft::{Checkpoint, CheckpointError};

/// Where an answer goes. Nobody may be waiting any more.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, RequestError>>;

/// One request.
#[derive(Debug)]
pub(crate) enum Request {
    /// Decide, propose what was decided, and answer once it is applied.
    Change { change: Change, reply: Reply<Changed> },
    /// Propose a change of the tree, and answer once it is applied or certain to be refused.
    Tree { command: tree::Command, reply: Reply<TreeChanged> },
    /// Renew a session of the tree.
    KeepAlive { session: SessionId, reply: Reply<()> },
    /// Renew a broker's session.
    Heartbeat { heartbeat: Heartbeat, reply: Reply<HeartbeatAnswer> },
    /// Answer once everything that was certain when this was asked is applied.
    Barrier { reply: Reply<Revision> },
    /// Describe the quorum, as this member sees it.
    Describe { reply: Reply<Quorum> },
    /// A checkpoint was saved, or not.
    Checkpointed { saved: Result<Box<Checkpoint>, CheckpointError> },
}

/// Several decisions that are taken one after the other, each by the state as the ones before
/// leave it, and proposed together.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) decisions: Vec<Decision>,
    pub(crate) mode: Mode,
}

/// Whether a change is made or only tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Apply,
    ValidateOnly,
}

/// One thing that is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    Register(Registration),
    CreateTopic { wanted: NewTopic, id: TopicId },
    DeleteTopic { name: TopicName },
    CreatePartitions { name: TopicName, total: u32 },
    AlterConfigs { name: TopicName, set: Vec<(String, String)>, unset: Vec<String> },
    AllocateProducerIds,
}

impl Decision {
    /// The command that brings it about.
    pub(crate) fn decide(self, image: &MetadataImage) -> Result<Command, ClusterError> {
        match self {
            Self::Register(registration) => Ok(Command::RegisterBroker(registration)),
            Self::CreateTopic { wanted, id } => decision::create_topic(image, wanted, id),
            Self::DeleteTopic { name } => decision::delete_topic(image, &name),
            Self::CreatePartitions { name, total } => {
                decision::create_partitions(image, &name, total)
            }
            Self::AlterConfigs { name, set, unset } => {
                decision::alter_configs(image, &name, set, unset)
            }
            Self::AllocateProducerIds => Ok(Command::AllocateProducerIds),
        }
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The metadata holds it from this revision on.
    pub(crate) revision: Revision,
    /// One for each decision.
    pub(crate) results: Vec<Result<(), ClusterError>>,
}

/// What became of a change of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeChanged {
    /// The tree holds it from this revision on.
    pub(crate) revision: Revision,
    pub(crate) outcome: Result<Applied, Refused>,
}

/// A broker says that it lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) broker: BrokerId,
    pub(crate) epoch: BrokerEpoch,
    /// The last revision it has applied.
    pub(crate) revision: Revision,
    pub(crate) wish: Wish,
}

/// What a broker wants of its future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Serve,
    ShutDown,
}

/// What a broker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeartbeatAnswer {
    pub(crate) fenced: bool,
    pub(crate) may_shut_down: bool,
}

/// The quorum, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quorum {
    pub(crate) cluster_id: String,
    pub(crate) raft_id: u64,
    pub(crate) leader: Option<u64>,
    pub(crate) term: u64,
    pub(crate) commit: u64,
    pub(crate) applied: u64,
    pub(crate) voters: Vec<u64>,
    pub(crate) learners: Vec<u64>,
}

/// Why a request was not answered as wished.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RequestError {
    /// Another coordinator leads, or none does.
    #[error("this coordinator does not lead; ask another one, or wait for an election")]
    NotLeader,
    /// It leads, but does not know yet what its predecessors did.
    #[error("this coordinator has just begun to lead; try again in a moment")]
    Starting,
    /// The queue is full, or too much is uncommitted.
    #[error("the coordinator has too many requests waiting; try again after a pause")]
    Busy,
    /// It was proposed, and leadership was lost before it was certain.
    #[error(
        "leadership was lost meanwhile; whether the change took effect is unknown: look before trying again"
    )]
    OutcomeUnknown,
    /// Not answered in time.
    #[error("the coordinator did not answer in time; whether a change took effect is unknown")]
    TimedOut,
    /// More than one request may ask for.
    #[error("a request may name {limit} topics at most; this one names {given}")]
    TooMany { given: usize, limit: usize },
    /// The command would not fit the log.
    #[error("the change is too large ({length} bytes); divide it")]
    TooLarge { length: usize },
    /// The caller knows of more than this coordinator.
    #[error(
        "revision {asked} is ahead of this coordinator's {held}: its data directory was replaced, or it was restored from a copy; restart the caller"
    )]
    Ahead { asked: Revision, held: Revision },
    /// The system has none to give, so that no id can be drawn.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The process ends.
    #[error("the coordinator is shutting down")]
    ShuttingDown,
    /// The tree has no such revision's successors any more.
    #[error(
        "changes after revision {asked} are no longer held, only those after {held}; begin again without a revision"
    )]
    Behind { asked: Revision, held: Revision },
    /// The metadata refuses.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The tree refuses.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Coded for RequestError {
    fn reason(&self) -> Reason {
        match self {
            Self::NotLeader => Reason::NotController,
            Self::Starting => Reason::CoordinatorNotAvailable,
            Self::Busy => Reason::Busy,
            Self::OutcomeUnknown | Self::TimedOut => Reason::RequestTimedOut,
            Self::TooMany { .. } | Self::TooLarge { .. } => Reason::InvalidRequest,
            Self::Ahead { .. } | Self::Behind { .. } => Reason::RevisionOutOfRange,
            Self::NoRandomness => Reason::UnknownServerError,
            Self::ShuttingDown => Reason::ShuttingDown,
            Self::Cluster(error) => error.reason(),
            Self::Tree(error) => error.reason(),
        }
    }
}
