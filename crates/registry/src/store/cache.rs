use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use schema::Schema;
use types::SchemaId;

use super::record::SchemaRecord;

/// A schema that was read from the store.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: SchemaId,
    pub(crate) record: SchemaRecord,
    /// Filled in when somebody needs more than the text.
    pub(crate) parsed: OnceLock<Schema>,
}

/// The schemas read last. They never change, so nothing here is ever wrong.
pub(super) struct Cache {
    capacity: usize,
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    by_id: BTreeMap<SchemaId, Arc<Stored>>,
    oldest_first: VecDeque<SchemaId>,
    bytes: usize,
}

impl Cache {
    /// A cache of up to `capacity` bytes of text.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, contents: Mutex::default() }
    }

    pub(super) fn get(&self, id: SchemaId) -> Option<Arc<Stored>> {
        // Nothing panics under this lock.
        let contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.by_id.get(&id).cloned()
    }

    pub(super) fn insert(&self, stored: &Arc<Stored>) {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        if contents.by_id.insert(stored.id, Arc::clone(stored)).is_some() {
            return;
        }
        contents.oldest_first.push_back(stored.id);
        contents.bytes += weight(stored);
        while self.capacity < contents.bytes {
            let Some(oldest) = contents.oldest_first.pop_front() else { break };
            if let Some(gone) = contents.by_id.remove(&oldest) {
                contents.bytes -= weight(&gone);
            }
        }
    }
}

/// What one schema counts for, its bookkeeping included.
fn weight(stored: &Stored) -> usize {
    const OVERHEAD: usize = 256;
    stored.record.text.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: u32, bytes: usize) -> Arc<Stored> {
        let record = SchemaRecord { text: "x".repeat(bytes), references: Vec::new() };
        Arc::new(Stored { id: SchemaId::new(id), record, parsed: OnceLock::new() })
    }

    #[test]
    fn the_oldest_make_room() {
        let cache = Cache::new(2000);
        for id in 1..=3 {
            cache.insert(&stored(id, 700));
            cache.insert(&stored(id, 700));
        }
        let held: Vec<_> = (1..=3).filter(|id| cache.get(SchemaId::new(*id)).is_some()).collect();
        assert_eq!(held, [2, 3]);
    }

    #[test]
    fn what_is_larger_than_the_cache_is_not_kept() {
        let cache = Cache::new(100);
        cache.insert(&stored(1, 1));
        assert!(cache.get(SchemaId::new(1)).is_none());
    }
}
