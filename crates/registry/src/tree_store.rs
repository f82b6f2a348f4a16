//! The registry's store in the coordinators' tree: every key is a node below one other, every
//! transaction one `multi`.
//!
//! A commit whose answer is lost is neither reported as done nor as refused: whether it was done is
//! read from its [`Mark`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::tree::{
    Child, Expectation, Missing, NodePath, Operation, Transacted, TreeClient, TreeError, Wanted,
};
use kv_store::{Committed, KeyValue, KvError, KvStore, Transaction};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use types::{Coded as _, Reason};

mod health;
mod mark;
mod naming;

pub(crate) use health::StoreHealth;
use mark::Mark;
use naming::{key, name};

/// The node that all keys lie below.
const ROOT: &str = "/schema-registry";
/// Between two looks at whether the coordinators answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a request to the coordinators is repeated: time for one to be started again, and less
/// than clients wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// What the coordinators take as one command.
const MAX_COMMAND_BYTES: usize = 1024 * 1024 + 64 * 1024;
/// An operation beside its path and data, at most.
const OPERATION_BYTES: usize = 24;

/// A store whose callers wait on threads of their own.
#[derive(Clone, Debug)]
pub(crate) struct TreeStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runtime: Handle,
    tree: TreeClient,
    root: NodePath,
    /// This process's mark, once it has one. Whoever commits holds it.
    mark: Mutex<Option<Mark>>,
    /// Cancelled when nobody waits for answers any more.
    ended: CancellationToken,
}

impl TreeStore {
    /// A store of these coordinators, each request to which takes `timeout` at most.
    pub(crate) fn new(coordinators: &[String], timeout: Duration, runtime: Handle) -> Self {
        let tree = TreeClient::new(coordinators, timeout);
        #[expect(clippy::expect_used, reason = "a constant that a test reads")]
        let root = NodePath::new(ROOT).expect("it is a path");
        let (mark, ended) = (Mutex::default(), CancellationToken::new());
        Self { shared: Arc::new(Shared { runtime, tree, root, mark, ended }) }
    }

    /// Looks again and again whether the coordinators answer, until all waiting ends.
    pub(crate) async fn probe(&self, health: &StoreHealth) {
        let root = NodePath::root();
        while !self.shared.ended.is_cancelled() {
            let outcome = self.shared.tree.stat(&root).await;
            health.set(outcome.map(drop).map_err(|error| error.to_string()));
            sleep(PROBE_INTERVAL).await;
        }
    }

    /// Ends all waiting: the runtime is about to go, and threads that wait on it would keep it.
    pub(crate) fn end(&self) {
        self.shared.ended.cancel();
    }

    /// Waits on the calling thread, which is none of the runtime's own.
    fn wait<T>(&self, work: impl Future<Output = Result<T, KvError>>) -> Result<T, KvError> {
        let Shared { runtime, ended, .. } = &*self.shared;
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = ended.cancelled() => {
                    let message = "the registry is shutting down".to_owned();
                    Err(KvError::Remote { reason: Reason::ShuttingDown, message })
                }
                done = work => done,
            }
        })
    }
}

impl KvStore for TreeStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let Shared { tree, .. } = &*self.shared;
        let node = self.shared.node(key)?;
        self.wait(async {
            match patiently(async || tree.get(&node).await).await {
                Ok((data, _)) => Ok(Some(data.into())),
                Err(error) if error.reason() == Reason::NoNode => Ok(None),
                Err(error) => Err(remote(&error)),
            }
        })
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        let children = self.wait(self.shared.children(prefix, after, limit))?;
        let entry = |child: Child| {
            let key = key(&child.name).ok_or_else(|| {
                let message = format!("{ROOT}/{} is no key of a registry; delete it", child.name);
                KvError::Remote { reason: Reason::StorageError, message }
            })?;
            Ok((key, child.data.into()))
        };
        children.into_iter().map(entry).collect()
    }

    fn commit(&self, transaction: Transaction) -> Result<Committed, KvError> {
        let operations = self.shared.operations(&transaction)?;
        // One commit at a time. What a panic left behind is in doubt, and settled like all doubt.
        let mut mark = self.shared.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = self.wait(self.shared.commit(&mut mark, &operations))?;
        let Some(check) = refused else { return Ok(Committed::Yes) };
        let key = transaction.checks.into_iter().nth(check).map(|(key, _)| key);
        Ok(Committed::Conflict { key: key.unwrap_or_default() })
    }
}

impl Shared {
    fn node(&self, key: &[u8]) -> Result<NodePath, KvError> {
        self.root.child(&name(key)).map_err(|_long| KvError::KeyTooLong { length: key.len() })
    }

    /// Nodes in order, over as many answers as it takes.
    async fn children(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, KvError> {
        let mut wanted = Wanted {
            prefix: name(prefix),
            after: after.map(name).unwrap_or_default(),
            limit: 0,
            with_data: true,
        };
        let mut children: Vec<Child> = Vec::new();
        while children.len() < limit {
            wanted.limit = u32::try_from(limit - children.len()).unwrap_or(u32::MAX);
            let listing = match patiently(async || self.tree.list(&self.root, &wanted).await).await
            {
                Ok(listing) => listing,
                Err(error) if error.reason() == Reason::NoNode => break,
                Err(error) => return Err(remote(&error)),
            };
            // An answer that says that there are more and has none would be asked for again for ever.
            let next = listing.children.last().filter(|_| listing.more);
            let next = next.map(|last| last.name.clone());
            children.extend(listing.children);
            let Some(next) = next else { break };
            wanted.after = next;
        }
        Ok(children)
    }

    /// A transaction as the tree takes it: its checks first.
    fn operations(&self, transaction: &Transaction) -> Result<Vec<Operation>, KvError> {
        let Transaction { checks, deletes, puts } = transaction;
        let mut bytes = 0;
        let mut operations = Vec::with_capacity(checks.len() + deletes.len() + puts.len());
        let mut add = |operation: Operation, data: usize| {
            bytes += operation.path().as_str().len() + data + OPERATION_BYTES;
            operations.push(operation);
        };
        for (key, value) in checks {
            let expected = match value {
                Some(value) => Expectation::Data(value.clone().into()),
                None => Expectation::Absent,
            };
            let path = self.node(key)?;
            add(Operation::Check { path, expected }, value.as_ref().map_or(0, Vec::len));
        }
        for key in deletes {
            let (path, version) = (self.node(key)?, None);
            add(Operation::Delete { path, version, missing: Missing::Fine }, 0);
        }
        for (key, value) in puts {
            let (path, data) = (self.node(key)?, value.clone().into());
            add(Operation::Put { path, data }, value.len());
        }
        if MAX_COMMAND_BYTES < bytes {
            let message = format!(
                "{bytes} bytes are too many for one change of the coordinators' tree, which takes \
                 {MAX_COMMAND_BYTES}: make the schema shorter, or several of it that refer to each \
                 other"
            );
            return Err(KvError::Remote { reason: Reason::MessageTooLarge, message });
        }
        Ok(operations)
    }

    /// Does all operations or none; the place of the check that did not hold.
    async fn commit(
        &self,
        mark: &mut Option<Mark>,
        operations: &[Operation],
    ) -> Result<Option<usize>, KvError> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        loop {
            let error = match self.attempt(mark, operations).await {
                Ok(Attempt::Done) => return Ok(None),
                Ok(Attempt::Conflict { operation }) => return Ok(Some(operation)),
                Ok(Attempt::Unmarked { cause }) => {
                    *mark = None;
                    cause
                }
                Err(error) if may_pass(&error) => error,
                Err(error) => return Err(given_up(mark, error)),
            };
            if deadline < Instant::now() + pause {
                return Err(given_up(mark, error));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn attempt(
        &self,
        mark: &mut Option<Mark>,
        operations: &[Operation],
    ) -> Result<Attempt, TreeError> {
        let mark = match mark {
            Some(mark) => mark,
            None => mark.insert(Mark::make(&self.tree, &self.root).await?),
        };
        if mark.is_in_doubt() && mark.settle(&self.tree).await? {
            return Ok(Attempt::Done);
        }
        let marked = [&mark.move_on()[..], operations].concat();
        let before = marked.len() - operations.len();
        match self.tree.multi(&marked).await {
            Ok(Transacted::Done(_)) => {
                mark.moved_on();
                Ok(Attempt::Done)
            }
            Ok(Transacted::Refused { operation, cause }) => {
                mark.stayed();
                let Some(operation) = operation.checked_sub(before) else {
                    let unmarked = is_check(&cause);
                    return if unmarked { Ok(Attempt::Unmarked { cause }) } else { Err(cause) };
                };
                let refused = operations.get(operation);
                if matches!(refused, Some(Operation::Check { .. })) && is_check(&cause) {
                    return Ok(Attempt::Conflict { operation });
                }
                Err(cause)
            }
            Err(error @ (TreeError::OutcomeUnknown { .. } | TreeError::InvalidAnswer(_))) => {
                Err(error)
            }
            Err(error) => {
                mark.stayed();
                Err(error)
            }
        }
    }
}

/// What came of sending a transaction once.
enum Attempt {
    Done,
    /// Something is not as it was expected to be.
    Conflict {
        operation: usize,
    },
    /// Somebody deleted the mark, most likely with everything else.
    Unmarked {
        cause: TreeError,
    },
}

/// Whether a check of a transaction did not hold.
fn is_check(refused: &TreeError) -> bool {
    matches!(refused.reason(), Reason::BadVersion | Reason::NoNode | Reason::NodeExists)
}

/// Whether the coordinators may answer otherwise in a moment.
fn may_pass(error: &TreeError) -> bool {
    matches!(
        error.reason(),
        Reason::CoordinatorNotAvailable
            | Reason::LeaderNotAvailable
            | Reason::NotController
            | Reason::RequestTimedOut
            | Reason::ShuttingDown
            | Reason::Busy
    )
}

/// Asks again while the coordinators may answer otherwise in a moment, and patience lasts.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T, TreeError>) -> Result<T, TreeError> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = PAUSES.0;
    loop {
        match ask().await {
            Err(error) if may_pass(&error) && Instant::now() + pause <= deadline => {}
            answer => return answer,
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// The next commit begins with another mark.
fn given_up(mark: &mut Option<Mark>, error: TreeError) -> KvError {
    let in_doubt = mark.take().is_some_and(|mark| mark.is_in_doubt());
    remote(&if in_doubt { mark::unknown(error) } else { error })
}

fn remote(error: &TreeError) -> KvError {
    KvError::Remote { reason: error.reason(), message: error.to_string() }
}
