//! `dohle schema`: what the registry holds, and what it would take.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use client::registry::{Deletion, RegistryClient, RegistryError, Verdict, Version};
use serde::Serialize;

use crate::args::schema::{Compat, SchemaRef, Verb};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Show, Style, Table, typed};
use crate::session::Session;

/// Does what the verb says.
///
/// # Errors
///
/// The registry does not answer, knows no such schema, or refuses.
pub(crate) async fn run(verb: Verb, session: &Session, output: &mut Output) -> Result<(), Failure> {
    let registry = session.registry()?;
    match verb {
        Verb::Register { subject, file } => register(&registry, subject, &file, output).await,
        Verb::List => {
            let subjects = registry.subjects().await?;
            if subjects.is_empty() {
                output.note("there are no subjects; dohle schema register SUBJECT FILE makes one");
            }
            Ok(output.show(&Names { head: "subject", names: subjects })?)
        }
        Verb::Get { schema } => get(&registry, &schema, output).await,
        Verb::Versions { subject } => {
            let versions = registry.versions(&subject).await.map_err(no_such)?;
            let names = versions.iter().map(u32::to_string).collect();
            Ok(output.show(&Names { head: "version", names })?)
        }
        Verb::Check { subject, file } => check(&registry, &subject, &file, output).await,
        Verb::Compat(Compat::Get { subject }) => {
            let level = registry.compatibility(subject.as_deref()).await.map_err(no_such)?;
            Ok(output.show(&LevelShown { subject, level })?)
        }
        Verb::Compat(Compat::Set { level, subject }) => {
            let level = level.as_str().to_owned();
            registry.set_compatibility(subject.as_deref(), &level).await?;
            Ok(output.show(&LevelShown { subject, level })?)
        }
        Verb::Delete { subject, permanent } => {
            delete(&registry, &subject, permanent, session, output).await
        }
    }
}

/// The text of a schema's file; `-` is stdin.
///
/// # Errors
///
/// It cannot be read.
pub(crate) async fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        typed(|text| io::stdin().read_to_string(text)).await
    } else {
        fs::read_to_string(path)
    };
    let text = text.map_err(|error| Failure::from(error).within(&path.display().to_string()))?;
    // The line end of the file is no part of the schema.
    Ok(text.trim_end().to_owned())
}

#[derive(Serialize)]
struct Registered {
    subject: String,
    id: u32,
}

impl Show for Registered {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("subject", &self.subject);
        facts.fact("id", self.id);
        vec![facts]
    }
}

async fn register(
    registry: &RegistryClient,
    subject: String,
    file: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let text = read(file).await?;
    let id = registry.register(&subject, &text).await.map_err(|error| {
        let advice = || format!("schema check {subject} {}", file.display());
        Failure::from(error).next_if(Exit::Conflict, advice)
    })?;
    Ok(output.show(&Registered { subject, id: id.get() })?)
}

/// A list of one column; for programs, an array.
struct Names {
    head: &'static str,
    names: Vec<String>,
}

impl Serialize for Names {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names.serialize(serializer)
    }
}

impl Show for Names {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new([self.head]);
        for name in &self.names {
            table.row([name.clone()]);
        }
        vec![table]
    }
}

#[derive(Serialize)]
struct Found {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    id: u32,
    schema: String,
}

async fn get(
    registry: &RegistryClient,
    schema: &SchemaRef,
    output: &mut Output,
) -> Result<(), Failure> {
    let of_subject = |subject: &String, found: Version| Found {
        subject: Some(subject.clone()),
        version: Some(found.version),
        id: found.id.get(),
        schema: found.schema,
    };
    let found = match schema {
        SchemaRef::Id(id) => {
            let schema = registry.schema(*id).await.map_err(no_such)?;
            Found { subject: None, version: None, id: id.get(), schema }
        }
        SchemaRef::Subject(subject) => {
            of_subject(subject, registry.latest(subject).await.map_err(no_such)?)
        }
        SchemaRef::Version(subject, version) => {
            of_subject(subject, registry.version(subject, *version).await.map_err(no_such)?)
        }
    };
    match output.style() {
        // The schema itself is what one wants in a file.
        Style::Table => Ok(output.line(&found.schema)?),
        Style::Json => Ok(output.json(&found)?),
    }
}

#[derive(Serialize)]
struct Checked {
    is_compatible: bool,
    messages: Vec<String>,
}

impl Show for Checked {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact("compatible", if self.is_compatible { "yes" } else { "no" });
        for message in &self.messages {
            facts.fact("because", message);
        }
        vec![facts]
    }
}

async fn check(
    registry: &RegistryClient,
    subject: &str,
    file: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let text = read(file).await?;
    let Verdict { is_compatible, messages } =
        registry.check(subject, &text).await.map_err(no_such)?;
    output.show(&Checked { is_compatible, messages })?;
    if is_compatible {
        return Ok(());
    }
    let failure = Failure::new(Exit::Conflict, format!("incompatible with {subject}"));
    Err(failure.next(format!("schema compat get {subject}")))
}

#[derive(Serialize)]
struct LevelShown {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    level: String,
}

impl Show for LevelShown {
    fn tables(&self) -> Vec<Table> {
        let mut facts = Table::facts();
        facts.fact(self.subject.as_deref().unwrap_or("all others"), &self.level);
        vec![facts]
    }
}

async fn delete(
    registry: &RegistryClient,
    subject: &SchemaRef,
    permanent: bool,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let (subject, version) = of_subject(subject)?;
    if !session.common.yes {
        let what =
            version.map_or("all versions".to_owned(), |version| format!("version {version}"));
        let how = if permanent { " for good" } else { "" };
        output.confirm(&format!("This deletes {what} of {subject}{how}")).await?;
    }
    let deletion = if permanent { Deletion::Permanent } else { Deletion::Soft };
    let versions = match version {
        Some(version) => {
            let deleted = registry.delete_version(subject, version, deletion).await;
            deleted.map_err(no_such)?;
            vec![version]
        }
        None => registry.delete_subject(subject, deletion).await.map_err(no_such)?,
    };
    let names = versions.iter().map(u32::to_string).collect();
    Ok(output.show(&Names { head: "deleted", names })?)
}

/// A subject and perhaps one version; an id names neither.
fn of_subject(schema: &SchemaRef) -> Result<(&str, Option<u32>), Failure> {
    match schema {
        SchemaRef::Subject(subject) => Ok((subject, None)),
        SchemaRef::Version(subject, version) => Ok((subject, Some(*version))),
        SchemaRef::Id(id) => {
            let message = format!("#{id} names a schema; a SUBJECT or SUBJECT@VERSION is needed");
            Err(Failure::usage(message).next("schema list"))
        }
    }
}

fn no_such(error: RegistryError) -> Failure {
    Failure::from(error).next_if(Exit::NotFound, || "schema list".to_owned())
}
