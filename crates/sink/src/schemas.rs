use std::collections::BTreeMap;
use std::sync::Arc;

use lake::avro::Shape;
use tokio::sync::Mutex;
use types::SchemaId;

use crate::source::{SchemaError, SchemaSource};

const MAX_ID: u32 = i32::MAX.cast_unsigned();

/// The schemas of one run, each asked for once. Schemas are immutable, so nothing goes stale.
#[derive(Debug)]
pub(crate) struct Schemas<C> {
    source: C,
    known: Mutex<BTreeMap<SchemaId, Arc<Writer>>>,
}

/// What is known of the schema a payload names.
#[derive(Debug)]
pub(crate) enum Writer {
    /// The registry's text, and the form of its datums.
    Known(WriterSchema),
    /// Nobody registered it.
    Unknown,
    /// It is registered, and no schema that can be read; says why.
    Unreadable(String),
}

#[derive(Debug)]
pub(crate) struct WriterSchema {
    pub(crate) text: Arc<str>,
    pub(crate) shape: Shape,
}

impl<C: SchemaSource> Schemas<C> {
    pub(crate) fn new(source: C) -> Self {
        Self { source, known: Mutex::new(BTreeMap::new()) }
    }

    /// The schema of that id.
    ///
    /// # Errors
    ///
    /// [`SchemaError::Unavailable`] alone: an unknown id is an answer.
    pub(crate) async fn get(&self, id: SchemaId) -> Result<Arc<Writer>, SchemaError> {
        if let Some(writer) = self.known.lock().await.get(&id) {
            return Ok(Arc::clone(writer));
        }
        // Registries count ids from 1 in 31 bits, and some answer for any other as if it were
        // their address that is wrong. Such an id is the payload's fault.
        if !(1..=MAX_ID).contains(&id.get()) {
            return Ok(Arc::new(Writer::Unknown));
        }
        // The lock is not held while the registry is asked: two who ask get the same answer.
        let writer = match self.source.schema(id).await {
            Ok(text) => match Shape::parse(&text) {
                Ok(shape) => Writer::Known(WriterSchema { text: Arc::from(text), shape }),
                Err(unreadable) => Writer::Unreadable(unreadable.to_string()),
            },
            Err(SchemaError::UnknownId { .. }) => Writer::Unknown,
            Err(other_kind @ SchemaError::NotAvro { .. }) => {
                Writer::Unreadable(other_kind.to_string())
            }
            Err(unavailable @ SchemaError::Unavailable { .. }) => return Err(unavailable),
        };
        let writer = Arc::new(writer);
        self.known.lock().await.insert(id, Arc::clone(&writer));
        Ok(writer)
    }
}
