//! Changes as they come. A coordinator that goes away is looked for again, and the watch goes on at
//! its last revision.

use client::tree::{Change, News, NodePath, Scope, TreeClient};
use serde::Serialize;
use types::{Code, Coded as _, Reason, Revision};

use crate::exit::Failure;
use crate::output::{Output, Style};

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
/// No coordinator answers.
pub(super) async fn run(
    tree: &TreeClient,
    path: &NodePath,
    subtree: bool,
    max_changes: Option<u64>,
    output: &mut Output,
) -> Result<(), Failure> {
    let scope = Scope { subtree, with_data: false };
    let mut last: Option<Revision> = None;
    let mut seen = 0;
    loop {
        let mut watch = match tree.watch(path, scope, last).await {
            Ok(watch) => watch,
            Err(error) if error.reason() == Reason::RevisionOutOfRange && last.is_some() => {
                output.warn("changes were missed: the coordinator no longer holds them");
                last = None;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        loop {
            let (revision, news) = match watch.next().await {
                Ok(next) => next,
                Err(error) => match error.code() {
                    Code::Stale | Code::Unavailable | Code::Timeout => break,
                    Code::Invalid
                    | Code::NotFound
                    | Code::AlreadyExists
                    | Code::Exhausted
                    | Code::DataLoss
                    | Code::Internal => return Err(error.into()),
                },
            };
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
