use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use lake::LakePath;

use super::{Entry, EntryKind, FileStore, FileWriter, Operation, StoreError};

/// A store whose every call is answered within a limit, if only by [`StoreError::Unknown`].
#[derive(Clone, Debug)]
pub struct Deadline<T> {
    inner: T,
    limit: Duration,
}

/// A file being written under a [`Deadline`].
#[derive(Debug)]
pub struct DeadlineWriter<W> {
    inner: W,
    limit: Duration,
    path: LakePath,
}

impl<S: FileStore> Deadline<S> {
    /// A store as every run and verification uses it: an answer within a minute. That is long for
    /// a store at work, and short for a person who waits on one that is not.
    pub(crate) fn usual(inner: S) -> Self {
        Self::new(inner, Duration::from_mins(1))
    }
}

impl<T> Deadline<T> {
    /// Gives every call of `inner` at most `limit`.
    pub fn new(inner: T, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

async fn within<T>(
    limit: Duration,
    operation: Operation,
    path: &LakePath,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(elapsed) => {
            Err(StoreError::Unknown { operation, path: path.clone(), source: Box::new(elapsed) })
        }
    }
}

impl<S: FileStore> FileStore for Deadline<S> {
    type Writer = DeadlineWriter<S::Writer>;

    async fn create(&self, path: &LakePath) -> Result<Self::Writer, StoreError> {
        let inner = within(self.limit, Operation::Create, path, self.inner.create(path)).await?;
        Ok(DeadlineWriter { inner, limit: self.limit, path: path.clone() })
    }

    async fn rename(&self, from: &LakePath, to: &LakePath) -> Result<(), StoreError> {
        within(self.limit, Operation::Rename, from, self.inner.rename(from, to)).await
    }

    async fn make_directories(&self, path: &LakePath) -> Result<(), StoreError> {
        let call = self.inner.make_directories(path);
        within(self.limit, Operation::MakeDirectories, path, call).await
    }

    async fn list(&self, path: &LakePath) -> Result<Vec<Entry>, StoreError> {
        within(self.limit, Operation::List, path, self.inner.list(path)).await
    }

    async fn stat(&self, path: &LakePath) -> Result<Option<EntryKind>, StoreError> {
        within(self.limit, Operation::Stat, path, self.inner.stat(path)).await
    }

    async fn read(&self, path: &LakePath, position: u64, max: usize) -> Result<Bytes, StoreError> {
        within(self.limit, Operation::Read, path, self.inner.read(path, position, max)).await
    }

    async fn delete(&self, path: &LakePath) -> Result<(), StoreError> {
        within(self.limit, Operation::Delete, path, self.inner.delete(path)).await
    }

    async fn sync_directory(&self, path: &LakePath) -> Result<(), StoreError> {
        let call = self.inner.sync_directory(path);
        within(self.limit, Operation::SyncDirectory, path, call).await
    }
}

impl<W: FileWriter> FileWriter for DeadlineWriter<W> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        within(self.limit, Operation::Write, &self.path, self.inner.write(bytes)).await
    }

    async fn close(self) -> Result<(), StoreError> {
        within(self.limit, Operation::Close, &self.path, self.inner.close()).await
    }
}
