//! `dohle tree`: the coordinators' tree, in the words of `ZooKeeper`'s shell.

mod shell;
mod watch;

use std::time::Duration;

use client::tree::{Lifetime, Naming, NodePath, SessionId, Stat, TreeClient};
use serde::Serialize;

use crate::args::tree::{Create, Verb};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Style};
use crate::session::Session;

/// What a session that lasts as long as this process outlasts it by, if it is killed.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Does what the verb says.
///
/// # Errors
///
/// No coordinator answers, or the tree refuses.
pub(crate) async fn run(verb: Verb, session: &Session, output: &mut Output) -> Result<(), Failure> {
    let tree = session.tree();
    match verb {
        Verb::Shell { session_timeout } => {
            shell::run(&tree, session_timeout, session, output).await
        }
        Verb::Create(create) if create.ephemeral => {
            create_and_stay(&tree, &create, session, output).await
        }
        verb @ (Verb::Ls { .. }
        | Verb::Get { .. }
        | Verb::Create(_)
        | Verb::Set { .. }
        | Verb::Delete { .. }
        | Verb::DeleteAll { .. }
        | Verb::Stat { .. }
        | Verb::Watch { .. }) => {
            tokio::select! {
                result = perform(verb, &tree, None, output) => result,
                () = session.interrupted.cancelled() => Err(Failure::Told(Exit::Interrupted)),
            }
        }
    }
}

/// One command, by itself or in a shell that has a session.
async fn perform(
    verb: Verb,
    tree: &TreeClient,
    session: Option<SessionId>,
    output: &mut Output,
) -> Result<(), Failure> {
    match verb {
        Verb::Ls { path } => {
            let names = tree.children(&path).await?;
            match output.style() {
                Style::Json => output.json(&names)?,
                Style::Table => output.line(&format!("[{}]", names.join(", ")))?,
            }
        }
        Verb::Get { path, stat: with_stat } => {
            let (data, stat) = tree.get(&path).await?;
            match output.style() {
                Style::Json => {
                    let data = Some(String::from_utf8_lossy(&data).into_owned());
                    output.json(&NodeRow { data, ..NodeRow::of(&path, &stat) })?;
                }
                Style::Table => {
                    output.bytes(&data)?;
                    output.line("")?;
                    if with_stat {
                        output.line(&stat_text(&stat))?;
                    }
                }
            }
        }
        Verb::Create(create) => {
            let path = make(tree, &create, session).await?;
            created(&path, output)?;
        }
        Verb::Set { path, data, version } => {
            tree.set(&path, data, version).await?;
        }
        Verb::Delete { path, recursive: false, version } => tree.delete(&path, version).await?,
        Verb::Delete { path, recursive: true, .. } | Verb::DeleteAll { path } => {
            tree.delete_all(&path).await?;
        }
        Verb::Stat { path } => {
            let stat = tree.stat(&path).await?;
            match output.style() {
                Style::Json => output.json(&NodeRow::of(&path, &stat))?,
                Style::Table => output.line(&stat_text(&stat))?,
            }
        }
        Verb::Watch { path, node_only, max_changes } => {
            watch::run(tree, &path, !node_only, max_changes, output).await?;
        }
        Verb::Shell { .. } => return Err(Failure::usage("this is a shell already")),
    }
    Ok(())
}

async fn make(
    tree: &TreeClient,
    create: &Create,
    session: Option<SessionId>,
) -> Result<String, Failure> {
    let lifetime = match session {
        Some(session) if create.ephemeral => Lifetime::Ephemeral(session),
        Some(_) | None => Lifetime::Persistent,
    };
    let naming = if create.sequential { Naming::Sequential } else { Naming::Given };
    Ok(tree.create(&create.path, create.data.clone(), lifetime, naming).await?)
}

fn created(path: &str, output: &mut Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Created<'a> {
        created: &'a str,
    }
    match output.style() {
        Style::Json => output.json(&Created { created: path })?,
        Style::Table => output.line(&format!("Created {path}"))?,
    }
    Ok(())
}

/// An ephemeral node lasts as long as its session, and that as long as this.
async fn create_and_stay(
    tree: &TreeClient,
    create: &Create,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let owner = tree.session(SESSION_TIMEOUT).await?;
    let made = make(tree, create, Some(owner.id())).await;
    let stayed = match made {
        Ok(path) => {
            created(&path, output)?;
            output.note("the node goes when this command ends; Ctrl-C ends it");
            tokio::select! {
                () = session.interrupted.cancelled() => Ok(()),
                () = owner.lost().cancelled() => {
                    Err(Failure::new(Exit::Unreachable, "the session is over, and the node is gone"))
                }
            }
        }
        Err(failure) => Err(failure),
    };
    // Whatever became of it, nothing of ours is to stay behind.
    owner.close().await.ok();
    stayed
}

#[derive(Serialize)]
struct NodeRow {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    version: u64,
    created_revision: u64,
    modified_revision: u64,
    session: Option<u64>,
    data_length: u32,
    children: u32,
}

impl NodeRow {
    fn of(path: &NodePath, stat: &Stat) -> Self {
        Self {
            path: path.to_string(),
            data: None,
            version: stat.version.get(),
            created_revision: stat.created.get(),
            modified_revision: stat.modified.get(),
            session: stat.owner.map(SessionId::get),
            data_length: stat.data_length,
            children: stat.children,
        }
    }
}

/// As `ZooKeeper`'s shell prints it, without what our nodes do not have.
fn stat_text(stat: &Stat) -> String {
    let owner = stat.owner.map_or(0, SessionId::get);
    format!(
        "cZxid = {:#x}\nmZxid = {:#x}\ndataVersion = {}\nephemeralOwner = {owner:#x}\n\
         dataLength = {}\nnumChildren = {}",
        stat.created.get(),
        stat.modified.get(),
        stat.version,
        stat.data_length,
        stat.children
    )
}
