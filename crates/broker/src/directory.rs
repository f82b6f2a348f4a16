//! The way to the data directory: a bounded queue to the thread that writes in it.

mod answering;
mod bell;
mod company;
mod crowd;
mod faces;
mod upkeep;
mod writer;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use commit_log::{
    Append, AppendError, Appended, LogConfig, LogError, LogKey, LogReader, Room, UpkeepDone,
};
use disk::RealDisk;
use thiserror::Error;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use types::{Coded, LogId, Offset, Reason};

pub(crate) use writer::{Ended, Signals, Writer};

use self::bell::Bell;
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
        appending: Appending,
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

impl Request {
    /// What it appends, unless it is a change.
    const fn append(&self) -> Option<&Append> {
        if let Self::Append { append, .. } = self { Some(append) } else { None }
    }
}

type Changed = oneshot::Sender<Result<(), LogError>>;

/// The queue to the writer. The writer ends when every copy is dropped, and every place that was
/// taken in it.
#[derive(Clone, Debug)]
pub(crate) struct DirectoryQueue {
    requests: mpsc::Sender<Request>,
    bell: Arc<Bell>,
}

/// The queue to the writer, for requests: they may outlive the rest of a broker that stops, and
/// must not keep its writer from ending.
#[derive(Clone, Debug)]
pub(crate) struct WeakDirectoryQueue {
    requests: mpsc::WeakSender<Request>,
    bell: Arc<Bell>,
}

impl WeakDirectoryQueue {
    /// Whether the writer has work waiting for it.
    pub(crate) fn is_busy(&self) -> bool {
        let is_busy = |queue: mpsc::Sender<Request>| queue.capacity() < queue.max_capacity();
        self.requests.upgrade().is_some_and(is_busy)
    }

    /// Resolves if the writer dies; never if it ends once it has done everything, nor if nobody else
    /// holds the queue any more.
    pub(crate) async fn gone(&self) {
        match self.requests.upgrade() {
            Some(requests) => requests.closed().await,
            None => std::future::pending().await,
        }
    }

    /// The queue, unless the writer is ending.
    pub(crate) fn upgrade(&self) -> Option<DirectoryQueue> {
        let requests = self.requests.upgrade()?;
        Some(DirectoryQueue { requests, bell: Arc::clone(&self.bell) })
    }
}

/// Whoever gives appends to a log. One task answers all of them, so it must not be kept waiting.
pub(crate) trait Appender: Debug + Send + Sync {
    /// What became of the oldest append that was given and not answered.
    fn appended(self: Arc<Self>, answer: AppendResult);

    /// An append will not be answered: the writer died. It is written or not. May come before what
    /// older appends are answered.
    fn lost(self: Arc<Self>);
}

/// An append under way, of which its appender hears exactly once.
#[derive(Debug)]
pub(crate) struct Appending(Option<Arc<dyn Appender>>);

impl Appending {
    pub(crate) fn of(appender: Arc<impl Appender + 'static>) -> Self {
        Self(Some(appender))
    }

    fn answer(mut self, answer: AppendResult) {
        if let Some(appender) = self.0.take() {
            appender.appended(answer);
        }
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        if let Some(appender) = self.0.take() {
            appender.lost();
        }
    }
}

/// A place in the queue for one append.
#[derive(Debug)]
pub(crate) struct AppendSlot {
    permit: OwnedPermit<Request>,
    bell: Arc<Bell>,
}

impl DirectoryQueue {
    /// The queue for whoever may outlive the writer.
    pub(crate) fn downgrade(&self) -> WeakDirectoryQueue {
        let (requests, bell) = (self.requests.downgrade(), Arc::clone(&self.bell));
        WeakDirectoryQueue { requests, bell }
    }

    /// Waits for a place in the queue.
    pub(crate) async fn slot(&self) -> Result<AppendSlot, WriterGone> {
        let permit = self.requests.clone().reserve_owned().await.map_err(|_closed| WriterGone)?;
        Ok(AppendSlot { permit, bell: Arc::clone(&self.bell) })
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
        self.send(Request::SetRoom(room)).await
    }

    /// Has the writer do what is to be done every few seconds.
    pub(crate) async fn upkeep(&self) -> Result<(), WriterGone> {
        self.send(Request::Upkeep).await
    }

    async fn send(&self, request: Request) -> Result<(), WriterGone> {
        self.requests.send(request).await.map_err(|_closed| WriterGone)?;
        ring(&self.bell, &self.requests);
        Ok(())
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Request,
    ) -> Result<T, LogChangeError> {
        let (done, answer) = oneshot::channel();
        self.send(request(done)).await?;
        let answer = answer.await.map_err(|_gone| WriterGone)?;
        Ok(answer?)
    }
}

impl AppendSlot {
    /// Queues the append. The answers to one log's appends come in the order queued.
    pub(crate) fn append(self, append: Append, memory: OwnedSemaphorePermit, appending: Appending) {
        let requests = self.permit.send(Request::Append { append, appending, memory });
        ring(&self.bell, &requests);
    }
}

fn ring(bell: &Bell, requests: &mpsc::Sender<Request>) {
    bell.ring(requests.max_capacity() - requests.capacity());
}

#[cfg(test)]
pub(crate) mod testing {
    //! A writer that the test plays, and a way to append past all leaders.

    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// A queue with `room`, and what comes out of it.
    pub(crate) fn played_writer(room: usize) -> (DirectoryQueue, PlayedWriter) {
        let (requests, queue) = mpsc::channel(room);
        let bell = Arc::new(Bell::new(daemon::clock::Clock::new()));
        (DirectoryQueue { requests, bell }, PlayedWriter { queue })
    }

    pub(crate) struct PlayedWriter {
        queue: mpsc::Receiver<Request>,
    }

    impl PlayedWriter {
        /// The next append, taken up and not answered.
        pub(crate) async fn next_append(&mut self) -> Unanswered {
            match self.queue.recv().await {
                Some(Request::Append { appending, .. }) => Unanswered(appending),
                other => panic!("no append: {other:?}"),
            }
        }

        /// The next log that is to be removed, and how to say that it was.
        pub(crate) async fn next_removal(&mut self) -> (LogKey, impl FnOnce() + use<>) {
            match self.queue.recv().await {
                Some(Request::Delete { key, done }) => (key, || done.send(Ok(())).unwrap()),
                other => panic!("no removal: {other:?}"),
            }
        }

        /// Takes up nothing any more. What comes out of this keeps what is queued as it is.
        pub(crate) fn dies(mut self) -> impl Sized {
            self.queue.close();
            self
        }

        /// Whether anything waits in the queue.
        pub(crate) fn is_idle(&self) -> bool {
            self.queue.is_empty()
        }
    }

    /// Dropped, it is lost.
    pub(crate) struct Unanswered(Appending);

    impl Unanswered {
        pub(crate) fn answer(self, answer: AppendResult) {
            self.0.answer(answer);
        }
    }

    #[derive(Debug)]
    struct Waits(Mutex<Option<oneshot::Sender<AppendResult>>>);

    impl Waits {
        fn take(&self) -> Option<oneshot::Sender<AppendResult>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
        }
    }

    impl Appender for Waits {
        fn appended(self: Arc<Self>, answer: AppendResult) {
            self.take().map(|done| done.send(answer));
        }

        fn lost(self: Arc<Self>) {
            self.take();
        }
    }

    impl DirectoryQueue {
        /// Appends, and waits for the log's answer.
        pub(crate) async fn append(
            &self,
            append: Append,
            memory: OwnedSemaphorePermit,
        ) -> AppendResult {
            let (done, answer) = oneshot::channel();
            let appending = Appending::of(Arc::new(Waits(Mutex::new(Some(done)))));
            self.slot().await.unwrap().append(append, memory, appending);
            answer.await.unwrap()
        }
    }
}
