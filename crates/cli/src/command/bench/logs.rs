//! A commit log's directory as the broker drives it: one thread that steps, one that does upkeep.

use std::fs::remove_dir_all;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use commit_log::{
    Append, AppendAt, BallastConfig, Directory, DirectoryConfig, Fresh, JournalConfig, LogConfig,
    LogKey, Upkeep, UpkeepDone, UpkeepScope,
};
use disk::RealDisk;
use record::Batch;
use types::{Durability, LeaderEpoch, LogId, Offset, PartitionId, TopicId};

use super::append::{Sink, SinkSpec, below};
use super::load::Work;
use crate::exit::{Exit, Failure, with_causes};

const EPOCH: LeaderEpoch = LeaderEpoch::new(1);

/// A directory with logs that batches go to in turn.
pub(super) struct Logs {
    directory: Directory<RealDisk>,
    upkeep: UpkeepThread,
    partitions: u32,
    /// The log that is next.
    next: u32,
    work: Work,
}

impl Sink for Logs {
    fn open(spec: &SinkSpec, work: &Work) -> Result<Self, Failure> {
        let fresh = Fresh::from_random([[1; 16], [2; 16]]);
        let now = work.clock().now();
        let journal = JournalConfig::default();
        // As much as may wait in memory; nothing is allocated for it here.
        let ballast = BallastConfig { bytes: journal.write_buffers.bytes as u64, percent: 100 };
        let config = DirectoryConfig { journal: Some(journal), ballast, ..Default::default() };
        let path = below(spec, "logs");
        let directory = Directory::open(RealDisk, &path, config, fresh, now);
        let mut directory = directory.map_err(|error| failed(&error))?;
        for partition in 0..spec.partitions {
            let config = LogConfig { durability: spec.durability, ..LogConfig::default() };
            directory
                .create_log(key(partition), log_id(partition), config, Offset::ZERO)
                .map_err(|error| failed(&error))?;
        }
        let upkeep = UpkeepThread::start()?;
        let (partitions, work) = (spec.partitions, work.clone());
        let mut logs = Self { directory, upkeep, partitions, next: 0, work: work.clone() };
        if spec.durability == Durability::Fsync {
            // If many want the journal, it is there before anything is measured.
            logs.append(&work.single, partitions as usize)?;
            logs.upkeep.wait(&mut logs.directory)?;
        }
        Ok(logs)
    }

    fn append(&mut self, batch: &Batch, times: usize) -> Result<(), Failure> {
        let appends: Vec<_> = (0..times).map(|_| self.next_append(batch)).collect();
        for appended in self.directory.step(&appends, self.work.clock().now()) {
            appended.map_err(|error| failed(&error))?;
        }
        self.upkeep.take(&mut self.directory)?;
        if self.directory.needs_upkeep() {
            let upkeep = self.directory.begin_upkeep(self.work.clock().now(), UpkeepScope::Journal);
            if let Some(upkeep) = upkeep.map_err(|error| failed(&error))? {
                self.upkeep.begin(upkeep)?;
            }
        }
        Ok(())
    }

    fn remove(mut self) -> Result<(), Failure> {
        self.upkeep.wait(&mut self.directory)?;
        self.upkeep.end()?;
        let path = self.directory.path().to_owned();
        drop(self.directory);
        Ok(remove_dir_all(path)?)
    }
}

impl Logs {
    fn next_append(&mut self, batch: &Batch) -> Append {
        let log = key(self.next);
        self.next = (self.next + 1) % self.partitions;
        Append { log, epoch: EPOCH, batches: vec![batch.clone()], at: AppendAt::End }
    }
}

fn key(partition: u32) -> LogKey {
    LogKey { topic_id: TopicId::from_bytes([2; 16]), partition: PartitionId::new(partition) }
}

fn log_id(partition: u32) -> LogId {
    let mut id = [3; 16];
    for (byte, of_partition) in id.iter_mut().zip(partition.to_be_bytes()) {
        *byte = of_partition;
    }
    LogId::from_bytes(id)
}

/// Waits for the disk while steps go on.
struct UpkeepThread {
    work: SyncSender<Upkeep<RealDisk>>,
    done: Receiver<UpkeepDone<RealDisk>>,
    /// Rounds that were begun and not taken note of.
    under_way: u32,
    thread: JoinHandle<()>,
}

impl UpkeepThread {
    fn start() -> io::Result<Self> {
        // A directory has one round under way at most.
        let (work, rounds) = sync_channel::<Upkeep<RealDisk>>(1);
        let (told, done) = sync_channel(1);
        let run = move || {
            for upkeep in rounds {
                if told.send(upkeep.run()).is_err() {
                    return;
                }
            }
        };
        let thread = Builder::new().name("directory-upkeep".to_owned()).spawn(run)?;
        Ok(Self { work, done, under_way: 0, thread })
    }

    fn begin(&mut self, upkeep: Upkeep<RealDisk>) -> Result<(), Failure> {
        self.work.send(upkeep).map_err(|_gone| died())?;
        self.under_way += 1;
        Ok(())
    }

    /// Takes note of what was done by now.
    fn take(&mut self, directory: &mut Directory<RealDisk>) -> Result<(), Failure> {
        while let Ok(done) = self.done.try_recv() {
            self.under_way -= 1;
            directory.finish_upkeep(done).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// Takes note of everything, once it is done.
    fn wait(&mut self, directory: &mut Directory<RealDisk>) -> Result<(), Failure> {
        while self.under_way > 0 {
            let done = self.done.recv().map_err(|_gone| died())?;
            self.under_way -= 1;
            directory.finish_upkeep(done).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        drop(self.work);
        self.thread.join().map_err(|_panic| died())
    }
}

fn died() -> Failure {
    Failure::new(Exit::Other, "the thread for upkeep died")
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Other, with_causes(error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use daemon::clock::Clock;
    use tokio_util::sync::CancellationToken;

    use super::super::load::Shape;
    use super::*;

    #[test]
    fn many_logs_use_the_journal_from_the_first_measured_append_on() {
        let folder = tempfile::tempdir().unwrap();
        let spec = SinkSpec {
            folder: folder.path().to_owned(),
            partitions: 4,
            durability: Durability::Fsync,
        };
        let shape = Shape::of_batches(4096, Duration::ZERO).unwrap();
        let work = Work::new(shape, Clock::new(), CancellationToken::new()).unwrap();
        let mut logs = Logs::open(&spec, &work).unwrap();
        let journalled = || {
            let folder = folder.path().join("logs/journal");
            let file = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).min();
            let bytes = std::fs::read(file.unwrap()).unwrap();
            bytes.into_iter().filter(|byte| *byte == b'x').collect::<Vec<_>>().len()
        };
        assert_eq!(journalled(), 0);
        logs.append(&work.full, 4).unwrap();
        assert_eq!(journalled(), 4 * work.value.len());
        logs.remove().unwrap();
        assert!(!folder.path().join("logs").exists());
    }
}
