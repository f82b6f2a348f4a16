//! `hdfs://`. Nothing but this module knows hdfs-native; what it has to know of it:
//!
//! - No call to the NameNode ends by itself when no answer comes: each gets a limit here.
//! - A call whose answer was lost is an error like any other: [`answer`] tells them apart.
//! - A reader leaves out the last block of a file that is open, without a word, and panics beyond
//!   the end: every read is held against the file's length.
//! - `close` leaves the bytes in the DataNode's memory: `hsync` comes before it.
//! - A half-written file can be renamed. Only the protocol sees to it that none is.
//! - A listing of a file is that file.
//! - Its writers and futures take tens of kilobytes: they live on the heap.

mod answer;
mod url;

pub use url::HdfsUrl;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use hdfs_native::client::{FileStatus, WriteOptions};
use hdfs_native::file;
use hdfs_native::{Client, ClientBuilder, HdfsError};
use lake::LakePath;

use self::answer::{Asked, Words, is_broken, is_safe_mode};
use super::{Entry, EntryKind, FileStore, FileWriter, Operation, StoreError};

/// How long a call may take. It outlasts a NameNode that fails over or restarts at once.
const LIMIT: Duration = Duration::from_secs(45);
/// The same while HDFS is silent: whoever waited once for nothing need not wait that long again.
const LIMIT_IN_SILENCE: Duration = Duration::from_secs(5);
/// Attempts to connect within [`LIMIT`], a second apart. Where there are two NameNodes they are
/// tried in turn, and a turn counts twice.
const ATTEMPTS: u32 = 40;
/// How often something is asked of a NameNode in safe mode, a second apart: each restart leads
/// through it.
const SAFE_MODE_TRIES: u32 = 40;
/// Attempts to connect for the first call: somebody waits who may have mistyped the address.
const FIRST_ATTEMPTS: u32 = 3;

/// A lake in a directory of HDFS: `hdfs://`.
///
/// The user is `HADOOP_USER_NAME`, or else the system's; `HADOOP_CONF_DIR` is read if it is set.
#[derive(Clone, Debug)]
pub struct HdfsStore {
    client: Client,
    url: Arc<HdfsUrl>,
    /// The last call was not answered.
    silent: Arc<AtomicBool>,
    /// The last change was waited for until it was too long, and refused in safe mode.
    closed: Arc<AtomicBool>,
}

/// A file being written in HDFS.
pub struct HdfsWriter {
    store: HdfsStore,
    /// Away while a call is at work on it, and after one that failed.
    writer: Option<Box<file::FileWriter>>,
    path: LakePath,
    written: u64,
}

impl fmt::Debug for HdfsWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HdfsWriter")
            .field("path", &self.path)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

fn client(url: &HdfsUrl, attempts: u32) -> Result<Client, HdfsError> {
    let turns = if url.is_one_namenode() { attempts } else { 2 * attempts };
    ClientBuilder::new()
        .with_url(url.authority_url())
        .with_config([
            ("dfs.client.failover.max.attempts", turns.to_string()),
            ("dfs.client.failover.sleep.base.millis", "250".to_owned()),
            ("dfs.client.failover.sleep.max.millis", "1000".to_owned()),
        ])
        .build()
}

impl HdfsStore {
    /// The lake at `url`, once its NameNode has answered; that may take as long as `patience`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if no NameNode answers there, [`StoreError::Denied`] if this
    /// user may not look at the directory.
    pub async fn connect(url: HdfsUrl, patience: Duration) -> Result<Self, StoreError> {
        let url = Arc::new(url);
        let root = LakePath::root();
        let asked = Asked { operation: Operation::Stat, path: &root, url: &url };
        let build = |attempts| client(&url, attempts).map_err(|error| asked.answered(error));
        let first = Self {
            client: build(FIRST_ATTEMPTS)?,
            url: Arc::clone(&url),
            silent: Arc::default(),
            closed: Arc::default(),
        };
        match tokio::time::timeout(patience, first.stat(&root)).await {
            Ok(answer) => answer?,
            Err(_elapsed) => return Err(asked.unavailable(Words::silence(&url, patience))),
        };
        Ok(Self { client: build(ATTEMPTS)?, ..first })
    }

    fn at(&self, path: &LakePath) -> String {
        let root = self.url.path();
        if path.as_str().is_empty() { root.to_owned() } else { format!("{root}/{path}") }
    }

    /// Awaits a call, within limits.
    async fn within<T>(
        &self,
        operation: Operation,
        path: &LakePath,
        call: BoxFuture<'_, Result<T, HdfsError>>,
    ) -> Result<T, StoreError> {
        let asked = Asked { operation, path, url: &self.url };
        self.answer(asked, call).await?.map_err(|error| asked.answered(error))
    }

    /// The same for a call that can be made again: once the NameNode has left its safe mode.
    async fn ask<'a, T>(
        &self,
        operation: Operation,
        path: &LakePath,
        call: impl Fn() -> BoxFuture<'a, Result<T, HdfsError>>,
    ) -> Result<T, StoreError> {
        let asked = Asked { operation, path, url: &self.url };
        let mut left = if self.closed.load(Ordering::Relaxed) { 1 } else { SAFE_MODE_TRIES };
        loop {
            left -= 1;
            let answer = self.answer(asked, call()).await?;
            let is_refused = answer.as_ref().err().is_some_and(is_safe_mode);
            if is_refused && 0 < left {
                tokio::time::sleep(Duration::from_secs(1)).await;
            } else {
                self.closed.store(is_refused, Ordering::Relaxed);
                return answer.map_err(|error| asked.answered(error));
            }
        }
    }

    async fn answer<T>(
        &self,
        asked: Asked<'_>,
        call: BoxFuture<'_, Result<T, HdfsError>>,
    ) -> Result<Result<T, HdfsError>, StoreError> {
        let is_silent = self.silent.load(Ordering::Relaxed);
        let limit = if is_silent { LIMIT_IN_SILENCE } else { LIMIT };
        let answer = tokio::time::timeout(limit, call).await;
        self.silent.store(answer.is_err(), Ordering::Relaxed);
        if matches!(&answer, Ok(Err(HdfsError::IOError(error))) if is_broken(error)) {
            // It takes the client a moment to see that it has to connect anew; whoever tries again
            // at once meets the dead connection.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        answer.map_err(|_elapsed| asked.unknown(Words::silence(&self.url, limit)))
    }

    async fn status(
        &self,
        operation: Operation,
        path: &LakePath,
    ) -> Result<FileStatus, StoreError> {
        let place = self.at(path);
        self.within(operation, path, Box::pin(self.client.get_file_info(&place))).await
    }
}

fn kind(status: &FileStatus) -> EntryKind {
    if status.isdir { EntryKind::Directory } else { EntryKind::File { len: len(status.length) } }
}

fn len(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl FileStore for HdfsStore {
    type Writer = HdfsWriter;

    async fn create(&self, path: &LakePath) -> Result<HdfsWriter, StoreError> {
        let place = self.at(path);
        let options = WriteOptions::default().create_parent(false);
        let writer = self
            .ask(Operation::Create, path, || {
                Box::pin(async { self.client.create(&place, &options).await.map(Box::new) })
            })
            .await?;
        let (store, path) = (self.clone(), path.clone());
        Ok(HdfsWriter { store, writer: Some(writer), path, written: 0 })
    }

    async fn rename(&self, from: &LakePath, to: &LakePath) -> Result<(), StoreError> {
        let (source, target) = (self.at(from), self.at(to));
        let renamed = self
            .ask(Operation::Rename, from, || Box::pin(self.client.rename(&source, &target, false)))
            .await;
        match renamed {
            Err(StoreError::AlreadyExists { .. }) => {
                Err(StoreError::AlreadyExists { path: to.clone() })
            }
            // A file in the place of a directory, or the other way round, has no error of its own.
            Err(error @ StoreError::Failed { .. }) => match self.stat(to).await {
                Ok(Some(_)) => Err(StoreError::AlreadyExists { path: to.clone() }),
                Ok(None) | Err(_) => Err(error),
            },
            answer => answer,
        }
    }

    async fn make_directories(&self, path: &LakePath) -> Result<(), StoreError> {
        let place = self.at(path);
        self.ask(Operation::MakeDirectories, path, || {
            Box::pin(self.client.mkdirs(&place, 0o755, true))
        })
        .await
    }

    async fn list(&self, path: &LakePath) -> Result<Vec<Entry>, StoreError> {
        let place = self.at(path);
        let call = Box::pin(self.client.list_status(&place, false));
        let listed = self.within(Operation::List, path, call).await?;
        let mut entries = Vec::with_capacity(listed.len());
        for status in &listed {
            let Some(name) = status.path.strip_prefix(&place).and_then(|it| it.strip_prefix('/'))
            else {
                let asked = Asked { operation: Operation::List, path, url: &self.url };
                return Err(asked.failed(Words::no_directory()));
            };
            entries.push(Entry { name: name.to_owned(), kind: kind(status) });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    async fn stat(&self, path: &LakePath) -> Result<Option<EntryKind>, StoreError> {
        match self.status(Operation::Stat, path).await {
            Ok(status) => Ok(Some(kind(&status))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, path: &LakePath, position: u64, max: usize) -> Result<Bytes, StoreError> {
        let status = self.status(Operation::Read, path).await?;
        let asked = Asked { operation: Operation::Read, path, url: &self.url };
        if status.isdir {
            return Err(asked.failed(Words::directory()));
        }
        let begin = usize::try_from(position).unwrap_or(usize::MAX);
        let wanted = status.length.saturating_sub(begin).min(max);
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let place = self.at(path);
        let call = Box::pin(async {
            let reader = self.client.read(&place).await?;
            let there = reader.file_length();
            if there < status.length {
                return Ok((there, Bytes::new()));
            }
            let piece = reader.read_range(begin, wanted).await?;
            Ok((begin.saturating_add(piece.len()), piece))
        });
        let (there, piece) = self.within(Operation::Read, path, call).await?;
        if piece.len() == wanted {
            Ok(piece)
        } else {
            Err(asked.failed(Words::still_open(there, status.length)))
        }
    }

    async fn delete(&self, path: &LakePath) -> Result<(), StoreError> {
        let place = self.at(path);
        let deleted =
            self.ask(Operation::Delete, path, || Box::pin(self.client.delete(&place, true))).await;
        match deleted {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Nothing is left to do: a NameNode answers once its journal has the change.
    async fn sync_directory(&self, _path: &LakePath) -> Result<(), StoreError> {
        Ok(())
    }
}

impl HdfsWriter {
    fn take(&mut self, operation: Operation) -> Result<Box<file::FileWriter>, StoreError> {
        let asked = Asked { operation, path: &self.path, url: &self.store.url };
        self.writer.take().ok_or_else(|| asked.failed(Words::broken()))
    }
}

impl FileWriter for HdfsWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let mut writer = self.take(Operation::Write)?;
        let call = Box::pin(async {
            let count = Box::pin(writer.write_bytes(bytes)).await?;
            Ok((writer, count))
        });
        let (writer, count) = self.store.within(Operation::Write, &self.path, call).await?;
        self.writer = Some(writer);
        self.written += len(count);
        Ok(())
    }

    async fn close(mut self) -> Result<(), StoreError> {
        let mut writer = self.take(Operation::Close)?;
        let (store, path, written) = (&self.store, &self.path, self.written);
        let call = Box::pin(async move {
            if 0 < written {
                writer.hsync().await?;
            }
            Box::pin(writer.close()).await
        });
        store.within(Operation::Close, path, call).await?;
        let there = len(store.status(Operation::Close, path).await?.length);
        if there == written {
            return Ok(());
        }
        let asked = Asked { operation: Operation::Close, path, url: &store.url };
        Err(asked.failed(Words::other_length(there, written)))
    }
}
