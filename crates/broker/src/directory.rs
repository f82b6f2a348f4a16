//! The one writer of the data directory: a thread that takes requests off a bounded queue and
//! gives them to [`Directory`], many at a time, so that one sync answers all who wait for it.

use std::io;
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};

use commit_log::{
    Append, AppendError, Appended, Directory, LogConfig, LogError, LogKey, LogReader,
};
use daemon::clock::Clock;
use disk::RealDisk;
use thiserror::Error;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{error, warn};
use types::{Coded, LogId, Offset, Reason};

use crate::identity::random_id;

/// Reads one partition's log, without waiting for the writer.
pub(crate) type Log = LogReader<RealDisk>;

/// What the log answered to one append.
pub(crate) type AppendResult = Result<Appended, AppendError>;

/// The writer has stopped: the broker is shutting down, or the thread died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the writer of the data directory has stopped; restart the broker")]
pub(crate) struct WriterGone;

impl Coded for WriterGone {
    fn reason(&self) -> Reason {
        Reason::StorageError
    }
}

/// A log could not be made, changed or removed.
#[derive(Debug, Error)]
pub(crate) enum LogChangeError {
    /// There is nobody to do it.
    #[error(transparent)]
    Gone(#[from] WriterGone),
    /// The directory refused.
    #[error(transparent)]
    Directory(#[from] LogError),
    /// Recovery found that records are missing which a sync had promised.
    #[error(
        "{} is damaged: records from offset {lost_from} on are missing or wrong; bring the file \
         back from where it is whole and restart the broker, or delete the topic", path.display()
    )]
    Damaged {
        /// The file, or the folder if a file is missing.
        path: PathBuf,
        /// First offset that is not there.
        lost_from: Offset,
    },
    /// A new log needs an id.
    #[error("no random bytes: {0}")]
    Random(#[source] io::Error),
}

#[derive(Debug)]
enum Request {
    Append {
        append: Append,
        done: oneshot::Sender<AppendResult>,
        /// Given back once the bytes are no longer needed.
        memory: OwnedSemaphorePermit,
    },
    Create {
        key: LogKey,
        id: LogId,
        config: LogConfig,
        done: oneshot::Sender<Result<Log, LogError>>,
    },
    Configure {
        key: LogKey,
        config: LogConfig,
        done: Changed,
    },
    Delete {
        key: LogKey,
        done: Changed,
    },
    AdvanceStart {
        key: LogKey,
        start: Offset,
        done: Changed,
    },
    Upkeep,
}

type Changed = oneshot::Sender<Result<(), LogError>>;

/// The queue to the writer. The writer ends when every copy is dropped.
#[derive(Clone, Debug)]
pub(crate) struct DirectoryQueue {
    requests: mpsc::Sender<Request>,
}

/// A place in the queue for one append.
#[derive(Debug)]
pub(crate) struct AppendSlot(OwnedPermit<Request>);

impl DirectoryQueue {
    /// Waits for a place in the queue.
    pub(crate) async fn slot(&self) -> Result<AppendSlot, WriterGone> {
        let permit = self.requests.clone().reserve_owned().await;
        permit.map(AppendSlot).map_err(|_closed| WriterGone)
    }

    /// Makes an empty log, durably.
    pub(crate) async fn create_log(
        &self,
        key: LogKey,
        config: LogConfig,
    ) -> Result<Log, LogChangeError> {
        let id = LogId::from_bytes(random_id().map_err(LogChangeError::Random)?);
        self.ask(|done| Request::Create { key, id, config, done }).await
    }

    /// Changes how a log is kept.
    pub(crate) async fn configure(
        &self,
        key: LogKey,
        config: LogConfig,
    ) -> Result<(), LogChangeError> {
        self.ask(|done| Request::Configure { key, config, done }).await
    }

    /// Removes a log, durably.
    pub(crate) async fn delete_log(&self, key: LogKey) -> Result<(), LogChangeError> {
        self.ask(|done| Request::Delete { key, done }).await
    }

    /// Lets a log begin at `start`, durably, and removes the files wholly before it.
    pub(crate) async fn advance_log_start(
        &self,
        key: LogKey,
        start: Offset,
    ) -> Result<(), LogChangeError> {
        self.ask(|done| Request::AdvanceStart { key, start, done }).await
    }

    /// Has the writer do what is to be done every few seconds.
    pub(crate) async fn upkeep(&self) -> Result<(), WriterGone> {
        self.requests.send(Request::Upkeep).await.map_err(|_closed| WriterGone)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Request,
    ) -> Result<T, LogChangeError> {
        let (done, answer) = oneshot::channel();
        self.requests.send(request(done)).await.map_err(|_closed| WriterGone)?;
        let answer = answer.await.map_err(|_gone| WriterGone)?;
        Ok(answer?)
    }
}

impl AppendSlot {
    /// Queues the append. The answers to one partition's appends come in the order queued.
    pub(crate) fn append(
        self,
        append: Append,
        memory: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<AppendResult> {
        let (done, answer) = oneshot::channel();
        self.0.send(Request::Append { append, done, memory });
        answer
    }
}

/// The writer's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread over an open directory. At most `queue` requests wait for it, and it
    /// takes up at most `group_commit` of them together.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub(crate) fn start(
        directory: Directory<RealDisk>,
        clock: Clock,
        queue: usize,
        group_commit: usize,
    ) -> io::Result<(DirectoryQueue, Self)> {
        let (requests, queue) = mpsc::channel(queue);
        let thread = Builder::new()
            .name("directory-writer".to_owned())
            .spawn(move || write(directory, queue, clock, group_commit))?;
        Ok((DirectoryQueue { requests }, Self { thread }))
    }

    /// Waits until everything queued is written and the directory is closed, its lock released.
    /// Blocks: drop every [`DirectoryQueue`] first, and do not call it on a runtime's thread.
    pub(crate) fn join(self) -> Result<(), WriterGone> {
        self.thread.join().map_err(|_panic| WriterGone)
    }
}

fn write(
    mut directory: Directory<RealDisk>,
    mut queue: mpsc::Receiver<Request>,
    clock: Clock,
    group_commit: usize,
) {
    let mut taken = Vec::with_capacity(group_commit);
    let mut group = Group::default();
    while queue.blocking_recv_many(&mut taken, group_commit) != 0 {
        for request in taken.drain(..) {
            match request {
                Request::Append { append, done, memory } => group.push(append, done, memory),
                // What was queued before a change happens before it.
                Request::Create { key, id, config, done } => {
                    group.commit(&mut directory, clock);
                    answer(done, directory.create_log(key, id, config, Offset::ZERO));
                }
                Request::Configure { key, config, done } => {
                    group.commit(&mut directory, clock);
                    answer(done, directory.set_config(key, config));
                }
                Request::Delete { key, done } => {
                    group.commit(&mut directory, clock);
                    answer(done, directory.delete_log(key));
                }
                Request::AdvanceStart { key, start, done } => {
                    group.commit(&mut directory, clock);
                    answer(done, directory.advance_log_start(key, start));
                }
                Request::Upkeep => {
                    group.commit(&mut directory, clock);
                    report("upkeep of the data directory failed", directory.upkeep(clock.now()));
                }
            }
        }
        group.commit(&mut directory, clock);
    }
    report("data directory was not closed cleanly", directory.close());
}

fn report(what: &'static str, done: Result<(), LogError>) {
    if let Err(failure) = done {
        error!(error = &failure as &dyn std::error::Error, "{what}");
    }
}

/// Whoever asked may have given up; its answer is then of no use to anyone.
fn answer<T>(done: oneshot::Sender<T>, outcome: T) {
    drop(done.send(outcome));
}

/// Appends that become durable together.
#[derive(Debug, Default)]
struct Group {
    appends: Vec<Append>,
    waiting: Vec<(oneshot::Sender<AppendResult>, OwnedSemaphorePermit)>,
}

impl Group {
    fn push(
        &mut self,
        append: Append,
        done: oneshot::Sender<AppendResult>,
        memory: OwnedSemaphorePermit,
    ) {
        self.appends.push(append);
        self.waiting.push((done, memory));
    }

    fn commit(&mut self, directory: &mut Directory<RealDisk>, clock: Clock) {
        if self.appends.is_empty() {
            return;
        }
        let outcomes = directory.step(&self.appends, clock.now());
        self.appends.clear();
        for ((done, memory), outcome) in self.waiting.drain(..).zip(outcomes) {
            drop(memory);
            // Logged here, since one who asked for no acks does not hear of it.
            match &outcome {
                Ok(_) => {}
                Err(failure) if failure.reason() == Reason::StorageError => {
                    error!(error = failure as &dyn std::error::Error, "append failed");
                }
                Err(failure) => {
                    warn!(error = failure as &dyn std::error::Error, "append was refused");
                }
            }
            answer(done, outcome);
        }
    }
}
