use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use lake::commit::{CommitRecord, CommittedFile, PartitionCommit};
use lake::partitioner::Partitioner;
use lake::plan::{GapPolicy, Limits, Plan, plan};
use lake::{FileKind, RunId, TopicPaths};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::TopicName;

use crate::commit_log::{Attempt, CommitLog};
use crate::error::RunError;
use crate::progress::{Phase, Progress};
use crate::report::{Committed, Report, Timings};
use crate::schemas::Schemas;
use crate::source::{RecordSource, SchemaSource};
use crate::stage::{FileSettings, Stage, StagedPartition, TombstonePolicy, stage_partition};
use crate::store::{Deadline, FileStore, Operation, StoreError, insist, make_lasting};

/// How topics are landed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which directory a record belongs in.
    pub partitioner: Partitioner,
    /// What to do about records that retention took first.
    pub gaps: GapPolicy,
    /// What to do about records without a value.
    pub tombstones: TombstonePolicy,
    /// Bounds of what one run reads.
    pub limits: Limits,
    /// Shape and bounds of the files.
    pub files: FileSettings,
    /// Partitions that are read at once.
    pub parallel_partitions: usize,
    /// Files that are written and closed at once.
    pub parallel_writes: usize,
    /// After this time a run stops reading and commits what it has.
    pub max_read_time: Duration,
    /// After this time a run may not commit any more, and others take it for dead.
    pub max_run_time: Duration,
}

/// A run stops reading after this, and commits what it has.
const MAX_READ_TIME: Duration = Duration::from_hours(1);
/// After this, a run that has not committed may not any more.
const MAX_RUN_TIME: Duration = Duration::from_hours(2);

impl Settings {
    /// What a run does unless told otherwise.
    pub fn usual(partitioner: Partitioner) -> Self {
        Self {
            partitioner,
            gaps: GapPolicy::Fail,
            tombstones: TombstonePolicy::Skip,
            limits: Limits { max_records_per_partition: None },
            files: FileSettings {
                codec: lake::avro::Codec::Deflate,
                block_bytes: 256 * 1024,
                file_bytes: 512 * 1024 * 1024,
                memory_bytes: 64 * 1024 * 1024,
                open_files: 64,
            },
            parallel_partitions: 4,
            parallel_writes: 16,
            max_read_time: MAX_READ_TIME,
            max_run_time: MAX_RUN_TIME,
        }
    }
}

/// Lands topics from a source in a lake.
#[derive(Clone)]
pub struct Sink<S, R, C> {
    store: Deadline<S>,
    source: R,
    schemas: C,
    settings: Settings,
    clock: Clock,
    progress: Arc<dyn Progress>,
}

impl<S: fmt::Debug, R, C> fmt::Debug for Sink<S, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What a run would do.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// What it would read.
    pub plan: Plan,
    /// Commits that it would finish publishing first.
    pub unpublished: Vec<u64>,
}

/// What all partitions of a run became.
#[derive(Debug, Default)]
struct Staged {
    partitions: Vec<PartitionCommit>,
    files: Vec<CommittedFile>,
    committed: Vec<StagedPartition>,
}

impl<S: FileStore, R: RecordSource, C: SchemaSource> Sink<S, R, C> {
    /// A sink from `source` and `schemas` into `store`.
    pub fn new(store: S, source: R, schemas: C, settings: Settings, clock: Clock) -> Self {
        let progress = Arc::new(crate::progress::Silent);
        Self { store: Deadline::usual(store), source, schemas, settings, clock, progress }
    }

    /// The same sink, that shows how it gets on.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// An id for a run that begins now.
    ///
    /// # Errors
    ///
    /// [`RunError::Random`] when the system gives no random bytes.
    pub fn new_run_id(&self) -> Result<RunId, RunError> {
        let mut noise = [0; 4];
        getrandom::fill(&mut noise).map_err(|source| RunError::Random { source })?;
        Ok(RunId::new(self.clock.now(), noise))
    }

    fn log(&self, topic: &TopicName) -> Result<CommitLog<Deadline<S>>, RunError> {
        let paths = TopicPaths::new(topic).map_err(|source| RunError::ReservedTopic { source })?;
        Ok(CommitLog { store: self.store.clone(), paths })
    }

    /// What a run over `topic` would do now. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`RunError`] for what would stop the run before it reads.
    pub async fn dry_run(&self, topic: &TopicName) -> Result<DryRun, RunError> {
        let log = self.log(topic)?;
        let unpublished = log.sequences().await?.undone().collect();
        Ok(DryRun { plan: self.plan(&log).await?, unpublished })
    }

    async fn plan(&self, log: &CommitLog<Deadline<S>>) -> Result<Plan, RunError> {
        let head = log.head().await?;
        let source = self.source.describe(log.paths.topic()).await?;
        Ok(plan(head.as_ref(), &source, self.settings.limits, self.settings.gaps)?)
    }

    /// Lands what is new in `topic`, exactly once, however often and wherever runs are killed.
    ///
    /// `run_id` belongs to this call alone ([`Sink::new_run_id`]). `stop` ends the run before its
    /// commit; a commit that was made is published.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing is lost by it, and [`RunError::is_fenced`] tells a lost race.
    pub async fn run(
        &self,
        topic: &TopicName,
        run_id: RunId,
        stop: &CancellationToken,
    ) -> Result<Report, RunError> {
        let began = self.clock.monotonic();
        let log = self.log(topic)?;
        let mut timings = Timings::default();
        let mut lap = Lap { clock: self.clock, last: began };

        let max_run_time = self.settings.max_run_time;
        let recovered = log.recover(self.clock.now(), max_run_time, &*self.progress).await?;
        timings.recover = lap.time();

        let mut plan = self.plan(&log).await?;
        timings.plan = lap.time();
        let directory = log.paths.data().clone();
        let mut report =
            Report { topic: topic.clone(), run_id, directory, committed: None, recovered, timings };
        if plan.is_empty() {
            return Ok(report);
        }

        let staged = match self.stage(&log, &plan, &report.run_id, began, stop).await {
            Ok(staged) => staged,
            Err(error) => return Err(self.give_up(&log, &report.run_id, error).await),
        };
        report.timings.stage = lap.time();
        if staged.partitions.is_empty() {
            // There was something to read: that nothing came of it is not to pass for nothing new.
            let (run, limit) = (report.run_id.clone(), self.settings.max_read_time);
            let error = RunError::NothingRead { run, limit };
            return Err(self.give_up(&log, &report.run_id, error).await);
        }

        let record = self.commit(&log, &mut plan, &report.run_id, &staged, began).await?;
        report.timings.commit = lap.time();

        log.publish(&record, &*self.progress).await?;
        report.timings.publish = lap.time();

        log.clean(&report.run_id).await?;
        report.timings.clean = lap.time();
        report.committed = Some(committed(&record, &staged));
        Ok(report)
    }

    async fn stage(
        &self,
        log: &CommitLog<Deadline<S>>,
        plan: &Plan,
        run_id: &RunId,
        began: Duration,
        stop: &CancellationToken,
    ) -> Result<Staged, RunError> {
        let directory = log.paths.staging_of(run_id);
        make_lasting(&self.store, log.paths.log()).await?;
        make_lasting(&self.store, &directory).await?;
        let stage = Arc::new(Stage {
            store: self.store.clone(),
            schemas: Schemas::new(self.schemas.clone()),
            partitioner: self.settings.partitioner.clone(),
            tombstones: self.settings.tombstones,
            files: self.settings.files,
            paths: log.paths.clone(),
            topic_id: plan.topic_id(),
            run_id: run_id.clone(),
            directory: directory.clone(),
            writes: Arc::new(Semaphore::new(self.settings.parallel_writes.max(1))),
            clock: self.clock,
            read_until: began.saturating_add(self.settings.max_read_time),
            stop: stop.clone(),
            progress: Arc::clone(&self.progress),
        });
        self.progress.begin(Phase::Stage, plan.records());
        let mut tasks = JoinSet::new();
        let staged = self.stage_partitions(&stage, plan, &mut tasks).await;
        // After an error nothing may go on writing to a directory that is about to be deleted.
        tasks.shutdown().await;
        let mut staged = staged?;
        self.check_life(log.paths.topic(), plan).await?;
        staged.partitions.sort_by_key(|moved| moved.partition);
        staged.files.sort_by(|a, b| a.path.cmp(&b.path));
        insist(|| self.store.sync_directory(&directory)).await?;
        self.progress.end();
        Ok(staged)
    }

    /// Whether the topic that was read is still the one that was planned for. Topics are read by
    /// name, and the offsets of another life mean other records; no id is given out twice.
    async fn check_life(&self, topic: &TopicName, plan: &Plan) -> Result<(), RunError> {
        let (planned, found) = (plan.topic_id(), self.source.describe(topic).await?.id);
        if found == planned { Ok(()) } else { Err(RunError::RecreatedMeanwhile { planned, found }) }
    }

    async fn stage_partitions(
        &self,
        stage: &Arc<Stage<Deadline<S>, C>>,
        plan: &Plan,
        tasks: &mut JoinSet<Result<StagedPartition, RunError>>,
    ) -> Result<Staged, RunError> {
        let mut staged = Staged::default();
        for partition in plan.partitions() {
            while self.settings.parallel_partitions.max(1) <= tasks.len() {
                staged.add(tasks.join_next().await, &stage.directory)?;
            }
            tasks.spawn(stage_partition(Arc::clone(stage), self.source.clone(), *partition));
        }
        while !tasks.is_empty() {
            staged.add(tasks.join_next().await, &stage.directory)?;
        }
        Ok(staged)
    }

    /// Makes the commit, or finds that it cannot be made any more.
    async fn commit(
        &self,
        log: &CommitLog<Deadline<S>>,
        plan: &mut Plan,
        run_id: &RunId,
        staged: &Staged,
        began: Duration,
    ) -> Result<CommitRecord, RunError> {
        loop {
            let record = self.record(log, plan, run_id, staged);
            let prepared = match record {
                Ok(record) => log.prepare(&record).await.map(|temporary| (record, temporary)),
                Err(error) => return Err(self.give_up(log, run_id, error).await),
            };
            let (record, temporary) = match prepared {
                Ok(prepared) => prepared,
                Err(error) => return Err(self.give_up(log, run_id, error.into()).await),
            };
            let (run, limit) = (run_id.clone(), self.settings.max_run_time);
            let elapsed = self.clock.monotonic().saturating_sub(began);
            if limit < elapsed {
                let error = RunError::TooOld { run, elapsed, limit };
                return Err(self.give_up(log, run_id, error).await);
            }
            match log.attempt(&temporary, &record).await? {
                Attempt::Committed => return Ok(record),
                Attempt::Collected => return Err(RunError::Collected { run }),
                Attempt::Lost(head) => {
                    if let Err(fenced) = plan.rebase(&head) {
                        return Err(self.give_up(log, run_id, fenced.into()).await);
                    }
                }
            }
        }
    }

    fn record(
        &self,
        log: &CommitLog<Deadline<S>>,
        plan: &Plan,
        run_id: &RunId,
        staged: &Staged,
    ) -> Result<CommitRecord, RunError> {
        let (topic, now) = (log.paths.topic(), self.clock.now());
        CommitRecord::of_run(plan, topic, run_id, now, &staged.partitions, &staged.files)
            .map_err(|source| RunError::Imbalance { source })
    }

    /// Deletes the staging of a run that has not committed and cannot any more, and says why it
    /// ended. A failed clean-up is left to the next run.
    async fn give_up(
        &self,
        log: &CommitLog<Deadline<S>>,
        run_id: &RunId,
        error: RunError,
    ) -> RunError {
        self.progress.end();
        // Without its staging directory, a run was taken for dead and collected.
        let staging = log.paths.staging_of(run_id);
        let lost = matches!(error, RunError::Store(StoreError::NotFound { .. }))
            && matches!(self.store.stat(&staging).await, Ok(None));
        if lost {
            return RunError::Collected { run: run_id.clone() };
        }
        if let Err(left) = log.clean(run_id).await {
            tracing::warn!(run = %run_id, error = %left, "staging was left for a later run");
        }
        error
    }
}

impl Staged {
    fn add(
        &mut self,
        result: Option<Result<Result<StagedPartition, RunError>, tokio::task::JoinError>>,
        directory: &lake::LakePath,
    ) -> Result<(), RunError> {
        let mut partition = match result {
            None => return Ok(()),
            Some(Ok(partition)) => partition?,
            Some(Err(source)) => {
                let (operation, path) = (Operation::Write, directory.clone());
                let source = Box::new(source);
                return Err(StoreError::Failed { operation, path, source }.into());
            }
        };
        // Time may run out before a partition's first record.
        if 0 < partition.moved.offsets() || partition.moved.gap.is_some() {
            self.partitions.push(partition.moved);
        }
        self.files.append(&mut partition.files);
        self.committed.push(partition);
        Ok(())
    }
}

fn committed(record: &CommitRecord, staged: &Staged) -> Committed {
    let quarantined = staged.committed.iter().flat_map(|partition| &partition.refused);
    let mut by_reason = BTreeMap::new();
    for (reason, count) in quarantined {
        *by_reason.entry(*reason).or_default() += *count;
    }
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let quarantine_files =
        count(record.files.iter().filter(|file| file.kind == FileKind::Quarantine).count());
    let directories: BTreeSet<_> = record.files.iter().map(|file| file.path.parent()).collect();
    Committed {
        seq: record.seq,
        partitions: record.partitions.clone(),
        data_files: count(record.files.len()) - quarantine_files,
        quarantine_files,
        directories: count(directories.len()),
        bytes: record.files.iter().map(|file| file.len).sum(),
        quarantined: by_reason,
        cut_short: staged.committed.iter().any(|partition| partition.cut_short),
    }
}

/// Measures one phase after the other.
struct Lap {
    clock: Clock,
    last: Duration,
}

impl Lap {
    fn time(&mut self) -> Duration {
        let now = self.clock.monotonic();
        let elapsed = now.saturating_sub(self.last);
        self.last = now;
        elapsed
    }
}
