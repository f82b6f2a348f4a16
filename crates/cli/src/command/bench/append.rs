//! A commit log's directory, and a plain file, each written by one thread.

use std::fs::{File, remove_dir_all, remove_file};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use commit_log::{Append, AppendAt, Directory, DirectoryConfig, LogConfig, LogKey};
use disk::RealDisk;
use record::Batch;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use types::{DirectoryId, Durability, LeaderEpoch, LogId, Offset, PartitionId, TopicId};

use super::contest::Contender;
use super::cpu::Server;
use super::latency::{Latencies, Schedule};
use super::load::{Bound, Work};
use super::stage::CLIENT_THREADS;
use crate::exit::{Exit, Failure, with_causes};

/// Most appends that one group commit takes up, as the broker's default has it.
const GROUP: usize = 256;

/// Takes batches, and answers when they are as durable as they shall be.
pub(super) trait Sink: Sized + Send + 'static {
    /// An empty one.
    fn open(folder: &Path, durability: Durability, work: &Work) -> Result<Self, Failure>;

    /// Writes the same batch so many times and makes all of it durable at once.
    fn append(&mut self, batch: &Batch, times: usize) -> Result<(), Failure>;

    /// Removes everything.
    fn remove(self) -> Result<(), Failure>;
}

/// One side: a thread that writes.
pub(super) struct Appender<S> {
    work: Work,
    folder: PathBuf,
    durability: Durability,
    sink: Option<S>,
}

/// Ours.
pub(super) type Appending = Appender<CommitLog>;
/// Beside it.
pub(super) type AppendingPlainly = Appender<PlainFile>;

impl<S: Sink> Appender<S> {
    pub(super) fn new(work: Work, folder: &Path, durability: Durability) -> Self {
        Self { work, folder: folder.to_owned(), durability, sink: None }
    }

    /// Writes on a thread that may block.
    async fn write<T: Send + 'static>(
        &mut self,
        write: impl FnOnce(&mut S, &Work) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let work = self.work.clone();
        let mut sink = self.sink.take().ok_or_else(unprepared)?;
        let (sink, written) = spawn_blocking(move || {
            let written = write(&mut sink, &work);
            (sink, written)
        })
        .await
        .map_err(|died| Failure::new(Exit::Other, died.to_string()))?;
        self.sink = Some(sink);
        written
    }
}

impl<S: Sink> Contender for Appender<S> {
    fn server(&self) -> Server {
        Server::BesideClient(CLIENT_THREADS)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        self.sink = Some(S::open(&self.folder, self.durability, &self.work)?);
        Ok(())
    }

    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        self.write(move |sink, work| {
            let mut records = 0;
            while bound.allows_more_than(records) {
                sink.append(&work.full, 1)?;
                records += work.records_per_batch();
            }
            Ok(records)
        })
        .await
    }

    async fn pace(&mut self, schedule: Schedule) -> Result<Latencies, Failure> {
        self.write(move |sink, work| {
            let mut latencies = Latencies::new();
            let mut due: mpsc::Receiver<u64> = schedule.begin(work.clock())?;
            let mut taken = Vec::with_capacity(GROUP);
            // What came due during one commit goes into the next.
            while due.blocking_recv_many(&mut taken, GROUP) != 0 {
                sink.append(&work.single, taken.len())?;
                let done = work.clock().monotonic();
                for index in taken.drain(..) {
                    latencies.record(schedule.due(index), done);
                }
            }
            Ok(latencies)
        })
        .await
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        self.sink.take().map_or(Ok(()), S::remove)
    }
}

fn unprepared() -> Failure {
    Failure::new(Exit::Other, "a turn began without preparation")
}

/// A directory with one log.
pub(super) struct CommitLog {
    directory: Directory<RealDisk>,
    key: LogKey,
    work: Work,
}

impl Sink for CommitLog {
    fn open(folder: &Path, durability: Durability, work: &Work) -> Result<Self, Failure> {
        let (id, now) = (DirectoryId::from_bytes([1; 16]), work.clock().now());
        let config = DirectoryConfig::default();
        let directory = Directory::open(RealDisk, &folder.join("log"), config, id, now);
        let mut directory = directory.map_err(|error| failed(&error))?;
        let key = LogKey { topic_id: TopicId::from_bytes([2; 16]), partition: PartitionId::new(0) };
        let config = LogConfig { durability, ..LogConfig::default() };
        directory
            .create_log(key, LogId::from_bytes([3; 16]), config, Offset::ZERO)
            .map_err(|error| failed(&error))?;
        Ok(Self { directory, key, work: work.clone() })
    }

    fn append(&mut self, batch: &Batch, times: usize) -> Result<(), Failure> {
        let append = Append {
            log: self.key,
            epoch: LeaderEpoch::new(1),
            batches: vec![batch.clone()],
            at: AppendAt::End,
        };
        let appends = vec![append; times];
        for appended in self.directory.step(&appends, self.work.clock().now()) {
            appended.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    fn remove(self) -> Result<(), Failure> {
        let path = self.directory.path().to_owned();
        drop(self.directory);
        Ok(remove_dir_all(path)?)
    }
}

/// A file.
pub(super) struct PlainFile {
    path: PathBuf,
    file: File,
    end: u64,
    durability: Durability,
}

impl Sink for PlainFile {
    fn open(folder: &Path, durability: Durability, _work: &Work) -> Result<Self, Failure> {
        let path = folder.join("plain");
        let file = File::create_new(&path)?;
        Ok(Self { path, file, end: 0, durability })
    }

    fn append(&mut self, batch: &Batch, times: usize) -> Result<(), Failure> {
        for _ in 0..times {
            self.file.write_all_at(batch.bytes(), self.end)?;
            self.end += batch.bytes().len() as u64;
        }
        match self.durability {
            Durability::PageCache => Ok(()),
            Durability::Fsync => Ok(self.file.sync_data()?),
        }
    }

    fn remove(self) -> Result<(), Failure> {
        Ok(remove_file(self.path)?)
    }
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Other, with_causes(error))
}
