//! What the sink did, found or would do, for people and programs.

use std::collections::BTreeMap;

use lake::FileKind;
use lake::commit::CommitRecord;
use serde::Serialize;
use sink::{DryRun, Findings, Report, Totals};
use types::{Timestamp, TopicName};

use crate::output::{Show, Table};

/// What one run did.
#[derive(Serialize)]
pub(crate) struct RunReport {
    topic: String,
    run: String,
    directory: String,
    /// Commits of earlier runs that this one finished.
    finished: Vec<u64>,
    /// Absent if there was nothing new.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<CommitReport>,
    seconds: f64,
}

#[derive(Serialize)]
struct CommitReport {
    seq: u64,
    offsets: u64,
    rows: u64,
    quarantined: u64,
    quarantined_by_reason: BTreeMap<String, u64>,
    tombstones: u64,
    holes: u64,
    lost: u64,
    files: u64,
    quarantine_files: u64,
    directories: u64,
    bytes: u64,
    cut_short: bool,
    partitions: Vec<PartitionReport>,
}

#[derive(Serialize)]
struct PartitionReport {
    partition: u32,
    from: u64,
    to: u64,
    rows: u64,
    quarantined: u64,
}

impl RunReport {
    pub(crate) fn new(report: &Report) -> Self {
        let timings = report.timings;
        let spent = timings.recover
            + timings.plan
            + timings.stage
            + timings.commit
            + timings.publish
            + timings.clean;
        Self {
            topic: report.topic.to_string(),
            run: report.run_id.to_string(),
            directory: report.directory.as_str().to_owned(),
            finished: report.recovered.published.clone(),
            commit: report.committed.as_ref().map(CommitReport::new),
            seconds: spent.as_secs_f64(),
        }
    }
}

impl CommitReport {
    fn new(commit: &sink::Committed) -> Self {
        let Totals { offsets, rows, quarantined, tombstones, holes, lost } = commit.totals();
        let by_reason = commit.quarantined.iter();
        let partition = |moved: &lake::commit::PartitionCommit| PartitionReport {
            partition: moved.partition.get(),
            from: moved.from.get(),
            to: moved.to.get(),
            rows: moved.rows,
            quarantined: moved.quarantined,
        };
        Self {
            seq: commit.seq,
            offsets,
            rows,
            quarantined,
            quarantined_by_reason: by_reason.map(|(why, n)| (why.to_string(), *n)).collect(),
            tombstones,
            holes,
            lost,
            files: commit.data_files,
            quarantine_files: commit.quarantine_files,
            directories: commit.directories,
            bytes: commit.bytes,
            cut_short: commit.cut_short,
            partitions: commit.partitions.iter().map(partition).collect(),
        }
    }
}

impl Show for RunReport {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("topic", &self.topic);
        if !self.finished.is_empty() {
            facts.fact("finished", format!("{} commits of earlier runs", self.finished.len()));
        }
        let Some(commit) = &self.commit else {
            facts.fact("landed", "nothing: there is nothing new");
            return vec![facts];
        };
        facts.fact("run", &self.run);
        facts.fact("commit", commit.seq);
        facts.fact("read", format!("{} offsets", commit.offsets));
        facts.fact("landed", format!("{} rows", commit.rows));
        facts.fact("quarantined", commit.quarantined);
        for (reason, count) in &commit.quarantined_by_reason {
            facts.fact(&format!("  {reason}"), count);
        }
        facts.fact("tombstones", commit.tombstones);
        facts.fact("holes", commit.holes);
        facts.fact("lost", commit.lost);
        let files = commit.files + commit.quarantine_files;
        facts.fact("files", format!("{files} in {} directories", commit.directories));
        facts.fact("bytes", commit.bytes);
        facts.fact("below", &self.directory);
        facts.fact("took", format!("{:.2} s", self.seconds));
        if commit.cut_short {
            facts.fact("unfinished", "time to read ran out; the next run goes on from there");
        }
        vec![facts]
    }
}

/// What a run would do.
#[derive(Serialize)]
pub(crate) struct DryRunReport {
    topic: String,
    records: u64,
    unpublished_commits: Vec<u64>,
    partitions: Vec<PlannedPartition>,
}

#[derive(Serialize)]
struct PlannedPartition {
    partition: u32,
    from: u64,
    to: u64,
    /// Offsets that retention took before they were landed.
    lost: u64,
}

impl DryRunReport {
    pub(crate) fn new(topic: &TopicName, run: &DryRun) -> Self {
        let partition = |planned: &lake::plan::PartitionPlan| PlannedPartition {
            partition: planned.partition.get(),
            from: planned.from.get(),
            to: planned.to.get(),
            lost: planned.gap.map_or(0, |gap| gap.to.distance_from(gap.from)),
        };
        Self {
            topic: topic.to_string(),
            records: run.plan.records(),
            unpublished_commits: run.unpublished.clone(),
            partitions: run.plan.partitions().iter().map(partition).collect(),
        }
    }
}

impl Show for DryRunReport {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("topic", &self.topic);
        facts.fact("would read", format!("{} offsets", self.records));
        facts.fact("would finish", format!("{} commits", self.unpublished_commits.len()));
        let mut partitions = Table::new(["partition", "from", "to", "lost"]);
        for row in &self.partitions {
            partitions.row([
                row.partition.to_string(),
                row.from.to_string(),
                row.to.to_string(),
                row.lost.to_string(),
            ]);
        }
        vec![facts, partitions]
    }
}

/// What a verification found.
#[derive(Serialize)]
pub(crate) struct Verdict {
    topic: String,
    sound: bool,
    commits: u64,
    files: u64,
    rows: u64,
    bytes: u64,
    problems: Vec<String>,
}

impl Verdict {
    pub(crate) fn new(topic: &TopicName, findings: &Findings) -> Self {
        Self {
            topic: topic.to_string(),
            sound: findings.problems.is_empty(),
            commits: findings.commits,
            files: findings.files,
            rows: findings.rows,
            bytes: findings.bytes,
            problems: findings.problems.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Show for Verdict {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("topic", &self.topic);
        facts.fact("verdict", if self.sound { "sound" } else { "not what the log says" });
        facts.fact("commits", self.commits);
        facts.fact("files", self.files);
        facts.fact("rows", self.rows);
        facts.fact("bytes", self.bytes);
        for problem in &self.problems {
            facts.fact("problem", problem);
        }
        vec![facts]
    }
}

/// The last commits of a topic.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Commits(Vec<CommitRow>);

#[derive(Serialize)]
struct CommitRow {
    commit: u64,
    run: String,
    at: String,
    rows: u64,
    quarantined: u64,
    files: Vec<FileRow>,
}

/// A file of a commit.
#[derive(Debug, Serialize)]
pub(crate) struct FileRow {
    /// Its place in the lake.
    pub(crate) path: String,
    /// Its rows.
    pub(crate) rows: u64,
    /// Its length.
    pub(crate) bytes: u64,
    /// Whether its rows are in quarantine.
    pub(crate) quarantine: bool,
}

/// The files that a commit made visible.
pub(crate) fn files(commit: &CommitRecord) -> Vec<FileRow> {
    let row = |file: &lake::commit::CommittedFile| FileRow {
        path: file.path.as_str().to_owned(),
        rows: file.rows,
        bytes: file.len,
        quarantine: file.kind == FileKind::Quarantine,
    };
    commit.files.iter().map(row).collect()
}

impl Commits {
    pub(crate) fn new(commits: &[CommitRecord]) -> Self {
        let row = |commit: &CommitRecord| CommitRow {
            commit: commit.seq,
            run: commit.run_id.to_string(),
            at: calendar(commit.committed_at),
            rows: commit.partitions.iter().map(|moved| moved.rows).sum(),
            quarantined: commit.partitions.iter().map(|moved| moved.quarantined).sum(),
            files: files(commit),
        };
        Self(commits.iter().map(row).collect())
    }
}

impl Show for Commits {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new(["commit", "at", "rows", "quarantined", "files", "run"]);
        for row in &self.0 {
            table.row([
                row.commit.to_string(),
                row.at.clone(),
                row.rows.to_string(),
                row.quarantined.to_string(),
                row.files.len().to_string(),
                row.run.clone(),
            ]);
        }
        vec![table]
    }
}

fn calendar(time: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(time.as_millis())
        .map_or_else(|| time.to_string(), |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}
