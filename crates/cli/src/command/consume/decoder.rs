use std::collections::BTreeMap;

use bytes::Bytes;
use client::registry::{RegistryClient, unframe};
use types::SchemaId;

use crate::avro::Shape;
use crate::format::Payload;
use crate::output::Output;

/// Schemas that are kept. Any binary payload may look like one more id.
const MAX_SCHEMAS: usize = 10_000;

/// Decodes what carries the id of a schema that the registry knows; leaves all else as it is.
#[derive(Debug)]
pub(super) struct Decoder {
    registry: RegistryClient,
    /// `None`: no such schema, or none that can be read.
    shapes: BTreeMap<SchemaId, Option<Shape>>,
    /// The registry did not answer: it is not asked again.
    gave_up: bool,
    /// A payload could not be decoded, which is told once.
    warned: bool,
}

impl Decoder {
    pub(super) const fn new(registry: RegistryClient) -> Self {
        Self { registry, shapes: BTreeMap::new(), gave_up: false, warned: false }
    }

    /// What a key or value is to be shown as.
    pub(super) async fn payload(&mut self, bytes: Option<Bytes>, output: &mut Output) -> Payload {
        let Some(bytes) = bytes else { return Payload::Null };
        let Ok((schema_id, datum)) = unframe(&bytes) else { return Payload::Bytes(bytes) };
        let decoded = match self.shape(schema_id, output).await {
            Some(shape) => shape.decode(datum),
            None => return Payload::Bytes(bytes),
        };
        match decoded {
            Ok(json) => Payload::Avro { schema_id, json },
            Err(error) => {
                if !std::mem::replace(&mut self.warned, true) {
                    output.warn(&format!(
                        "a payload looks like one of schema {schema_id} and is none ({error}); it \
                         and others like it are shown raw"
                    ));
                }
                Payload::Bytes(bytes)
            }
        }
    }

    async fn shape(&mut self, id: SchemaId, output: &mut Output) -> Option<&Shape> {
        if !self.shapes.contains_key(&id) {
            if self.gave_up || MAX_SCHEMAS <= self.shapes.len() {
                return None;
            }
            let shape = self.ask(id, output).await;
            if self.gave_up {
                return None;
            }
            self.shapes.insert(id, shape);
        }
        self.shapes.get(&id)?.as_ref()
    }

    async fn ask(&mut self, id: SchemaId, output: &mut Output) -> Option<Shape> {
        match self.registry.schema(id).await {
            Ok(text) => Shape::parse(&text)
                .inspect_err(|error| output.warn(&format!("schema {id} cannot be used: {error}")))
                .ok(),
            Err(error) if error.is_not_found() => None,
            Err(error) => {
                self.gave_up = true;
                output.warn(&format!(
                    "Avro is not decoded from here on, for the registry did not tell schema {id}: \
                     {error}"
                ));
                None
            }
        }
    }
}
