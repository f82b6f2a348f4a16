//! Changes as they come. A coordinator that goes away is looked for again, and the watch goes on at
//! its last revision.

use std::time::Duration;

use client::tree::{Change, News, NodePath, Scope, TreeClient, TreeError};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use types::{Code, Coded as _, Reason, Revision};

use crate::exit::Failure;
use crate::output::{Output, Style};

/// How long coordinators may be gone: many times what a restart takes. Later the addresses are
/// more likely wrong than the coordinators late.
const OUTAGE: Duration = Duration::from_mins(10);
/// A watch that lives for this long was not broken off as soon as it was begun.
const LASTING: Duration = Duration::from_secs(10);
/// Between two looks for a coordinator.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Row<'a> {
    revision: u64,
    change: &'static str,
    path: &'a str,
}

/// Prints changes until `max_changes` were seen, if that is ever.
///
/// # Errors
///
/// No coordinator answers, at first or for [`OUTAGE`] later on.
pub(super) async fn run(
    tree: &TreeClient,
    path: &NodePath,
    subtree: bool,
    max_changes: Option<u64>,
    output: &mut Output,
) -> Result<(), Failure> {
    let scope = Scope { subtree, with_data: false };
    let mut last: Option<Revision> = None;
    let mut silence: Option<Silence> = None;
    let mut seen = 0;
    loop {
        let mut watch = match tree.watch(path, scope, last).await {
            Ok(watch) => watch,
            Err(error) if error.reason() == Reason::RevisionOutOfRange && last.is_some() => {
                output.warn("changes were missed: the coordinator no longer holds them");
                last = None;
                continue;
            }
            Err(error) => match &mut silence {
                Some(silence) if passes(&error) => {
                    silence.tell(&error, output);
                    silence.bear(error).await?;
                    continue;
                }
                Some(_) | None => return Err(error.into()),
            },
        };
        let begun = Instant::now();
        loop {
            let (revision, news) = match watch.next().await {
                Ok(next) => next,
                // A connection that breaks amid a stream may look like a fault of the other side.
                Err(error) if passes(&error) || error.code() == Code::Internal => {
                    // Nothing may have changed for long, while somebody would have told of it.
                    silence = silence.filter(|_| begun.elapsed() < LASTING);
                    if let Some(silence) = &mut silence {
                        silence.tell(&error, output);
                    }
                    silence.get_or_insert_with(Silence::begin).bear(error).await?;
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            silence = None;
            match news {
                News::Snapshot { complete: false, .. } => continue,
                News::Snapshot { complete: true, .. } => {
                    output.note(&format!("watching {path} from revision {revision}"));
                }
                News::Progress => {}
                News::Changes(changes) => {
                    for change in &changes {
                        show(revision, change, output)?;
                        seen += 1;
                        if max_changes.is_some_and(|max| max <= seen) {
                            return Ok(());
                        }
                    }
                }
            }
            last = Some(revision);
        }
    }
}

/// A time without word from a coordinator, after a watch was begun.
struct Silence {
    since: Instant,
    told: bool,
}

impl Silence {
    fn begin() -> Self {
        Self { since: Instant::now(), told: false }
    }

    fn tell(&mut self, error: &TreeError, output: &mut Output) {
        if !self.told {
            output.warn(&format!("{error}; the watch goes on once a coordinator answers"));
            self.told = true;
        }
    }

    /// Waits a little; fails once it has lasted for too long.
    async fn bear(&self, error: TreeError) -> Result<(), TreeError> {
        if OUTAGE < self.since.elapsed() {
            return Err(error);
        }
        sleep(PAUSE).await;
        Ok(())
    }
}

/// Whether a coordinator may do later what it, or none, does now.
fn passes(error: &TreeError) -> bool {
    match error.code() {
        Code::Stale | Code::Unavailable | Code::Timeout => true,
        Code::Invalid
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Exhausted
        | Code::DataLoss
        | Code::Internal => false,
    }
}

fn show(revision: Revision, change: &Change, output: &mut Output) -> Result<(), Failure> {
    let (change, path) = match change {
        Change::Created(node) => ("created", &node.path),
        Change::Changed(node) => ("changed", &node.path),
        Change::Deleted { path } => ("deleted", path),
    };
    match output.style() {
        Style::Json => output.json(&Row { revision: revision.get(), change, path })?,
        Style::Table => output.line(&format!("{change} {path}"))?,
    }
    Ok(())
}
