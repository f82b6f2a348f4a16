//! Registering, looking up and testing schemas.

use schema::{Earlier, Entry, History, Level, Liveness, Mode, VersionSelector, check};
use types::SchemaId;

use super::candidate::{Candidate, invalid};
use super::query::{Deleted, FoundVersion, found};
use super::{
    Registry, SchemaRequest, Subject, level_of, mode_of, normalizes, parsed, version_not_found,
};
use crate::error::{InvalidSchema, RegistryError};
use crate::store::{Change, View};

/// A request to register a schema.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) schema: SchemaRequest,
    /// Brought along in import mode only.
    pub(crate) id: Option<u32>,
    /// Must be the next one outside import mode.
    pub(crate) version: Option<u32>,
}

/// Whether a schema would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tested {
    Compatible,
    Incompatible { messages: Vec<String> },
}

impl Registry {
    /// Registers a schema, or finds it registered.
    pub(crate) fn register(
        &self,
        subject: &Subject,
        registration: &Registration,
    ) -> Result<SchemaId, RegistryError> {
        self.change(|view| {
            let normalize = normalizes(view, subject)?;
            let candidate = registration.schema.candidate(view, subject, normalize)?;
            let candidate = candidate.ok_or(RegistryError::EmptySchema)?;
            let history = view.history(subject.as_str())?;
            let known = view.id_of(&candidate.content)?;
            if let Some(entry) = known.and_then(|id| history.live_with(id)) {
                let asked = registration.id.is_none_or(|id| id == entry.id.get());
                if asked && registration.version.is_none_or(|version| version == entry.version) {
                    return Ok((Change::default(), entry.id));
                }
            }
            let mode = mode_of(view, subject)?;
            let id = choose_id(view, subject, registration.id, known, mode)?;
            if mode != Mode::Import {
                refuse_incompatible(view, subject, &candidate, &history)?;
            }
            let version = choose_version(subject, &history, registration.version, mode)?;
            let entry = Entry { version, id, liveness: Liveness::Live };
            let change = addition(view, subject, &candidate, &history, entry)?;
            Ok((change, id))
        })
    }

    /// Finds the version of a subject that has this very schema.
    pub(crate) fn look_up(
        &self,
        subject: &Subject,
        request: &SchemaRequest,
        deleted: Deleted,
    ) -> Result<FoundVersion, RegistryError> {
        let view = self.store.view();
        let normalize = normalizes(&view, subject)?;
        let candidate = request.candidate(&view, subject, normalize)?;
        let history = view.history(subject.as_str())?;
        let visible: Vec<_> = deleted.of(&history).collect();
        if visible.is_empty() {
            return Err(subject.not_found());
        }
        let candidate = candidate.ok_or(RegistryError::SchemaNotFound)?;
        if let Some(id) = view.id_of(&candidate.content)?
            && let Some(entry) = visible.iter().rev().find(|entry| entry.id == id)
        {
            return found(&view, subject.as_str().to_owned(), **entry);
        }
        if candidate.record.references.is_empty() {
            let resolved = candidate.schema.resolved();
            for entry in visible.iter().rev() {
                let stored = view.schema(entry.id)?.ok_or(RegistryError::SchemaNotFound)?;
                let refers = !stored.record.references.is_empty();
                if refers && parsed(&view, &stored)?.resolved() == resolved {
                    return found(&view, subject.as_str().to_owned(), **entry);
                }
            }
        }
        Err(RegistryError::SchemaNotFound)
    }

    /// Tests a schema against one version of a subject.
    pub(crate) fn test_against_version(
        &self,
        subject: &Subject,
        selector: VersionSelector,
        request: &SchemaRequest,
    ) -> Result<Tested, RegistryError> {
        let view = self.store.view();
        let candidate = candidate_to_test(&view, subject, request)?;
        let history = view.history(subject.as_str())?;
        let entry = match selector {
            VersionSelector::Latest => history.live().next_back(),
            VersionSelector::Exactly(version) => {
                let found = history.live().find(|entry| entry.version == version);
                Some(found.ok_or_else(|| version_not_found(selector))?)
            }
        };
        test(&view, subject, &candidate, &entry.into_iter().copied().collect::<Vec<_>>())
    }

    /// Tests a schema against a subject, as registering it would.
    pub(crate) fn test_against_subject(
        &self,
        subject: &Subject,
        request: &SchemaRequest,
    ) -> Result<Tested, RegistryError> {
        let view = self.store.view();
        let candidate = candidate_to_test(&view, subject, request)?;
        let history = view.history(subject.as_str())?;
        test(&view, subject, &candidate, &newest_first(&history))
    }
}

fn candidate_to_test(
    view: &View<'_>,
    subject: &Subject,
    request: &SchemaRequest,
) -> Result<Candidate, RegistryError> {
    let normalize = normalizes(view, subject)?;
    request.candidate(view, subject, normalize)?.ok_or(RegistryError::EmptySchema)
}

fn choose_id(
    view: &View<'_>,
    subject: &Subject,
    asked: Option<u32>,
    known: Option<SchemaId>,
    mode: Mode,
) -> Result<SchemaId, RegistryError> {
    let subject = || subject.as_str().to_owned();
    match (mode, asked) {
        (Mode::ReadOnly | Mode::ReadOnlyOverride, _) => {
            Err(RegistryError::ReadOnly { subject: subject() })
        }
        (Mode::ReadWrite, Some(_)) => Err(RegistryError::NotInImportMode { subject: subject() }),
        (Mode::Import, None) => Err(RegistryError::InImportMode { subject: subject() }),
        (Mode::ReadWrite, None) => known.map_or_else(|| view.next_id(), Ok),
        (Mode::Import, Some(id)) => {
            let id = SchemaId::new(id);
            let taken = known != Some(id) && view.schema(id)?.is_some();
            let elsewhere = known.is_some_and(|known| known != id);
            if taken || elsewhere {
                return Err(RegistryError::IdTaken { id: id.get() });
            }
            Ok(id)
        }
    }
}

fn choose_version(
    subject: &Subject,
    history: &History,
    asked: Option<u32>,
    mode: Mode,
) -> Result<u32, RegistryError> {
    let next = history.next_version();
    match asked {
        Some(version) if next == Some(version) => Ok(version),
        Some(version) if mode == Mode::Import && history.find(version).is_none() => Ok(version),
        Some(version) => Err(RegistryError::UnexpectedVersion {
            subject: subject.as_str().to_owned(),
            version,
            expected: next.unwrap_or_default(),
        }),
        None => next.ok_or(RegistryError::UsedUp { what: "versions of the subject" }),
    }
}

/// The change that adds one version, and the schema with it if it is new.
fn addition(
    view: &View<'_>,
    subject: &Subject,
    candidate: &Candidate,
    history: &History,
    entry: Entry,
) -> Result<Change, RegistryError> {
    let mut change = Change::default();
    let next = view.next_id()?.get();
    if view.id_of(&candidate.content)?.is_none() {
        change.add_schema(entry.id, &candidate.content, &candidate.record)?;
        if next <= entry.id.get() {
            let after = entry.id.get().checked_add(1).filter(|id| i32::try_from(*id).is_ok());
            change.set_next_id(after.ok_or(RegistryError::UsedUp { what: "ids" })?);
        }
    }
    for old in history.soft_deleted().filter(|old| old.id == entry.id) {
        change.remove_version(subject.as_str(), *old);
    }
    change.set_version(subject.as_str(), entry)?;
    for reference in &candidate.record.references {
        change.add_reference(entry.id, reference);
    }
    Ok(change)
}

fn refuse_incompatible(
    view: &View<'_>,
    subject: &Subject,
    candidate: &Candidate,
    history: &History,
) -> Result<(), RegistryError> {
    match test(view, subject, candidate, &newest_first(history))? {
        Tested::Compatible => Ok(()),
        Tested::Incompatible { messages } => {
            Err(RegistryError::Incompatible { subject: subject.as_str().to_owned(), messages })
        }
    }
}

fn newest_first(history: &History) -> Vec<Entry> {
    history.live().rev().copied().collect()
}

/// Holds a candidate against some versions, newest first.
fn test(
    view: &View<'_>,
    subject: &Subject,
    candidate: &Candidate,
    entries: &[Entry],
) -> Result<Tested, RegistryError> {
    let level = level_of(view, subject)?;
    if level == Level::None {
        return Ok(Tested::Compatible);
    }
    let count = if level.is_transitive() { entries.len() } else { 1 };
    for entry in entries.iter().take(count) {
        let stored = view.schema(entry.id)?.ok_or(RegistryError::SchemaNotFound)?;
        let earlier = Earlier { version: entry.version, schema: parsed(view, &stored)? };
        let refusal = check(&candidate.schema, &[earlier], level).map_err(|cause| {
            let record = &candidate.record;
            invalid(subject, &record.text, &record.references, InvalidSchema::TooComplex(cause))
        })?;
        if let Some(refusal) = refusal {
            return Ok(Tested::Incompatible { messages: refusal.messages().to_vec() });
        }
    }
    Ok(Tested::Compatible)
}
