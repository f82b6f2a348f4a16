//! Where a lake lives: the few file operations the protocol is made of.
//!
//! # The law
//!
//! 1. **Names are atomic.** `create` and `rename` never replace anything: of several that want one
//!    name, exactly one gets it. A rename moves a file or a directory with all it holds, at once.
//! 2. **Parents are never made by the way.** `create` and `rename` into a directory that does not
//!    exist fail with `NotFound`. Garbage collection relies on it: a run whose staging directory
//!    was taken away cannot write there again.
//! 3. **A closed file lasts.** When `close` has returned, the file's bytes survive a power loss. A
//!    file that was not closed, or whose close failed, is worth nothing: delete it, stage anew.
//! 4. **A name lasts once its directory is synced.** After `sync_directory(d)` every name made,
//!    moved or removed in `d` before the call stays so across a power loss.
//! 5. **No answer is an answer.** [`StoreError::Unknown`] says that the operation may have taken
//!    effect, or may yet: look before doing anything that depends on it. Every other error says
//!    that it did not.
//! 6. **Every call ends.** [`Deadline`] sees to it, around whatever store a run is given.

mod deadline;
mod error;
mod hdfs;
mod local;
mod place;

pub use deadline::{Deadline, DeadlineWriter};
pub use error::{Operation, StoreError};
pub use hdfs::{HdfsStore, HdfsUrl, HdfsWriter};
pub use local::{LocalStore, LocalWriter};
pub use place::LakePlace;

use std::future::Future;

use bytes::Bytes;
use lake::LakePath;

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file of so many bytes.
    File {
        /// Its length.
        len: u64,
    },
    /// A directory.
    Directory,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
}

/// The file operations of a lake. The module's documentation states the law.
pub trait FileStore: Clone + Send + Sync + 'static {
    /// A file being written.
    type Writer: FileWriter;

    /// Creates a file in an existing directory.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `BeingWritten` if the name is taken, `NotFound` without its directory.
    fn create(
        &self,
        path: &LakePath,
    ) -> impl Future<Output = Result<Self::Writer, StoreError>> + Send;

    /// Moves a file or directory to a name that is free.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if `to` is taken, `NotFound` without `from` or without `to`'s directory.
    fn rename(
        &self,
        from: &LakePath,
        to: &LakePath,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes a directory and those above it; it is no error if they are there.
    ///
    /// # Errors
    ///
    /// What the store reports.
    fn make_directories(
        &self,
        path: &LakePath,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What a directory holds, by name.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none.
    fn list(&self, path: &LakePath) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;

    /// What `path` stands for; `None` for nothing.
    ///
    /// # Errors
    ///
    /// What the store reports.
    fn stat(
        &self,
        path: &LakePath,
    ) -> impl Future<Output = Result<Option<EntryKind>, StoreError>> + Send;

    /// Up to `max` bytes of a file from `position` on; none at its end.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such file.
    fn read(
        &self,
        path: &LakePath,
        position: u64,
        max: usize,
    ) -> impl Future<Output = Result<Bytes, StoreError>> + Send;

    /// Deletes a file, or a directory with all it holds; it is no error if it is gone.
    ///
    /// # Errors
    ///
    /// What the store reports.
    fn delete(&self, path: &LakePath) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes the names in a directory last.
    ///
    /// # Errors
    ///
    /// What the store reports; then no name in it may be relied on.
    fn sync_directory(
        &self,
        path: &LakePath,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A file that was created and not yet closed. Dropping it leaves a file that is worth nothing.
pub trait FileWriter: Send + 'static {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    ///
    /// What the store reports; the file is then worth nothing.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes the bytes last, and closes.
    ///
    /// # Errors
    ///
    /// What the store reports; the file is then worth nothing.
    fn close(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// How often an operation that may be repeated is tried when no answer comes.
const TRIES: u32 = 4;

/// Repeats an operation that does no harm when done twice, while no answer comes.
pub(crate) async fn insist<T, F>(mut operation: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut left = TRIES;
    loop {
        left -= 1;
        match operation().await {
            Err(StoreError::Unknown { .. }) if 0 < left => {}
            answer => return answer,
        }
    }
}

/// A directory's entries; none if there is no such directory.
pub(crate) async fn list_or_none<S: FileStore>(
    store: &S,
    path: &LakePath,
) -> Result<Vec<Entry>, StoreError> {
    match insist(|| store.list(path)).await {
        Err(StoreError::NotFound { .. }) => Ok(Vec::new()),
        answer => answer,
    }
}

/// A whole small file.
pub(crate) async fn read_whole<S: FileStore>(
    store: &S,
    path: &LakePath,
) -> Result<Vec<u8>, StoreError> {
    const PIECE: usize = 4 * 1024 * 1024;
    let mut whole = Vec::new();
    loop {
        let position = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        let piece = insist(|| store.read(path, position, PIECE)).await?;
        if piece.is_empty() {
            return Ok(whole);
        }
        whole.extend_from_slice(&piece);
    }
}

/// Makes a directory that survives a power loss, with those above it.
pub(crate) async fn make_lasting<S: FileStore>(
    store: &S,
    path: &LakePath,
) -> Result<(), StoreError> {
    insist(|| store.make_directories(path)).await?;
    let mut above = path.parent();
    while let Some(directory) = above {
        insist(|| store.sync_directory(&directory)).await?;
        above = directory.parent();
    }
    Ok(())
}
