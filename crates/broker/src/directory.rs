//! The way to the data directory: a bounded queue to the thread that writes in it.

mod upkeep;
mod writer;

use std::io;
use std::path::PathBuf;

use commit_log::{
    Append, AppendError, Appended, LogConfig, LogError, LogKey, LogReader, Room, UpkeepDone,
};
use disk::RealDisk;
use thiserror::Error;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use types::{Coded, LogId, Offset, Reason};

pub(crate) use writer::{Ended, Signals, Writer};

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

impl Coded for LogChangeError {
    fn reason(&self) -> Reason {
        match self {
            Self::Gone(gone) => gone.reason(),
            Self::Directory(error) => error.reason(),
            Self::Damaged { .. } | Self::Random(_) => Reason::StorageError,
        }
    }
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
    /// How much room the disk has.
    SetRoom(Room),
    /// It is time for a round of upkeep.
    Upkeep,
    /// One was done.
    Upkept(UpkeepDone<RealDisk>),
}

type Changed = oneshot::Sender<Result<(), LogError>>;

/// The queue to the writer. The writer ends when every copy is dropped.
#[derive(Clone, Debug)]
pub(crate) struct DirectoryQueue {
    requests: mpsc::Sender<Request>,
}

/// The queue to the writer, for requests: they may outlive the rest of a broker that stops, and
/// must not keep its writer from ending.
#[derive(Clone, Debug)]
pub(crate) struct WeakDirectoryQueue {
    requests: mpsc::WeakSender<Request>,
}

impl WeakDirectoryQueue {
    /// Whether the writer has work waiting for it.
    pub(crate) fn is_busy(&self) -> bool {
        let is_busy = |queue: mpsc::Sender<Request>| queue.capacity() < queue.max_capacity();
        self.requests.upgrade().is_some_and(is_busy)
    }

    /// The queue, unless the writer is ending.
    pub(crate) fn upgrade(&self) -> Option<DirectoryQueue> {
        self.requests.upgrade().map(|requests| DirectoryQueue { requests })
    }
}

/// A place in the queue for one append.
#[derive(Debug)]
pub(crate) struct AppendSlot(OwnedPermit<Request>);

impl DirectoryQueue {
    /// The queue for whoever may outlive the writer.
    pub(crate) fn downgrade(&self) -> WeakDirectoryQueue {
        WeakDirectoryQueue { requests: self.requests.downgrade() }
    }

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

    /// Tells the writer how much room there is.
    pub(crate) async fn set_room(&self, room: Room) -> Result<(), WriterGone> {
        self.requests.send(Request::SetRoom(room)).await.map_err(|_closed| WriterGone)
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
