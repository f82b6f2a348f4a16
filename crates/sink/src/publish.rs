use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use lake::LakePath;
use lake::commit::{CommitRecord, CommittedFile, Sha256Hash};
use sha2::{Digest, Sha256};

use crate::commit_log::CommitLog;
use crate::error::RunError;
use crate::progress::{Phase, Progress};
use crate::store::{EntryKind, FileStore, StoreError, insist};

/// How many names are worked on at once.
pub(crate) const PARALLEL_NAMES: usize = 32;
/// How often a file is looked for before it is called missing.
const TRIES: u32 = 5;
/// Bytes read at a time.
pub(crate) const PIECE: usize = 1024 * 1024;

impl<S: FileStore> CommitLog<S> {
    /// Moves the files of a commit to where readers look, and marks the commit done.
    ///
    /// May be repeated, and by several at once: each move happens once, and whoever comes late
    /// finds it done.
    pub(crate) async fn publish(
        &self,
        record: &CommitRecord,
        progress: &dyn Progress,
    ) -> Result<(), RunError> {
        progress.begin(Phase::Publish, u64::try_from(record.files.len()).unwrap_or(u64::MAX));
        let directories: BTreeSet<LakePath> =
            record.files.iter().filter_map(|file| file.path.parent()).collect();
        let made = directories.iter().map(|directory| self.make_directories(directory));
        in_parallel(made.collect()).await?;
        let placed = record.files.iter().map(|file| async {
            self.place(file, record).await?;
            progress.advance(1);
            Ok(())
        });
        in_parallel(placed.collect()).await?;
        let with_ancestors = with_ancestors(directories);
        let synced = with_ancestors.iter().map(|directory| self.sync(directory));
        in_parallel(synced.collect()).await?;
        progress.end();
        self.mark_done(record.seq).await
    }

    async fn make_directories(&self, directory: &LakePath) -> Result<(), RunError> {
        insist(|| self.store.make_directories(directory)).await.map_err(Into::into)
    }

    async fn sync(&self, directory: &LakePath) -> Result<(), RunError> {
        insist(|| self.store.sync_directory(directory)).await.map_err(Into::into)
    }

    async fn place(&self, file: &CommittedFile, record: &CommitRecord) -> Result<(), RunError> {
        let staged = self.paths.staging_of(&record.run_id).below(&file.stage);
        let mut tries = 0;
        loop {
            tries += 1;
            let Err(error) = self.store.rename(&staged, &file.path).await else { return Ok(()) };
            let still_staged = insist(|| self.store.stat(&staged)).await?;
            match insist(|| self.store.stat(&file.path)).await? {
                Some(EntryKind::File { len }) if len == file.len && still_staged.is_none() => {
                    return Ok(());
                }
                Some(_) => {
                    // A power loss may leave a moved file under both its names.
                    if self.hash(&file.path).await? != file.sha256 {
                        let path = file.path.clone();
                        return Err(RunError::Occupied { seq: record.seq, path });
                    }
                    insist(|| self.store.delete(&staged)).await?;
                    return Ok(());
                }
                // Published long ago, and moved on since, by compaction or retention of the lake.
                None if self.is_done(record.seq).await? => return Ok(()),
                None if tries == TRIES => {
                    let (seq, path) = (record.seq, file.path.clone());
                    let nowhere = matches!(error, StoreError::NotFound { .. });
                    return Err(if nowhere {
                        RunError::Missing { seq, path }
                    } else {
                        error.into()
                    });
                }
                None => {}
            }
            match error {
                StoreError::NotFound { .. } if still_staged.is_none() => {
                    self.restore(&record.run_id).await?;
                }
                StoreError::NotFound { .. } => {
                    let parent = file.path.parent().unwrap_or_else(LakePath::root);
                    self.make_directories(&parent).await?;
                }
                StoreError::Unknown { .. }
                | StoreError::AlreadyExists { .. }
                | StoreError::BeingWritten { .. } => {}
                error @ (StoreError::Full { .. }
                | StoreError::Denied { .. }
                | StoreError::Unavailable { .. }
                | StoreError::Failed { .. }) => {
                    return Err(error.into());
                }
            }
        }
    }

    async fn hash(&self, path: &LakePath) -> Result<Sha256Hash, RunError> {
        let mut hasher = Sha256::new();
        let mut position = 0;
        loop {
            let piece = insist(|| self.store.read(path, position, PIECE)).await?;
            if piece.is_empty() {
                return Ok(Sha256Hash::from_bytes(hasher.finalize().into()));
            }
            hasher.update(&piece);
            position += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        }
    }
}

/// Runs all, a bounded number at once; ends at the first error.
async fn in_parallel(
    calls: Vec<impl Future<Output = Result<(), RunError>>>,
) -> Result<(), RunError> {
    stream::iter(calls).buffer_unordered(PARALLEL_NAMES).try_collect().await
}

/// These directories and all above them: where a new directory's name has to last too.
fn with_ancestors(directories: BTreeSet<LakePath>) -> BTreeSet<LakePath> {
    let mut all = BTreeSet::new();
    for directory in directories {
        let mut next = Some(directory);
        while let Some(directory) = next {
            next = directory.parent();
            if !all.insert(directory) {
                break;
            }
        }
    }
    all
}
