use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use crate::{Committed, KeyValue, KvError, KvStore, Transaction};

/// A store that lasts as long as the process: for simulations and tests.
#[derive(Debug, Default)]
pub struct MemoryStore {
    entries: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl KvStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        // No code that can panic runs under this lock, so a poisoned one still holds whole commits.
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        Ok(entries.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let start = match after {
            Some(after) if prefix <= after => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        Ok(entries
            .range::<[u8], _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn commit(&self, transaction: Transaction) -> Result<Committed, KvError> {
        transaction.validate()?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        for (key, expected) in transaction.checks {
            if entries.get(&key) != expected.as_ref() {
                return Ok(Committed::Conflict { key });
            }
        }
        for key in &transaction.deletes {
            entries.remove(key);
        }
        for (key, value) in transaction.puts {
            entries.insert(key, value);
        }
        Ok(Committed::Yes)
    }
}
