use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use kv_store::Transaction;
use schema::{Entry, History, Liveness, Mode};
use serde::de::DeserializeOwned;
use types::SchemaId;

use super::cache::Stored;
use super::record::{Reference, SchemaRecord, Settings, VersionRecord};
use super::{Store, damaged, key};
use crate::error::RegistryError;

/// Entries read from the store at a time.
const PAGE: usize = 1000;

/// Pieces of a schema, below what a store takes as one value.
const PIECE_BYTES: usize = 48 * 1024;

/// One look at the store.
///
/// What was read of things that may change is remembered, and checked again by the transaction
/// that rests on it: a subject's versions and referrers by the subject's revision, everything else
/// by its value.
pub(crate) struct View<'a> {
    store: &'a Store,
    seen: RefCell<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

/// A version of a subject, as the user of a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    pub(crate) subject: String,
    pub(crate) version: u32,
}

/// What a transaction changes.
#[derive(Debug, Default)]
pub(crate) struct Change {
    puts: Vec<(Vec<u8>, Vec<u8>)>,
    deletes: Vec<Vec<u8>>,
    /// Subjects whose versions or referrers change.
    touched: Vec<String>,
}

impl<'a> View<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, seen: RefCell::default() }
    }

    pub(super) fn into_transaction(self, change: Change) -> Result<Transaction, RegistryError> {
        let mut puts = change.puts;
        let touched: BTreeSet<_> = change.touched.into_iter().collect();
        for subject in touched {
            let key = key::revision(&subject);
            let revision = match self.get(key.clone())? {
                Some(value) => *value.first_chunk().ok_or_else(|| damaged(&key))?,
                None => [0; 8],
            };
            let next = u64::from_be_bytes(revision).wrapping_add(1);
            puts.push((key, next.to_be_bytes().to_vec()));
        }
        let checks = self.seen.into_inner().into_iter().collect();
        Ok(Transaction { checks, deletes: change.deletes, puts })
    }

    /// A value that the transaction will rest on.
    fn get(&self, key: Vec<u8>) -> Result<Option<Vec<u8>>, RegistryError> {
        if let Some(value) = self.seen.borrow().get(&key) {
            return Ok(value.clone());
        }
        let value = self.store.store.get(&key)?;
        self.seen.borrow_mut().insert(key, value.clone());
        Ok(value)
    }

    /// Hands every entry behind `prefix` to `each`, until it says stop.
    fn walk(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<Walk, RegistryError>,
    ) -> Result<(), RegistryError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.store.store.scan(prefix, after.as_deref(), PAGE)?;
            for (key, value) in &page {
                if each(key, value)? == Walk::Stop {
                    return Ok(());
                }
            }
            if page.len() < PAGE {
                return Ok(());
            }
            after = page.into_iter().next_back().map(|(key, _)| key);
        }
    }

    /// The id that the next new content gets.
    pub(crate) fn next_id(&self) -> Result<SchemaId, RegistryError> {
        let Some(value) = self.get(key::NEXT_ID.to_vec())? else {
            return Ok(SchemaId::new(1));
        };
        let number = value.first_chunk().ok_or_else(|| damaged(key::NEXT_ID))?;
        Ok(SchemaId::new(u32::from_be_bytes(*number)))
    }

    /// The id that a content was given, if it ever was.
    pub(crate) fn id_of(&self, content: &[u8; 16]) -> Result<Option<SchemaId>, RegistryError> {
        let key = key::content(content);
        let Some(value) = self.get(key.clone())? else { return Ok(None) };
        let number = value.first_chunk().ok_or_else(|| damaged(&key))?;
        Ok(Some(SchemaId::new(u32::from_be_bytes(*number))))
    }

    /// The schema of an id, if it was ever given out. Once it was, it never changes.
    pub(crate) fn schema(&self, id: SchemaId) -> Result<Option<Arc<Stored>>, RegistryError> {
        if let Some(stored) = self.store.cache.get(id) {
            return Ok(Some(stored));
        }
        let mut bytes = Vec::new();
        self.walk(&key::schema(id), |_, piece| {
            bytes.extend_from_slice(piece);
            Ok(Walk::On)
        })?;
        if bytes.is_empty() {
            // A decision may rest on it, as on any value.
            return match self.get(key::schema_piece(id, 0))? {
                None => Ok(None),
                Some(_) => self.schema(id),
            };
        }
        let record = decode(&key::schema(id), &bytes)?;
        let stored = Arc::new(Stored { id, record, parsed: OnceLock::new() });
        self.store.cache.insert(&stored);
        Ok(Some(stored))
    }

    /// All versions of a subject.
    pub(crate) fn history(&self, subject: &str) -> Result<History, RegistryError> {
        self.get(key::revision(subject))?;
        let mut entries = Vec::new();
        self.walk(&key::versions(subject), |key, value| {
            let record: VersionRecord = decode(key, value)?;
            let version = key::last_number(key).ok_or_else(|| damaged(key))?;
            let (id, liveness) = (SchemaId::new(record.id), record.liveness());
            entries.push(Entry { version, id, liveness });
            Ok(Walk::On)
        })?;
        Ok(History::new(entries))
    }

    /// All versions of all subjects that begin with `prefix`, by subject and version.
    pub(crate) fn subjects(&self, prefix: &str) -> Result<Vec<(String, Entry)>, RegistryError> {
        let mut all = Vec::new();
        self.walk(&[key::VERSIONS, prefix.as_bytes()].concat(), |key, value| {
            let record: VersionRecord = decode(key, value)?;
            let (subject, version) =
                key::subject_and_number(key, key::VERSIONS.len()).ok_or_else(|| damaged(key))?;
            let (id, liveness) = (SchemaId::new(record.id), record.liveness());
            all.push((subject, Entry { version, id, liveness }));
            Ok(Walk::On)
        })?;
        Ok(all)
    }

    /// Whether any version of any subject is live.
    pub(crate) fn has_live_subjects(&self) -> Result<bool, RegistryError> {
        let mut found = false;
        self.walk(key::VERSIONS, |key, value| {
            found = decode::<VersionRecord>(key, value)?.liveness() == Liveness::Live;
            Ok(if found { Walk::Stop } else { Walk::On })
        })?;
        Ok(found)
    }

    /// The versions that have a schema, deleted ones among them.
    pub(crate) fn uses(&self, id: SchemaId) -> Result<Vec<(Use, Liveness)>, RegistryError> {
        let prefix = key::uses(id);
        let mut uses = Vec::new();
        self.walk(&prefix, |key, value| {
            let (subject, version) =
                key::subject_and_number(key, prefix.len()).ok_or_else(|| damaged(key))?;
            let liveness = if value.is_empty() { Liveness::Live } else { Liveness::SoftDeleted };
            uses.push((Use { subject, version }, liveness));
            Ok(Walk::On)
        })?;
        Ok(uses)
    }

    /// Whether any version, deleted or not, has the schema.
    pub(crate) fn is_used(&self, id: SchemaId) -> Result<bool, RegistryError> {
        Ok(!self.store.store.scan(&key::uses(id), None, 1)?.is_empty())
    }

    /// The schemas that refer to a version, in order. Whoever decides by it reads the subject's
    /// history too.
    pub(crate) fn referrers(
        &self,
        subject: &str,
        version: u32,
    ) -> Result<Vec<SchemaId>, RegistryError> {
        let mut ids = Vec::new();
        self.walk(&key::referrers(subject, version), |key, _| {
            ids.push(SchemaId::new(key::last_number(key).ok_or_else(|| damaged(key))?));
            Ok(Walk::On)
        })?;
        Ok(ids)
    }

    /// What is set for a subject, or for the registry.
    pub(crate) fn settings(
        &self,
        subject: Option<&str>,
    ) -> Result<Option<Settings>, RegistryError> {
        let key = key::config(subject);
        self.get(key.clone())?.map(|value| decode(&key, &value)).transpose()
    }

    /// The mode of a subject, or of the registry.
    pub(crate) fn mode(&self, subject: Option<&str>) -> Result<Option<Mode>, RegistryError> {
        let key = key::mode(subject);
        let Some(value) = self.get(key.clone())? else { return Ok(None) };
        let mode = std::str::from_utf8(&value).ok().and_then(Mode::parse);
        mode.ok_or_else(|| damaged(&key)).map(Some)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    On,
    Stop,
}

impl Change {
    /// Gives a new content its id for ever.
    pub(crate) fn add_schema(
        &mut self,
        id: SchemaId,
        content: &[u8; 16],
        record: &SchemaRecord,
    ) -> Result<(), RegistryError> {
        for (number, piece) in (0..).zip(encode(&key::schema(id), record)?.chunks(PIECE_BYTES)) {
            self.puts.push((key::schema_piece(id, number), piece.to_vec()));
        }
        self.puts.push((key::content(content), id.get().to_be_bytes().to_vec()));
        Ok(())
    }

    /// Sets the id that the next new content gets.
    pub(crate) fn set_next_id(&mut self, id: u32) {
        self.puts.push((key::NEXT_ID.to_vec(), id.to_be_bytes().to_vec()));
    }

    /// Adds a version, or changes its liveness.
    pub(crate) fn set_version(&mut self, subject: &str, entry: Entry) -> Result<(), RegistryError> {
        let deleted = entry.liveness == Liveness::SoftDeleted;
        let key = key::version(subject, entry.version);
        let value = encode(&key, &VersionRecord { id: entry.id.get(), deleted })?;
        self.puts.push((key, value));
        let mark: &[u8] = if deleted { b"deleted" } else { b"" };
        self.puts.push((key::used(entry.id, subject, entry.version), mark.to_vec()));
        self.touched.push(subject.to_owned());
        Ok(())
    }

    /// Takes a version away for good.
    pub(crate) fn remove_version(&mut self, subject: &str, entry: Entry) {
        self.deletes.push(key::version(subject, entry.version));
        self.deletes.push(key::used(entry.id, subject, entry.version));
        self.touched.push(subject.to_owned());
    }

    /// Notes that a schema refers to a version.
    pub(crate) fn add_reference(&mut self, id: SchemaId, reference: &Reference) {
        let key = key::referrer(&reference.subject, reference.version, id);
        self.puts.push((key, Vec::new()));
        self.touched.push(reference.subject.clone());
    }

    /// Forgets that any schema referred to a version.
    pub(crate) fn remove_referrers(&mut self, subject: &str, version: u32, ids: &[SchemaId]) {
        self.deletes.extend(ids.iter().map(|id| key::referrer(subject, version, *id)));
    }

    /// Sets or clears what is set for a subject, or for the registry.
    pub(crate) fn set_settings(
        &mut self,
        subject: Option<&str>,
        settings: Option<&Settings>,
    ) -> Result<(), RegistryError> {
        let key = key::config(subject);
        match settings {
            Some(settings) => self.puts.push((key.clone(), encode(&key, settings)?)),
            None => self.deletes.push(key),
        }
        Ok(())
    }

    /// Sets or clears the mode of a subject, or of the registry.
    pub(crate) fn set_mode(&mut self, subject: Option<&str>, mode: Option<Mode>) {
        let key = key::mode(subject);
        match mode {
            Some(mode) => self.puts.push((key, mode.as_str().into())),
            None => self.deletes.push(key),
        }
    }

    /// Whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }
}

fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, RegistryError> {
    serde_json::from_slice(value).map_err(|error| {
        tracing::error!(key = %String::from_utf8_lossy(key), %error, "record is damaged");
        damaged(key)
    })
}

fn encode<T: serde::Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>, RegistryError> {
    serde_json::to_vec(value).map_err(|_never| damaged(key))
}
