//! `dohle sink`: topics into a lake, exactly once.

mod report;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use lake::LakePath;
use lake::partitioner::{EpochUnit, Partitioner, TimeSource, UndatedPolicy};
use lake::plan::{GapPolicy, Limits};
use sink::platform::{RegistrySchemas, TopicSource};
use sink::progress::{Bars, Progress, Silent};
use sink::store::{EntryKind, FileStore, HdfsStore, HdfsUrl, LakePlace, LocalStore, StoreError};
use sink::{Depth, FileSettings, RunError, Settings, Sink, TombstonePolicy};
use types::TopicName;

pub(super) use self::report::{FileRow, files};

use self::report::{Commits, DryRunReport, RunReport, Verdict};
use crate::args::sink::{Codec, Gaps, History, Land, TimeUnit, Tombstones, Undated, Verify};
use crate::exit::{Exit, Failure};
use crate::output::{Output, counted};
use crate::session::Session;

/// Lands what is new in each topic. One that fails does not keep the others from their turn.
///
/// # Errors
///
/// The cluster, the registry or the lake cannot be used, or another run was first.
pub(super) async fn land(
    run: &Land,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    match &run.lake.place {
        LakePlace::Local(root) => land_in(LocalStore::new(root), run, session, output).await,
        LakePlace::Hdfs(url) => land_in(connect(url, session).await?, run, session, output).await,
    }
}

async fn land_in<S: FileStore>(
    store: S,
    run: &Land,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let source = TopicSource::new(session.client().await?);
    let schemas = RegistrySchemas::new(session.registry()?);
    let progress: Arc<dyn Progress> =
        if output.is_watched() { Arc::new(Bars::new()) } else { Arc::new(Silent) };
    let sink =
        Sink::new(store, source, schemas, settings(run), session.clock).with_progress(progress);
    let mut first = Ok(());
    for topic in &run.topics {
        let landed = land_one(&sink, run, topic, session, output).await;
        match (&first, landed) {
            (_, Ok(())) => {}
            (Ok(()), Err(failure)) => first = Err(failure),
            (Err(_), Err(failure)) => {
                output.finish(Err(failure));
            }
        }
        if session.interrupted.is_cancelled() {
            break;
        }
    }
    first
}

async fn land_one<S: FileStore>(
    sink: &Sink<S, TopicSource, RegistrySchemas>,
    run: &Land,
    topic: &TopicName,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    if run.dry_run {
        let plan = sink.dry_run(topic).await.map_err(|error| advise(&error, topic))?;
        return Ok(output.show(&DryRunReport::new(topic, &plan))?);
    }
    let run_id = sink.new_run_id().map_err(|error| failure(&error))?;
    let landed = sink.run(topic, run_id, &session.interrupted).await;
    let landed = landed.map_err(|error| advise(&error, topic))?;
    Ok(output.show(&RunReport::new(&landed))?)
}

/// Compares the lake with its log of commits.
///
/// # Errors
///
/// They differ, nothing was landed there, or the lake cannot be read.
pub(super) async fn verify(
    verify: &Verify,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    match &verify.lake.place {
        LakePlace::Local(root) => verify_in(&existing(root)?, verify, output).await,
        LakePlace::Hdfs(url) => verify_in(&existing_in(url, session).await?, verify, output).await,
    }
}

async fn verify_in<S: FileStore>(
    store: &S,
    verify: &Verify,
    output: &mut Output,
) -> Result<(), Failure> {
    let depth = if verify.quick { Depth::Lengths } else { Depth::Contents };
    let progress: &dyn Progress = if output.is_watched() { &Bars::new() } else { &Silent };
    let mut problems = 0;
    for topic in &verify.topics {
        let findings = sink::verify(store, topic, depth, progress).await;
        let findings = findings.map_err(|error| failure(&error))?;
        if findings.commits == 0 && findings.problems.is_empty() {
            return Err(nothing_landed(topic));
        }
        problems += u64::try_from(findings.problems.len()).unwrap_or(u64::MAX);
        output.show(&Verdict::new(topic, &findings))?;
    }
    if problems == 0 {
        return Ok(());
    }
    let problems = counted(problems, "problem");
    let message = format!("the lake is not what its log says: {problems}");
    Err(Failure::new(Exit::Other, message))
}

/// Lists the last commits of a topic.
///
/// # Errors
///
/// Nothing was landed there, or the lake cannot be read.
pub(super) async fn history(
    history: &History,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    match &history.lake.place {
        LakePlace::Local(root) => history_in(&existing(root)?, history, output).await,
        LakePlace::Hdfs(url) => {
            history_in(&existing_in(url, session).await?, history, output).await
        }
    }
}

async fn history_in<S: FileStore>(
    store: &S,
    history: &History,
    output: &mut Output,
) -> Result<(), Failure> {
    let commits = sink::history(store, &history.topic, history.count).await;
    let commits = commits.map_err(|error| failure(&error))?;
    if commits.is_empty() {
        return Err(nothing_landed(&history.topic));
    }
    Ok(output.show(&Commits::new(&commits))?)
}

/// A lake that is to be looked at only: a mistyped path must not become one.
fn existing(root: &Path) -> Result<LocalStore, Failure> {
    if root.is_dir() { Ok(LocalStore::new(root)) } else { Err(no_lake(&root.display())) }
}

async fn existing_in(url: &HdfsUrl, session: &Session) -> Result<HdfsStore, Failure> {
    let store = connect(url, session).await?;
    let root = store.stat(&LakePath::root()).await.map_err(|error| failure(&error.into()))?;
    if root == Some(EntryKind::Directory) { Ok(store) } else { Err(no_lake(url)) }
}

async fn connect(url: &HdfsUrl, session: &Session) -> Result<HdfsStore, Failure> {
    let store = HdfsStore::connect(url.clone(), session.common.timeout).await;
    store.map_err(|error| failure(&error.into()))
}

fn no_lake(place: &dyn fmt::Display) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no lake at {place}")).next("sink run --help")
}

fn nothing_landed(topic: &TopicName) -> Failure {
    let message = format!("nothing of {topic} was landed there");
    Failure::new(Exit::NotFound, message).next(format!("sink run {topic} --dry-run --lake LAKE"))
}

/// A run's settings, as the command line has them.
fn settings(run: &Land) -> Settings {
    let usual = Settings::usual(partitioner(run));
    Settings {
        gaps: match run.gaps {
            Gaps::Fail => GapPolicy::Fail,
            Gaps::Skip => GapPolicy::Skip,
        },
        tombstones: match run.tombstones {
            Tombstones::Skip => TombstonePolicy::Skip,
            Tombstones::Quarantine => TombstonePolicy::Quarantine,
        },
        limits: Limits { max_records_per_partition: run.max_records },
        files: FileSettings {
            codec: match run.codec {
                Codec::Null => lake::avro::Codec::Null,
                Codec::Deflate => lake::avro::Codec::Deflate,
                Codec::Snappy => lake::avro::Codec::Snappy,
            },
            ..usual.files
        },
        ..usual
    }
}

fn partitioner(run: &Land) -> Partitioner {
    let unit = match run.time_unit {
        TimeUnit::Seconds => EpochUnit::Seconds,
        TimeUnit::Millis => EpochUnit::Millis,
        TimeUnit::Micros => EpochUnit::Micros,
    };
    let time = match &run.time_field {
        Some(field) => {
            TimeSource::Field { path: field.split('.').map(str::to_owned).collect(), unit }
        }
        None => TimeSource::RecordTimestamp,
    };
    let undated = match run.undated {
        Undated::Quarantine => UndatedPolicy::Quarantine,
        Undated::Directory => UndatedPolicy::Directory,
    };
    Partitioner::new(time, run.directories.clone(), run.timezone, undated)
}

/// What a failed run of one topic means.
fn advise(error: &RunError, topic: &TopicName) -> Failure {
    failure(error).next_if(Exit::NotFound, || format!("topic create {topic}"))
}

fn failure(error: &RunError) -> Failure {
    if matches!(error, RunError::Interrupted) {
        return Failure::new(Exit::Interrupted, error.to_string());
    }
    if matches!(error, RunError::Store(StoreError::Denied { .. })) {
        return Failure::new(Exit::Denied, error.to_string());
    }
    if error.is_fenced() {
        return Failure::new(Exit::Fenced, error.to_string()).next("sink history --help");
    }
    Failure::coded(error)
}
