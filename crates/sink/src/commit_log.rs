use std::collections::BTreeSet;

use bytes::Bytes;
use lake::commit::CommitRecord;
use lake::{LakePath, LogEntry, RunId, TopicPaths};

use crate::error::RunError;
use crate::store::{FileStore, FileWriter, StoreError, insist, list_or_none, read_whole};

/// The log of commits of one topic, and where that topic lies.
#[derive(Clone, Debug)]
pub(crate) struct CommitLog<S> {
    pub(crate) store: S,
    pub(crate) paths: TopicPaths,
}

/// The sequence numbers in the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequences {
    pub(crate) records: BTreeSet<u64>,
    pub(crate) done: BTreeSet<u64>,
}

impl Sequences {
    /// Commits that may not be published in full.
    pub(crate) fn undone(&self) -> impl Iterator<Item = u64> {
        self.records.difference(&self.done).copied()
    }
}

/// What became of an attempt to commit.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The record is in the log, for good.
    Committed,
    /// Another run's record has the sequence number.
    Lost(CommitRecord),
    /// The record to be renamed is gone, and with it the run's staging.
    Collected,
}

/// How often a rename without an answer is tried again.
const TRIES: u32 = 5;

impl<S: FileStore> CommitLog<S> {
    pub(crate) async fn sequences(&self) -> Result<Sequences, RunError> {
        let mut sequences = Sequences::default();
        for entry in list_or_none(&self.store, self.paths.log()).await? {
            match TopicPaths::log_entry(&entry.name) {
                Some(LogEntry::Record(seq)) => sequences.records.insert(seq),
                Some(LogEntry::Done(seq)) => sequences.done.insert(seq),
                None => false,
            };
        }
        Ok(sequences)
    }

    /// The last commit; `None` before the first.
    pub(crate) async fn head(&self) -> Result<Option<CommitRecord>, RunError> {
        match self.sequences().await?.records.last() {
            Some(seq) => self.read(*seq).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn read(&self, seq: u64) -> Result<CommitRecord, RunError> {
        let path = self.paths.record(seq);
        let bytes = read_whole(&self.store, &path).await?;
        CommitRecord::decode(&bytes).map_err(|source| RunError::Record { path, source })
    }

    /// Writes a record that is not committed yet into its run's staging directory: should that
    /// directory be collected, the record goes with it and can never be committed.
    pub(crate) async fn prepare(&self, record: &CommitRecord) -> Result<LakePath, StoreError> {
        let staging = self.paths.staging_of(&record.run_id);
        let bytes = Bytes::from(record.encode());
        let mut tries = 0;
        loop {
            tries += 1;
            let name = format!("commit-{}-{tries}.json", record.seq);
            // A name of digits and letters is always legal.
            let temporary = staging.join(&name).unwrap_or_else(|_legal| staging.clone());
            match write_file(&self.store, &temporary, bytes.clone()).await {
                Ok(()) => return Ok(temporary),
                // Worth nothing now, whatever became of it: start a new one.
                Err(StoreError::Unknown { .. }) if tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The commit point: renames `temporary`, which holds `record`, to its place in the log.
    ///
    /// No file is ever replaced, so of all who want a sequence number one gets it: compare-and-swap
    /// and fence in one. After an error the record may be in the log, or get there yet: staging
    /// must stay.
    pub(crate) async fn attempt(
        &self,
        temporary: &LakePath,
        record: &CommitRecord,
    ) -> Result<Attempt, RunError> {
        let place = self.paths.record(record.seq);
        let mut tries = 0;
        loop {
            tries += 1;
            let Err(error) = self.store.rename(temporary, &place).await else { break };
            match self.read(record.seq).await {
                Ok(found) if found.run_id == record.run_id => break,
                Ok(found) => return Ok(Attempt::Lost(found)),
                Err(RunError::Store(StoreError::NotFound { .. })) => {}
                Err(unreadable) => return Err(unreadable),
            }
            if matches!(error, StoreError::NotFound { .. }) {
                return Ok(Attempt::Collected);
            }
            // The same rename again can succeed once at most.
            if tries == TRIES || !matches!(error, StoreError::Unknown { .. }) {
                return Err(error.into());
            }
        }
        self.make_last().await?;
        Ok(Attempt::Committed)
    }

    /// Makes the names in the log last. Nothing may be built on a record before.
    pub(crate) async fn make_last(&self) -> Result<(), RunError> {
        insist(|| self.store.sync_directory(self.paths.log())).await.map_err(Into::into)
    }

    pub(crate) async fn is_done(&self, seq: u64) -> Result<bool, RunError> {
        let path = self.paths.done(seq);
        Ok(insist(|| self.store.stat(&path)).await?.is_some())
    }

    /// Marks a commit whose files are all in place, and lastingly so.
    pub(crate) async fn mark_done(&self, seq: u64) -> Result<(), RunError> {
        let path = self.paths.done(seq);
        match insist(|| self.store.create(&path)).await {
            Ok(writer) => match writer.close().await {
                // Its being there is all that counts.
                Ok(()) | Err(StoreError::Unknown { .. }) => {}
                Err(error) => return Err(error.into()),
            },
            Err(StoreError::AlreadyExists { .. } | StoreError::BeingWritten { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.make_last().await
    }

    /// Brings the staging of a committed run back that was collected by mistake.
    pub(crate) async fn restore(&self, run: &RunId) -> Result<(), RunError> {
        let (from, to) = (self.paths.trash_of(run), self.paths.staging_of(run));
        match insist(|| self.store.rename(&from, &to)).await {
            // Not there, or somebody else was quicker.
            Ok(()) | Err(StoreError::NotFound { .. } | StoreError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes a whole file.
pub(crate) async fn write_file<S: FileStore>(
    store: &S,
    path: &LakePath,
    bytes: Bytes,
) -> Result<(), StoreError> {
    let mut writer = store.create(path).await?;
    writer.write(bytes).await?;
    writer.close().await
}
