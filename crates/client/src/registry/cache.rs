use std::collections::{HashMap, VecDeque};

use types::SchemaId;

/// Schemas by id, the oldest of which make room for new ones.
#[derive(Debug)]
pub(crate) struct IdCache {
    capacity: usize,
    schemas: HashMap<SchemaId, String>,
    /// In the order in which they came.
    order: VecDeque<SchemaId>,
}

impl IdCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, schemas: HashMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn get(&self, id: SchemaId) -> Option<String> {
        self.schemas.get(&id).cloned()
    }

    pub(crate) fn insert(&mut self, id: SchemaId, schema: String) {
        if self.schemas.insert(id, schema).is_none() {
            self.order.push_back(id);
        }
        while self.capacity < self.order.len() {
            if let Some(oldest) = self.order.pop_front() {
                self.schemas.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_schema_makes_room() {
        let mut cache = IdCache::new(2);
        for id in [1, 2, 2, 3] {
            cache.insert(SchemaId::new(id), id.to_string());
        }
        assert_eq!(cache.get(SchemaId::new(1)), None);
        assert_eq!(cache.get(SchemaId::new(2)).as_deref(), Some("2"));
        assert_eq!(cache.get(SchemaId::new(3)).as_deref(), Some("3"));
    }
}
