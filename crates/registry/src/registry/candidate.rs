//! A schema that somebody sends, read in the light of what it refers to.

use std::collections::BTreeSet;

use md5::{Digest as _, Md5};
use schema::{ParseError, Parser, Schema, VersionSelector};

use super::Subject;
use crate::error::{InvalidSchema, RegistryError, RejectedSchema, SchemaContext};
use crate::store::{Reference, SchemaRecord, Stored, View};

/// How many schemas one may refer to, directly or through others.
const MAX_REFERENCES: usize = 1000;

/// A schema as it comes in a request.
#[derive(Clone, Debug)]
pub(crate) struct SchemaRequest {
    /// Absent or blank is not yet wrong: a lookup finds nothing then.
    pub(crate) text: Option<String>,
    /// Absent means Avro.
    pub(crate) kind: Option<String>,
    pub(crate) references: Vec<RequestedReference>,
    pub(crate) normalize: bool,
}

/// A reference as it comes in a request; version -1 is the latest.
#[derive(Clone, Debug)]
pub(crate) struct RequestedReference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: i32,
}

/// A schema that is valid and could be registered.
pub(super) struct Candidate {
    pub(super) schema: Schema,
    pub(super) record: SchemaRecord,
    /// What its id belongs to.
    pub(super) content: [u8; 16],
}

impl SchemaRequest {
    /// The text, unless there is none to speak of.
    fn text(&self) -> Option<&str> {
        self.text.as_deref().filter(|text| !text.trim().is_empty())
    }

    /// Reads the schema; `None` if there is no text.
    pub(super) fn candidate(
        &self,
        view: &View<'_>,
        subject: &Subject,
        normalize: bool,
    ) -> Result<Option<Candidate>, RegistryError> {
        if let Some(kind) = self.kind.as_ref().filter(|kind| !kind.eq_ignore_ascii_case("AVRO")) {
            return Err(RegistryError::InvalidType { kind: kind.clone() });
        }
        let Some(text) = self.text() else { return Ok(None) };
        let mut references = Vec::with_capacity(self.references.len());
        for reference in &self.references {
            let Some(found) = reference.look_up(view)? else {
                let (subject_of, version) = (reference.subject.clone(), reference.version);
                let cause = InvalidSchema::MissingReference { subject: subject_of, version };
                return Err(invalid(subject, text, &references, cause));
            };
            references.push(found);
        }
        let normalize = normalize || self.normalize;
        if normalize {
            references.sort();
            references.dedup();
        }
        let schema = match parse(view, text, &references)? {
            Ok(schema) => schema,
            Err(cause) => return Err(invalid(subject, text, &references, cause)),
        };
        let text = if normalize { schema.normalized() } else { schema.canonical() };
        let content = content_hash(&text, &references, &schema);
        let record = SchemaRecord { text, references };
        Ok(Some(Candidate { schema, record, content }))
    }
}

impl RequestedReference {
    fn look_up(&self, view: &View<'_>) -> Result<Option<Reference>, RegistryError> {
        let Ok(selector) = VersionSelector::parse(&self.version.to_string()) else {
            return Ok(None);
        };
        if Subject::new(self.subject.clone()).is_err() {
            return Ok(None);
        }
        let history = view.history(&self.subject)?;
        let found = match selector {
            VersionSelector::Latest => history.live().next_back(),
            VersionSelector::Exactly(version) => {
                history.live().find(|entry| entry.version == version)
            }
        };
        Ok(found.map(|entry| Reference {
            name: self.name.clone(),
            subject: self.subject.clone(),
            version: entry.version,
        }))
    }
}

pub(super) fn invalid(
    subject: &Subject,
    text: &str,
    references: &[Reference],
    cause: InvalidSchema,
) -> RegistryError {
    let context = SchemaContext {
        subject: subject.as_str().to_owned(),
        text: text.to_owned(),
        references: references.to_vec(),
    };
    RegistryError::InvalidSchema(Box::new(RejectedSchema { context, cause }))
}

/// Reads what was registered once. That it can be read was checked then.
pub(super) fn parse_stored(view: &View<'_>, stored: &Stored) -> Result<Schema, RegistryError> {
    let SchemaRecord { text, references } = &stored.record;
    parse(view, text, references)?
        .map_err(|_cause| RegistryError::Damaged { key: format!("schema {}", stored.id) })
}

/// The outer error is the store's, the inner one the schema's.
fn parse(
    view: &View<'_>,
    text: &str,
    references: &[Reference],
) -> Result<Result<Schema, InvalidSchema>, RegistryError> {
    let mut closure = Closure { view, parser: Parser::new(), visited: BTreeSet::new() };
    match closure.add_all(references) {
        Ok(()) => Ok(closure.parser.parse(text).map_err(InvalidSchema::Text)),
        Err(Fault::Schema(fault)) => Ok(Err(*fault)),
        Err(Fault::Store(fault)) => Err(fault),
    }
}

/// What a schema refers to, read depth first: each after what it refers to itself.
struct Closure<'a, 'b> {
    view: &'a View<'b>,
    parser: Parser,
    visited: BTreeSet<(String, u32)>,
}

enum Fault {
    Schema(Box<InvalidSchema>),
    Store(RegistryError),
}

impl From<InvalidSchema> for Fault {
    fn from(fault: InvalidSchema) -> Self {
        Self::Schema(Box::new(fault))
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        Self::Store(error)
    }
}

impl Closure<'_, '_> {
    fn add_all(&mut self, references: &[Reference]) -> Result<(), Fault> {
        // A stack of its own, for a chain of references may be as long as anybody likes.
        let mut pending: Vec<Step> = references.iter().rev().cloned().map(Step::Open).collect();
        while let Some(step) = pending.pop() {
            match step {
                Step::Open(reference) => {
                    if let Some(inner) = self.open(&reference)? {
                        let opened = inner.references.iter().rev().cloned().map(Step::Open);
                        let opened: Vec<_> = opened.collect();
                        pending.push(Step::Close(reference, inner.text));
                        pending.extend(opened);
                    }
                }
                Step::Close(reference, text) => self.close(&reference, &text)?,
            }
        }
        Ok(())
    }

    /// What a reference refers to, unless it was come across before.
    fn open(&mut self, reference: &Reference) -> Result<Option<SchemaRecord>, Fault> {
        let Reference { subject, version, .. } = reference;
        if !self.visited.insert((subject.clone(), *version)) {
            return Ok(None);
        }
        if MAX_REFERENCES < self.visited.len() {
            return Err(InvalidSchema::TooManyReferences { limit: MAX_REFERENCES }.into());
        }
        let history = self.view.history(subject)?;
        let stored = match history.find(*version) {
            Some(entry) => self.view.schema(entry.id)?,
            None => None,
        };
        let Some(stored) = stored else {
            let version = i32::try_from(*version).unwrap_or(i32::MAX);
            let cause = InvalidSchema::MissingReference { subject: subject.clone(), version };
            return Err(cause.into());
        };
        Ok(Some(stored.record.clone()))
    }

    fn close(&mut self, reference: &Reference, text: &str) -> Result<(), Fault> {
        self.parser.add_reference(text).map_err(|cause: ParseError| {
            let (subject, version) = (reference.subject.clone(), reference.version);
            InvalidSchema::Reference { subject, version, cause }.into()
        })
    }
}

enum Step {
    Open(Reference),
    Close(Reference, String),
}

/// The hash that an id belongs to. The lengths keep neighbouring texts apart. What references
/// resolve to is part of it: version numbers begin anew once a subject was deleted for good.
fn content_hash(text: &str, references: &[Reference], schema: &Schema) -> [u8; 16] {
    let mut hash = Md5::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(text);
    for Reference { name, subject, version } in references {
        add(name);
        add(subject);
        add(&version.to_string());
    }
    if !references.is_empty() {
        add(&schema.resolved());
    }
    hash.finalize().into()
}
