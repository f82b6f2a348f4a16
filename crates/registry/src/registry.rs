//! What requests mean. Everything here runs on threads that may wait for the store.

mod candidate;
mod delete;
mod query;
mod register;
mod settings;

use std::sync::{Arc, OnceLock};

use kv_store::{Committed, KvStore};
use schema::{Level, Mode, Schema, VersionSelector};

pub(crate) use candidate::{RequestedReference, SchemaRequest};
pub(crate) use query::{Deleted, FoundVersion, Latest, Page};
pub(crate) use register::{Registration, Tested};
pub(crate) use settings::{Fallback, ImportOver, SettingsUpdate};

use crate::error::RegistryError;
use crate::store::{Change, Store, Stored, View};

/// How often a change starts over because another registry on the same store was quicker. Every time
/// one of the others gets something done; few lose against a dozen of them so often.
const MAX_ATTEMPTS: usize = 100;

/// The longest subject, in bytes.
const MAX_SUBJECT_BYTES: usize = 1024;

/// A schema registry on a store. Other registries may work on the same store.
pub(crate) struct Registry {
    store: Store,
}

/// A registry that is opened when it is first needed: its store may not be there yet.
pub(crate) struct Opening {
    store: Arc<dyn KvStore>,
    cache_bytes: usize,
    opened: OnceLock<Registry>,
}

impl Opening {
    pub(crate) fn new(store: Arc<dyn KvStore>, cache_bytes: usize) -> Self {
        Self { store, cache_bytes, opened: OnceLock::new() }
    }

    /// The registry, opened if it is not yet.
    pub(crate) fn get(&self) -> Result<&Registry, RegistryError> {
        if let Some(registry) = self.opened.get() {
            return Ok(registry);
        }
        let registry = Registry::open(Arc::clone(&self.store), self.cache_bytes)?;
        // Others may have opened it meanwhile; either will do.
        Ok(self.opened.get_or_init(|| registry))
    }
}

/// A name under which schemas are registered, most often `<topic>-value` or `<topic>-key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject(String);

impl Subject {
    /// Checks a name: anything without control characters that is not too long.
    pub(crate) fn new(name: String) -> Result<Self, RegistryError> {
        let reserved = name == "__GLOBAL" || name == "__EMPTY";
        let empty = name.trim().is_empty();
        if reserved || empty || MAX_SUBJECT_BYTES < name.len() || name.contains(char::is_control) {
            return Err(RegistryError::InvalidSubject { subject: name });
        }
        Ok(Self(name))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn not_found(&self) -> RegistryError {
        RegistryError::SubjectNotFound { subject: self.0.clone() }
    }
}

impl Registry {
    /// A registry on `store`, which keeps up to `cache_bytes` of schemas in memory.
    pub(crate) fn open(store: Arc<dyn KvStore>, cache_bytes: usize) -> Result<Self, RegistryError> {
        Ok(Self { store: Store::open(store, cache_bytes)? })
    }

    /// Decides on a view of the store and makes the change durable, if the view still holds.
    fn change<T>(
        &self,
        decide: impl Fn(&View<'_>) -> Result<(Change, T), RegistryError>,
    ) -> Result<T, RegistryError> {
        for _attempt in 0..MAX_ATTEMPTS {
            let view = self.store.view();
            let (change, answer) = decide(&view)?;
            if change.is_empty() || self.store.commit(view, change)? == Committed::Yes {
                return Ok(answer);
            }
        }
        Err(RegistryError::Contended)
    }
}

/// The mode that counts for a subject.
fn mode_of(view: &View<'_>, subject: &Subject) -> Result<Mode, RegistryError> {
    let global = view.mode(None)?.unwrap_or(Mode::ReadWrite);
    Ok(Mode::effective(global, view.mode(Some(subject.as_str()))?))
}

fn refuse_read_only(view: &View<'_>, subject: &Subject) -> Result<(), RegistryError> {
    if mode_of(view, subject)?.is_read_only() {
        return Err(RegistryError::ReadOnly { subject: subject.0.clone() });
    }
    Ok(())
}

/// The level that counts for a subject.
fn level_of(view: &View<'_>, subject: &Subject) -> Result<Level, RegistryError> {
    let own = view.settings(Some(subject.as_str()))?.and_then(|settings| settings.level());
    let global = view.settings(None)?.and_then(|settings| settings.level());
    Ok(own.or(global).unwrap_or_default())
}

/// Whether schemas of a subject are normalised unasked.
fn normalizes(view: &View<'_>, subject: &Subject) -> Result<bool, RegistryError> {
    let own = view.settings(Some(subject.as_str()))?.and_then(|settings| settings.normalize);
    let global = view.settings(None)?.and_then(|settings| settings.normalize);
    Ok(own.or(global).unwrap_or(false))
}

fn version_not_found(selector: VersionSelector) -> RegistryError {
    let version = match selector {
        VersionSelector::Exactly(version) => version.to_string(),
        VersionSelector::Latest => "latest".to_owned(),
    };
    RegistryError::VersionNotFound { version }
}

/// A stored schema with its references, ready to be compared.
fn parsed<'a>(view: &View<'_>, stored: &'a Stored) -> Result<&'a Schema, RegistryError> {
    if let Some(schema) = stored.parsed.get() {
        return Ok(schema);
    }
    let schema = candidate::parse_stored(view, stored)?;
    Ok(stored.parsed.get_or_init(|| schema))
}
