//! Compares a lake with its log of commits.

use std::collections::BTreeSet;
use std::fmt;

use futures::{StreamExt, TryStreamExt, stream};
use lake::avro::{ContainerScan, InvalidContainer};
use lake::commit::{BrokenChain, CommitRecord, CommittedFile, InvalidRecord, Sha256Hash};
use lake::{LakePath, TopicPaths};
use sha2::{Digest, Sha256};
use types::TopicName;

use crate::commit_log::CommitLog;
use crate::error::RunError;
use crate::progress::{Phase, Progress};
use crate::publish::{PARALLEL_NAMES, PIECE};
use crate::store::{Deadline, EntryKind, FileStore, StoreError, insist, list_or_none};

/// How closely files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// That they are there and have their length.
    Lengths,
    /// Every byte: hash and rows too.
    Contents,
}

/// What a verification saw.
#[derive(Debug, Default)]
pub struct Findings {
    /// Commits in the log.
    pub commits: u64,
    /// Files they name.
    pub files: u64,
    /// Rows in those, quarantined ones included.
    pub rows: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// What is wrong, in the order of the log; nothing if the lake is what its log says.
    pub problems: Vec<Problem>,
}

/// One thing that is not as the log says.
#[derive(Debug)]
pub enum Problem {
    /// A commit record cannot be read.
    DamagedRecord {
        /// Its number.
        seq: u64,
        /// What is wrong.
        error: InvalidRecord,
    },
    /// A commit does not continue the one before it.
    BrokenChain {
        /// Its number.
        seq: u64,
        /// Where.
        error: BrokenChain,
    },
    /// A commit whose files may not all be in place: the next run will see to it.
    Unpublished {
        /// Its number.
        seq: u64,
    },
    /// A file is not there.
    Missing {
        /// The commit that names it.
        seq: u64,
        /// Its place.
        path: LakePath,
    },
    /// A file is shorter or longer than it was.
    Length {
        /// The commit that names it.
        seq: u64,
        /// Its place.
        path: LakePath,
        /// Its length when it was committed.
        expected: u64,
        /// Its length now.
        found: u64,
    },
    /// A file has other bytes than it had.
    Content {
        /// The commit that names it.
        seq: u64,
        /// Its place.
        path: LakePath,
        /// Its hash when it was committed.
        expected: Sha256Hash,
        /// Its hash now.
        found: Sha256Hash,
    },
    /// A file does not hold its rows.
    Rows {
        /// The commit that names it.
        seq: u64,
        /// Its place.
        path: LakePath,
        /// Its rows when it was committed.
        expected: u64,
        /// Its rows now, or why they cannot be counted.
        found: Result<u64, InvalidContainer>,
    },
    /// A file that no commit names lies where readers look.
    Extra {
        /// Its place.
        path: LakePath,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DamagedRecord { seq, error } => write!(f, "commit {seq}: {error}"),
            Self::BrokenChain { seq, error } => write!(f, "commit {seq}: {error}"),
            Self::Unpublished { seq } => {
                write!(f, "commit {seq} is not published in full; the next run will do it")
            }
            Self::Missing { seq, path } => write!(f, "{path} is missing (commit {seq})"),
            Self::Length { seq, path, expected, found } => {
                write!(f, "{path} has {found} bytes instead of {expected} (commit {seq})")
            }
            Self::Content { seq, path, expected, found } => {
                write!(f, "{path} has hash {found} instead of {expected} (commit {seq})")
            }
            Self::Rows { seq, path, expected, found: Ok(found) } => {
                write!(f, "{path} has {found} rows instead of {expected} (commit {seq})")
            }
            Self::Rows { seq, path, expected, found: Err(why) } => {
                write!(f, "{path} should have {expected} rows, but {why} (commit {seq})")
            }
            Self::Extra { path } => write!(f, "{path} is in no commit"),
        }
    }
}

/// Checks that the lake holds what the commits of `topic` say, and nothing else. Changes nothing.
///
/// # Errors
///
/// [`RunError`] when the lake cannot be looked at. What is wrong with it is a finding, not an
/// error.
pub async fn verify<S: FileStore>(
    store: &S,
    topic: &TopicName,
    depth: Depth,
    progress: &dyn Progress,
) -> Result<Findings, RunError> {
    let paths = TopicPaths::new(topic).map_err(|source| RunError::ReservedTopic { source })?;
    let log = CommitLog { store: Deadline::usual(store.clone()), paths };
    let sequences = log.sequences().await?;
    let mut findings = Findings::default();
    let mut known = BTreeSet::new();
    let mut before: Option<CommitRecord> = None;
    for seq in &sequences.records {
        findings.commits += 1;
        let record = match log.read(*seq).await {
            Ok(record) => record,
            Err(RunError::Record { source: error, .. }) => {
                findings.problems.push(Problem::DamagedRecord { seq: *seq, error });
                before = None;
                continue;
            }
            Err(error) => return Err(error),
        };
        // After a damaged record there is nothing to continue.
        let follows = before.is_some() || *seq == 0;
        if let (true, Err(error)) = (follows, record.continues(before.as_ref())) {
            findings.problems.push(Problem::BrokenChain { seq: *seq, error });
        }
        known.extend(record.files.iter().map(|file| file.path.clone()));
        if sequences.done.contains(seq) {
            check_files(&log.store, &record, depth, progress, &mut findings).await?;
        } else {
            findings.problems.push(Problem::Unpublished { seq: *seq });
        }
        before = Some(record);
    }
    for directory in [log.paths.data(), log.paths.quarantine()] {
        find_strangers(&log.store, directory, &known, &mut findings).await?;
    }
    Ok(findings)
}

/// The last `count` commits of `topic`, the newest first.
///
/// # Errors
///
/// [`RunError`] when the log or one of these records cannot be read.
pub async fn history<S: FileStore>(
    store: &S,
    topic: &TopicName,
    count: usize,
) -> Result<Vec<CommitRecord>, RunError> {
    let paths = TopicPaths::new(topic).map_err(|source| RunError::ReservedTopic { source })?;
    let log = CommitLog { store: Deadline::usual(store.clone()), paths };
    let mut records = Vec::new();
    for seq in log.sequences().await?.records.iter().rev().take(count) {
        records.push(log.read(*seq).await?);
    }
    Ok(records)
}

async fn check_files<S: FileStore>(
    store: &S,
    record: &CommitRecord,
    depth: Depth,
    progress: &dyn Progress,
    findings: &mut Findings,
) -> Result<(), RunError> {
    progress.begin(Phase::Verify, u64::try_from(record.files.len()).unwrap_or(u64::MAX));
    let checks: Vec<_> = record
        .files
        .iter()
        .map(|file| async {
            let problems = check_file(store, record.seq, file, depth).await;
            progress.advance(1);
            problems
        })
        .collect();
    let problems: Vec<Option<Problem>> =
        stream::iter(checks).buffered(PARALLEL_NAMES).try_collect().await?;
    progress.end();
    findings.problems.extend(problems.into_iter().flatten());
    for file in &record.files {
        findings.files += 1;
        findings.rows += file.rows;
        findings.bytes += file.len;
    }
    Ok(())
}

/// The first thing that is wrong with a file.
async fn check_file<S: FileStore>(
    store: &S,
    seq: u64,
    file: &CommittedFile,
    depth: Depth,
) -> Result<Option<Problem>, RunError> {
    let path = || file.path.clone();
    match insist(|| store.stat(&file.path)).await? {
        None | Some(EntryKind::Directory) => {
            return Ok(Some(Problem::Missing { seq, path: path() }));
        }
        Some(EntryKind::File { len: found }) if found != file.len => {
            let expected = file.len;
            return Ok(Some(Problem::Length { seq, path: path(), expected, found }));
        }
        Some(EntryKind::File { .. }) => {}
    }
    if depth == Depth::Lengths {
        return Ok(None);
    }
    let (hash, rows) = match read(store, &file.path).await {
        Ok(read) => read,
        Err(StoreError::NotFound { .. }) => {
            return Ok(Some(Problem::Missing { seq, path: path() }));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(if rows != Ok(file.rows) {
        Some(Problem::Rows { seq, path: path(), expected: file.rows, found: rows })
    } else if hash != file.sha256 {
        Some(Problem::Content { seq, path: path(), expected: file.sha256, found: hash })
    } else {
        None
    })
}

/// The hash of a file and the rows it holds.
async fn read<S: FileStore>(
    store: &S,
    path: &LakePath,
) -> Result<(Sha256Hash, Result<u64, InvalidContainer>), StoreError> {
    let mut hasher = Sha256::new();
    let mut scan = ContainerScan::new();
    let mut sound = Ok(());
    let mut position = 0;
    loop {
        let piece = insist(|| store.read(path, position, PIECE)).await?;
        if piece.is_empty() {
            let hash = Sha256Hash::from_bytes(hasher.finalize().into());
            return Ok((hash, sound.and_then(|()| scan.finish())));
        }
        hasher.update(&piece);
        sound = sound.and_then(|()| scan.feed(&piece));
        position += u64::try_from(piece.len()).unwrap_or(u64::MAX);
    }
}

/// Finds files that no commit names. Names that begin with `_` or `.` are markers of other tools,
/// and hidden from readers.
async fn find_strangers<S: FileStore>(
    store: &S,
    top: &LakePath,
    known: &BTreeSet<LakePath>,
    findings: &mut Findings,
) -> Result<(), RunError> {
    let mut pending = vec![top.clone()];
    while let Some(directory) = pending.pop() {
        for entry in list_or_none(store, &directory).await? {
            let hidden = entry.name.starts_with(['_', '.']);
            let Some(path) = directory.join(&entry.name).ok().filter(|_| !hidden) else { continue };
            match entry.kind {
                EntryKind::Directory => pending.push(path),
                EntryKind::File { .. } if known.contains(&path) => {}
                EntryKind::File { .. } => findings.problems.push(Problem::Extra { path }),
            }
        }
    }
    Ok(())
}
