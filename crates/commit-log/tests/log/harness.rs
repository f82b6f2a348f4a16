//! A directory with a log or two on a faulty disk, and words for what is done to it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use commit_log::{
    Append, AppendAt, AppendError, Appended, BallastConfig, Directory, DirectoryConfig,
    DirectoryError, Fresh, JournalConfig, LogConfig, LogError, LogKey, LogReader, Recovered,
    UpkeepScope, WriteBufferConfig,
};
use disk::{Disk, FaultyDisk, Operation, PlannedFault};
use record::{Batch, BatchBuilder, BatchProducer, Batches, Compression};
use types::{DirectoryId, Durability, LeaderEpoch, LogId, Offset, PartitionId, Timestamp, TopicId};

/// One record as a reader finds it: its offset, the epoch of its batch, and what it says.
pub(crate) type Found = (u64, u32, u64);

pub(crate) const DATA: &str = "/data";

pub(crate) const FRESH: Fresh = Fresh::from_random([[1; 16], *b"a journal's mark"]);

pub(crate) fn offset(raw: u64) -> Offset {
    Offset::new(raw)
}

pub(crate) fn millis(raw: i64) -> Timestamp {
    Timestamp::from_millis(raw)
}

pub(crate) fn key(partition: u32) -> LogKey {
    LogKey { topic_id: TopicId::from_bytes([9; 16]), partition: PartitionId::new(partition) }
}

pub(crate) fn folder(partition: u32) -> PathBuf {
    Path::new(DATA).join(key(partition).to_string())
}

/// Three small batches fill a segment; each batch but the first of a segment is indexed.
pub(crate) fn small_segments(durability: Durability) -> LogConfig {
    LogConfig {
        segment_bytes: 300,
        segment_ms: 1000,
        index_interval_bytes: 1,
        durability,
        ..LogConfig::default()
    }
}

pub(crate) fn one_segment(durability: Durability) -> LogConfig {
    LogConfig { segment_bytes: 1 << 20, ..small_segments(durability) }
}

/// Some five small batches fill one of its files. What it takes is in the logs at once.
pub(crate) fn small_journal() -> JournalConfig {
    JournalConfig {
        files: NonZeroUsize::new(3).unwrap(),
        file_bytes: 700,
        large_append_bytes: 400,
        few_logs: NonZeroUsize::MIN,
        write_buffers: WriteBufferConfig::NONE,
    }
}

/// For some three small batches of a log.
pub(crate) const SMALL_BUFFERS: WriteBufferConfig =
    WriteBufferConfig { log_bytes: 300, bytes: 1000 };

/// An operation that fails wherever it is done next.
pub(crate) fn fault(operation: Operation) -> PlannedFault {
    let (path_contains, error) = (String::new(), std::io::ErrorKind::Other);
    PlannedFault { operation, path_contains, after: 0, error }
}

/// A batch whose records say `words`, each at the time of its word.
pub(crate) fn batch(words: &[u64]) -> Batch {
    batch_of(None, words)
}

/// The same, by a producer.
pub(crate) fn batch_of(producer: Option<BatchProducer>, words: &[u64]) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some(producer) = producer {
        builder.produced_by(producer);
    }
    for word in words {
        let time = millis(i64::try_from(*word).unwrap());
        builder.push(time, None, Some(&word.to_be_bytes()), &[]).unwrap();
    }
    builder.build().unwrap()
}

pub(crate) fn append(partition: u32, epoch: u32, batches: &[&[u64]]) -> Append {
    Append {
        log: key(partition),
        epoch: LeaderEpoch::new(epoch),
        batches: batches.iter().map(|words| batch(words)).collect(),
        at: AppendAt::End,
    }
}

/// The records in bytes that a log gave.
pub(crate) fn records(bytes: bytes::Bytes) -> Vec<Found> {
    let mut found = Vec::new();
    for batch in Batches::new(bytes) {
        let batch = batch.expect("a log gives whole batches");
        let epoch = batch.header().leader_epoch.unwrap().get();
        for record in batch.records().unwrap() {
            let record = record.unwrap();
            let word = u64::from_be_bytes(record.value.as_deref().unwrap().try_into().unwrap());
            found.push((record.offset.get(), epoch, word));
        }
    }
    found
}

/// Everything that can be read, from start to end, at most `max_bytes` at a time.
pub(crate) fn read_all<D: Disk>(reader: &LogReader<D>, max_bytes: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut from = reader.log_start();
    while from < reader.end() {
        let bytes = reader.read(from, max_bytes, Offset::MAX).unwrap();
        let some = records(bytes);
        let next = offset(some.last().expect("there is more before the end").0 + 1);
        found.extend(some.into_iter().filter(|(found, ..)| from.get() <= *found));
        from = next;
    }
    found
}

/// A directory on a disk that can be made to fail.
pub(crate) struct Lab {
    pub(crate) disk: FaultyDisk,
    pub(crate) config: LogConfig,
    pub(crate) journal: Option<JournalConfig>,
    pub(crate) ballast_bytes: u64,
    pub(crate) trusted: Option<DirectoryId>,
    pub(crate) now: Timestamp,
    directory: Option<Directory<FaultyDisk>>,
    ids: u8,
}

impl Lab {
    /// An empty directory.
    pub(crate) fn empty(seed: u64, config: LogConfig) -> Self {
        Self::with_journal(seed, config, None)
    }

    pub(crate) fn with_journal(
        seed: u64,
        config: LogConfig,
        journal: Option<JournalConfig>,
    ) -> Self {
        let (disk, now) = (FaultyDisk::new(seed), millis(0));
        let (directory, ballast_bytes, trusted, ids) = (None, 0, None, 0);
        let mut lab = Self { disk, config, journal, ballast_bytes, trusted, now, directory, ids };
        lab.open().unwrap();
        lab
    }

    /// A directory with log 0 whose journal is ready, and used for single appends too. Of every
    /// four seeds, the last two keep what it takes in memory until there are some batches.
    pub(crate) fn journalled(seed: u64, config: LogConfig) -> Self {
        let write_buffers = if seed & 2 == 0 { WriteBufferConfig::NONE } else { SMALL_BUFFERS };
        Self::buffered(seed, config, write_buffers)
    }

    /// As [`Lab::journalled`]; what the journal takes may wait in so much memory.
    pub(crate) fn buffered(seed: u64, config: LogConfig, write_buffers: WriteBufferConfig) -> Self {
        let journal = JournalConfig { write_buffers, ..small_journal() };
        let mut lab = Self::with_journal(seed, config, Some(journal));
        if 0 < write_buffers.bytes {
            // What waits has to find room after a crash.
            lab.ballast_bytes = write_buffers.bytes as u64;
            lab.kill();
        }
        lab.create(0);
        lab.prepare_journal();
        lab
    }

    /// Has the journal make its files, as the first append that wants them does.
    pub(crate) fn prepare_journal(&mut self) {
        self.ids += 1;
        let (id, config) = (LogId::from_bytes([self.ids; 16]), one_segment(Durability::Fsync));
        let other = key(9);
        self.directory().create_log(other, id, config, Offset::ZERO).unwrap();
        self.step(&[append(9, 1, &[&[0]])]).pop().unwrap().unwrap();
        assert!(self.directory().needs_upkeep());
        self.upkeep();
        self.directory().delete_log(other).unwrap();
    }

    /// A round of upkeep if the journal asks for one.
    pub(crate) fn upkeep_of_journal(&mut self) {
        let now = self.now;
        if self.directory().needs_upkeep()
            && let Some(upkeep) = self.directory().begin_upkeep(now, UpkeepScope::Journal).unwrap()
        {
            self.directory().finish_upkeep(upkeep.run()).unwrap();
        }
    }

    /// A directory with log 0.
    pub(crate) fn new(seed: u64, config: LogConfig) -> Self {
        let mut lab = Self::empty(seed, config);
        lab.create(0);
        lab
    }

    pub(crate) fn directory(&mut self) -> &mut Directory<FaultyDisk> {
        self.directory.as_mut().unwrap()
    }

    pub(crate) fn open(&mut self) -> Result<(), DirectoryError> {
        self.directory = None;
        let config = DirectoryConfig {
            log: self.config.clone(),
            sync_threads: NonZeroUsize::MIN,
            journal: self.journal,
            ballast: BallastConfig { bytes: self.ballast_bytes, percent: 100 },
            trusted: self.trusted,
        };
        let opened = Directory::open(self.disk.clone(), Path::new(DATA), config, FRESH, self.now)?;
        self.directory = Some(opened);
        Ok(())
    }

    /// The process ends as it should.
    pub(crate) fn close(&mut self) {
        self.directory.take().unwrap().close().unwrap();
    }

    /// The process dies and is started again; the machine goes on.
    pub(crate) fn kill(&mut self) {
        self.open().unwrap();
    }

    /// The machine loses power and is started again.
    pub(crate) fn lose_power(&mut self) {
        self.directory = None;
        self.disk.lose_power();
        self.open().unwrap();
    }

    pub(crate) fn create(&mut self, partition: u32) -> LogReader<FaultyDisk> {
        self.try_create(key(partition)).unwrap()
    }

    pub(crate) fn try_create(&mut self, log: LogKey) -> Result<LogReader<FaultyDisk>, LogError> {
        self.ids += 1;
        let (id, config) = (LogId::from_bytes([self.ids; 16]), self.config.clone());
        self.directory().create_log(log, id, config, Offset::ZERO)
    }

    pub(crate) fn reader(&mut self) -> LogReader<FaultyDisk> {
        self.directory().reader(key(0)).unwrap()
    }

    /// Appends to log 0, each of `batches` in its own segment-sized write.
    pub(crate) fn append(
        &mut self,
        epoch: u32,
        batches: &[&[u64]],
    ) -> Result<Appended, AppendError> {
        self.step(&[append(0, epoch, batches)]).pop().unwrap()
    }

    pub(crate) fn step(&mut self, appends: &[Append]) -> Vec<Result<Appended, AppendError>> {
        let now = self.now;
        self.directory().step(appends, now)
    }

    pub(crate) fn truncate(&mut self, log: LogKey, end: Offset) -> Result<Offset, LogError> {
        let now = self.now;
        self.directory().truncate(log, end, now)
    }

    pub(crate) fn upkeep(&mut self) {
        let now = self.now;
        self.directory().upkeep(now).unwrap();
    }

    pub(crate) fn contents(&mut self) -> Vec<Found> {
        read_all(&self.reader(), 1000)
    }

    /// What log 0 says, without offsets and epochs.
    pub(crate) fn words(&mut self) -> Vec<u64> {
        self.contents().into_iter().map(|(_, _, word)| word).collect()
    }

    pub(crate) fn journal_files(&self) -> Vec<PathBuf> {
        let folder = Path::new(DATA).join("journal");
        let entries = self.disk.list(&folder).unwrap();
        entries.into_iter().map(|entry| folder.join(entry.name)).collect()
    }

    /// The segment files of log 0.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.files(".log")
    }

    pub(crate) fn files(&self, suffix: &str) -> Vec<String> {
        self.files_of(0, suffix)
    }

    pub(crate) fn files_of(&self, partition: u32, suffix: &str) -> Vec<String> {
        let entries = self.disk.list(&folder(partition)).unwrap();
        let names = entries.into_iter().map(|entry| entry.name.into_string().unwrap());
        names.filter(|name| name.ends_with(suffix)).collect()
    }

    /// How log 0 came out of the last start.
    pub(crate) fn outcome(&mut self) -> &Recovered {
        let recovered = self.directory().recovered();
        &recovered.iter().find(|found| found.log == key(0)).unwrap().outcome
    }
}
