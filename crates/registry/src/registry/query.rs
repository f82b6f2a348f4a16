//! Reading.

use std::collections::BTreeSet;
use std::sync::Arc;

use schema::{Entry, History, Liveness, VersionSelector};
use types::SchemaId;

use super::{Registry, Subject, version_not_found};
use crate::error::RegistryError;
use crate::store::{SchemaRecord, Stored, Use, View};

/// The most schemas that are listed at once.
const MAX_LISTED: usize = 1000;

/// What somebody wants to see of softly deleted versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    Hidden,
    Included,
    Only,
}

impl Deleted {
    fn shows(self, liveness: Liveness) -> bool {
        match self {
            Self::Hidden => liveness == Liveness::Live,
            Self::Included => true,
            Self::Only => liveness == Liveness::SoftDeleted,
        }
    }

    /// What of a history is shown, oldest first.
    pub(super) fn of(self, history: &History) -> impl DoubleEndedIterator<Item = &Entry> {
        history.entries().iter().filter(move |entry| self.shows(entry.liveness))
    }
}

/// A stretch of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) offset: usize,
    /// `None` is all that is left.
    pub(crate) limit: Option<usize>,
}

impl Page {
    pub(crate) fn of<T>(self, all: impl IntoIterator<Item = T>) -> Vec<T> {
        all.into_iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

/// One version of a subject with its schema.
#[derive(Clone, Debug)]
pub(crate) struct FoundVersion {
    pub(crate) subject: String,
    pub(crate) version: u32,
    pub(crate) schema: Arc<Stored>,
}

impl FoundVersion {
    pub(crate) fn record(&self) -> &SchemaRecord {
        &self.schema.record
    }
}

impl Registry {
    /// The subjects that begin with `prefix`, in order.
    pub(crate) fn subjects(
        &self,
        prefix: &str,
        deleted: Deleted,
    ) -> Result<Vec<String>, RegistryError> {
        let versions = self.store.view().subjects(prefix)?;
        let live: BTreeSet<_> = versions
            .iter()
            .filter(|(_, entry)| entry.liveness == Liveness::Live)
            .map(|(subject, _)| subject.clone())
            .collect();
        let all: BTreeSet<_> = versions.into_iter().map(|(subject, _)| subject).collect();
        Ok(match deleted {
            Deleted::Hidden => live.into_iter().collect(),
            Deleted::Included => all.into_iter().collect(),
            Deleted::Only => all.into_iter().filter(|subject| !live.contains(subject)).collect(),
        })
    }

    /// The versions of a subject, in order.
    pub(crate) fn versions(
        &self,
        subject: &Subject,
        deleted: Deleted,
    ) -> Result<Vec<u32>, RegistryError> {
        let history = self.store.view().history(subject.as_str())?;
        let versions: Vec<_> = deleted.of(&history).map(|entry| entry.version).collect();
        if versions.is_empty() {
            return Err(subject.not_found());
        }
        Ok(versions)
    }

    /// One version of a subject.
    pub(crate) fn version(
        &self,
        subject: &Subject,
        selector: VersionSelector,
        deleted: Deleted,
    ) -> Result<FoundVersion, RegistryError> {
        let view = self.store.view();
        let entry = select(&view, subject, selector, deleted)?;
        found(&view, subject.as_str().to_owned(), entry)
    }

    /// The ids of the schemas that refer to a version, in order.
    pub(crate) fn referrers(
        &self,
        subject: &Subject,
        selector: VersionSelector,
        deleted: Deleted,
    ) -> Result<Vec<SchemaId>, RegistryError> {
        let view = self.store.view();
        let entry = select(&view, subject, selector, Deleted::Included)?;
        let mut shown = Vec::new();
        for id in view.referrers(subject.as_str(), entry.version)? {
            if view.uses(id)?.iter().any(|(_, liveness)| deleted.shows(*liveness)) {
                shown.push(id);
            }
        }
        Ok(shown)
    }

    /// The schema of an id. It stays readable while any version has it, deleted softly or not.
    pub(crate) fn schema(&self, id: u32) -> Result<Arc<Stored>, RegistryError> {
        let view = self.store.view();
        let not_found = || RegistryError::IdNotFound { id: id.into() };
        let stored = view.schema(SchemaId::new(id))?.ok_or_else(not_found)?;
        if view.is_used(stored.id)? { Ok(stored) } else { Err(not_found()) }
    }

    /// The largest id given out so far; 0 if there is none.
    pub(crate) fn max_id(&self) -> Result<u32, RegistryError> {
        Ok(self.store.view().next_id()?.get().saturating_sub(1))
    }

    /// The versions that have the schema of an id, in order.
    pub(crate) fn uses(&self, id: u32, deleted: Deleted) -> Result<Vec<Use>, RegistryError> {
        let uses = self.store.view().uses(SchemaId::new(id))?;
        if uses.is_empty() {
            return Err(RegistryError::IdNotFound { id: id.into() });
        }
        let shown = uses.into_iter().filter(|(_, liveness)| deleted.shows(*liveness));
        let mut shown: Vec<_> = shown.map(|(used, _)| used).collect();
        shown.sort();
        Ok(shown)
    }

    /// Versions of the subjects that begin with `prefix`, at most a thousand.
    pub(crate) fn schemas(
        &self,
        prefix: &str,
        deleted: Deleted,
        latest: Latest,
        page: Page,
    ) -> Result<Vec<FoundVersion>, RegistryError> {
        let view = self.store.view();
        let mut versions = view.subjects(prefix)?;
        versions.retain(|(_, entry)| deleted.shows(entry.liveness));
        if latest == Latest::Only {
            versions.reverse();
            versions.dedup_by(|older, newer| older.0 == newer.0);
            versions.reverse();
        }
        let limit = page.limit.unwrap_or(MAX_LISTED).min(MAX_LISTED);
        let listed = Page { limit: Some(limit), ..page }.of(versions);
        let found = listed.into_iter().map(|(subject, entry)| found(&view, subject, entry));
        found.collect()
    }
}

/// Whether all versions of a subject are listed, or its newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Latest {
    Only,
    AndEarlier,
}

/// The version that an entry stands for.
pub(super) fn found(
    view: &View<'_>,
    subject: String,
    entry: Entry,
) -> Result<FoundVersion, RegistryError> {
    let schema = view.schema(entry.id)?;
    let schema =
        schema.ok_or_else(|| RegistryError::Damaged { key: format!("schema {}", entry.id) })?;
    Ok(FoundVersion { subject, version: entry.version, schema })
}

fn select(
    view: &View<'_>,
    subject: &Subject,
    selector: VersionSelector,
    deleted: Deleted,
) -> Result<Entry, RegistryError> {
    let history = view.history(subject.as_str())?;
    let mut visible = deleted.of(&history);
    let found = match selector {
        VersionSelector::Latest => visible.next_back(),
        VersionSelector::Exactly(version) => visible.find(|entry| entry.version == version),
    };
    match found {
        Some(entry) => Ok(*entry),
        None if deleted.of(&history).next().is_none() => Err(subject.not_found()),
        None => Err(version_not_found(selector)),
    }
}
