//! A commit log's directory, and plain files, each written by one thread.

use std::path::{Path, PathBuf};

use measure::{Latencies, Server};
use record::Batch;
use tokio::task::spawn_blocking;
use types::Durability;

use super::contest::{Contender, Pace, Saturate};
use super::load::{Bound, Work};
use super::logs::Logs;
use super::raw::RawFiles;
use super::stage::CLIENT_THREADS;
use crate::exit::{Exit, Failure};

/// Most appends that one group commit takes up, as the broker's default has it.
const GROUP: usize = 1024;

/// What a sink is made for.
#[derive(Clone, Debug)]
pub(super) struct SinkSpec {
    /// Where it is made.
    pub(super) folder: PathBuf,
    /// Logs or files that batches go to in turn.
    pub(super) partitions: u32,
    /// When an append has succeeded.
    pub(super) durability: Durability,
}

/// Takes batches, and answers when they are as durable as they shall be.
pub(super) trait Sink: Sized + Send + 'static {
    /// An empty one.
    fn open(spec: &SinkSpec, work: &Work) -> Result<Self, Failure>;

    /// Writes the same batch so many times, each time to the next partition, and makes all of it
    /// durable at once.
    fn append(&mut self, batch: &Batch, times: usize) -> Result<(), Failure>;

    /// Removes everything.
    fn remove(self) -> Result<(), Failure>;
}

/// One side: a thread that writes.
pub(super) struct Appender<S> {
    work: Work,
    spec: SinkSpec,
    sink: Option<S>,
    written: Written,
}

/// How long what was written stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    ForATurn,
    ForAllTurns,
}

/// Ours.
pub(super) type Appending = Appender<Logs>;
/// Beside it.
pub(super) type AppendingPlainly = Appender<RawFiles>;

impl<S: Sink> Appender<S> {
    /// One partition begins anew in each turn; many stay, since a thousand take longer to make than
    /// a turn.
    pub(super) const fn new(work: Work, spec: SinkSpec) -> Self {
        let written = if spec.partitions == 1 { Written::ForATurn } else { Written::ForAllTurns };
        Self { work, spec, sink: None, written }
    }

    /// Beside one whose partitions stay, however few: whoever removes what it wrote has pages at hand
    /// that it had before, where the other has to find new ones.
    pub(super) const fn lasting(work: Work, spec: SinkSpec) -> Self {
        Self { work, spec, sink: None, written: Written::ForAllTurns }
    }

    /// Writes on a thread that may block.
    async fn write<T: Send + 'static>(
        &mut self,
        write: impl FnOnce(&mut S, &Work) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let work = self.work.clone();
        let mut sink = self.sink.take().ok_or_else(unprepared)?;
        let (sink, written) = blocking(move || {
            let written = write(&mut sink, &work);
            Ok((sink, written))
        })
        .await?;
        self.sink = Some(sink);
        written
    }

    /// Removes everything.
    ///
    /// # Errors
    ///
    /// What the disk reports.
    pub(super) async fn end(&mut self) -> Result<(), Failure> {
        match self.sink.take() {
            Some(sink) => blocking(move || sink.remove()).await,
            None => Ok(()),
        }
    }
}

/// Does something on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = spawn_blocking(work).await;
    done.map_err(|died| Failure::new(Exit::Other, died.to_string()))?
}

impl<S: Sink> Contender for Appender<S> {
    fn server(&self) -> Server {
        Server::BesideClient(CLIENT_THREADS)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        if self.sink.is_none() {
            let (spec, work) = (self.spec.clone(), self.work.clone());
            self.sink = Some(blocking(move || S::open(&spec, &work)).await?);
        }
        Ok(())
    }

    async fn clean_up(&mut self) -> Result<(), Failure> {
        match self.written {
            Written::ForATurn => self.end().await,
            Written::ForAllTurns => Ok(()),
        }
    }
}

impl<S: Sink> Saturate for Appender<S> {
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure> {
        let times = self.spec.partitions;
        self.write(move |sink, work| {
            let mut records = 0;
            while bound.allows_more_than(records) {
                sink.append(&work.full, times as usize)?;
                records += work.records_per_batch() * u64::from(times);
            }
            Ok(records)
        })
        .await
    }
}

impl<S: Sink> Pace for Appender<S> {
    async fn pace(&mut self) -> Result<Latencies, Failure> {
        self.write(move |sink, work| {
            let schedule = work.schedule();
            let mut latencies = Latencies::new();
            let mut due = schedule.begin(work.clock())?;
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
}

fn unprepared() -> Failure {
    Failure::new(Exit::Other, "a turn began without preparation")
}

/// The folder of a sink, which nobody else has.
pub(super) fn below(spec: &SinkSpec, name: &str) -> PathBuf {
    Path::new(&spec.folder).join(name)
}
