use std::time::Duration;

use lake::RunId;
use types::Timestamp;

use crate::commit_log::CommitLog;
use crate::error::RunError;
use crate::progress::Progress;
use crate::store::{FileStore, StoreError, insist, list_or_none};

/// What a run found to finish for runs before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Commits that were published.
    pub published: Vec<u64>,
    /// Runs that ended without a commit, and whose staging was deleted.
    pub collected: Vec<String>,
}

impl<S: FileStore> CommitLog<S> {
    /// Finishes what runs before this one left: publishes commits that are not done, collects the
    /// staging of runs that are older than any run may get.
    pub(crate) async fn recover(
        &self,
        now: Timestamp,
        max_run_time: Duration,
        progress: &dyn Progress,
    ) -> Result<Recovered, RunError> {
        let mut recovered = Recovered::default();
        let undone: Vec<u64> = self.sequences().await?.undone().collect();
        if !undone.is_empty() {
            // Its run may have died between the rename and the sync.
            self.make_last().await?;
        }
        for seq in undone {
            let record = self.read(seq).await?;
            self.restore(&record.run_id).await?;
            self.publish(&record, progress).await?;
            self.clean(&record.run_id).await?;
            recovered.published.push(seq);
        }
        recovered.collected = self.collect(now, max_run_time).await?;
        Ok(recovered)
    }

    /// Deletes the staging of runs that died before their commit.
    ///
    /// A run that only seems dead may pass its own age check and then commit. So its directory is
    /// first renamed away, and with it the record it would commit; after that the log tells for
    /// good whether it had committed before.
    async fn collect(
        &self,
        now: Timestamp,
        max_run_time: Duration,
    ) -> Result<Vec<String>, RunError> {
        for run in self.runs_in(self.paths.staging()).await? {
            let age = Duration::from_millis(now.millis_since(run.started()));
            if max_run_time < age {
                self.trash(&run).await?;
            }
        }
        let trashed = self.runs_in(self.paths.trash()).await?;
        let mut collected = Vec::new();
        if trashed.is_empty() {
            return Ok(collected);
        }
        let committed = self.unpublished_runs().await?;
        for run in trashed {
            if committed.contains(&run) {
                self.restore(&run).await?;
            } else {
                let path = self.paths.trash_of(&run);
                insist(|| self.store.delete(&path)).await?;
                collected.push(run.to_string());
            }
        }
        Ok(collected)
    }

    async fn trash(&self, run: &RunId) -> Result<(), RunError> {
        insist(|| self.store.make_directories(self.paths.trash())).await?;
        let (from, to) = (self.paths.staging_of(run), self.paths.trash_of(run));
        match insist(|| self.store.rename(&from, &to)).await {
            // Somebody else was quicker.
            Ok(()) | Err(StoreError::NotFound { .. } | StoreError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn unpublished_runs(&self) -> Result<Vec<RunId>, RunError> {
        let mut runs = Vec::new();
        for seq in self.sequences().await?.undone() {
            runs.push(self.read(seq).await?.run_id);
        }
        Ok(runs)
    }

    async fn runs_in(&self, directory: &lake::LakePath) -> Result<Vec<RunId>, RunError> {
        let entries = list_or_none(&self.store, directory).await?;
        // What is not called like a run is not ours to touch.
        Ok(entries.iter().filter_map(|entry| RunId::parse(&entry.name).ok()).collect())
    }

    /// Deletes the staging of a run that can never commit any more.
    pub(crate) async fn clean(&self, run: &RunId) -> Result<(), RunError> {
        let staging = self.paths.staging_of(run);
        insist(|| self.store.delete(&staging)).await.map_err(Into::into)
    }
}
