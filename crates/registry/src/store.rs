//! The registry's records in a key-value store.

mod cache;
mod key;
mod record;
mod view;

use std::sync::Arc;

use kv_store::{Committed, KvStore, Transaction};

pub(crate) use record::{Reference, SchemaRecord, Settings};
pub(crate) use view::{Change, Use, View};

use crate::error::RegistryError;
use cache::Cache;
pub(crate) use cache::Stored;

/// The form of keys and values. A store of another form is not touched.
const FORMAT: &[u8] = b"1";

/// Schemas, subjects and settings, durable in a [`KvStore`].
pub(crate) struct Store {
    store: Arc<dyn KvStore>,
    cache: Cache,
}

impl Store {
    /// Takes over a store, which must be empty or a registry's.
    pub(crate) fn open(store: Arc<dyn KvStore>, cache_bytes: usize) -> Result<Self, RegistryError> {
        match store.get(key::FORMAT)? {
            Some(format) if format == FORMAT => {}
            Some(_) => return Err(damaged(key::FORMAT)),
            None => {
                let format = Transaction::new().expect_absent(key::FORMAT).put(key::FORMAT, FORMAT);
                // Whoever was quicker has written the same.
                let (Committed::Yes | Committed::Conflict { .. }) = store.commit(format)?;
            }
        }
        Ok(Self { store, cache: Cache::new(cache_bytes) })
    }

    /// A look at the store that remembers what a decision rests on.
    pub(crate) fn view(&self) -> View<'_> {
        View::new(self)
    }

    /// Makes a change durable, unless something that its view saw is no longer so.
    pub(crate) fn commit(
        &self,
        view: View<'_>,
        change: Change,
    ) -> Result<Committed, RegistryError> {
        Ok(self.store.commit(view.into_transaction(change)?)?)
    }
}

fn damaged(key: &[u8]) -> RegistryError {
    RegistryError::Damaged { key: String::from_utf8_lossy(key).into_owned() }
}
