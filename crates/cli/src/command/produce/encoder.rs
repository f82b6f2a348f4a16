use std::path::Path;

use bytes::Bytes;
use client::registry::{RegistryClient, frame};
use types::{SchemaId, TopicName};

use crate::args::produce::Avro;
use crate::avro::Shape;
use crate::exit::{Exit, Failure};
use crate::input::InputValue;
use crate::session::Session;

/// Turns values into payloads.
#[derive(Debug)]
pub(super) enum Encoder {
    /// As they are.
    Plain,
    /// By a schema, in Confluent's wire format.
    Avro { schema_id: SchemaId, shape: Shape },
}

impl Encoder {
    /// Finds the schema; one in a file is registered first.
    pub(super) async fn open(
        avro: Option<&Avro>,
        topic: &TopicName,
        session: &Session,
    ) -> Result<Self, Failure> {
        let Some(avro) = avro else { return Ok(Self::Plain) };
        let registry = session.registry()?;
        let subject = format!("{topic}-value");
        let (schema_id, text) = match avro {
            Avro::Topic => latest(&registry, &subject).await?,
            Avro::Subject(subject) => latest(&registry, subject).await?,
            Avro::Id(id) => (*id, registry.schema(*id).await?),
            Avro::File(path) => register(&registry, &subject, path).await?,
        };
        let shape = Shape::parse(&text).map_err(|error| {
            Failure::new(Exit::Other, format!("schema {schema_id} cannot be used: {error}"))
        })?;
        Ok(Self::Avro { schema_id, shape })
    }

    /// The payload of a value; `None` stays a tombstone.
    ///
    /// # Errors
    ///
    /// What is wrong with the value, and at which field.
    pub(super) fn encode(&self, value: InputValue) -> Result<Option<Bytes>, String> {
        let Self::Avro { schema_id, shape } = self else { return Ok(value.into_bytes()) };
        let json = match value {
            InputValue::Null => return Ok(None),
            InputValue::Json(json) => json,
            InputValue::Text(text) => serde_json::from_slice(&text)
                .map_err(|error| format!("the value is not JSON: {error}"))?,
        };
        let datum = shape.encode(&json).map_err(|error| error.to_string())?;
        Ok(Some(frame(*schema_id, &datum)))
    }
}

async fn latest(registry: &RegistryClient, subject: &str) -> Result<(SchemaId, String), Failure> {
    let found = registry.latest(subject).await.map_err(|error| {
        let advice = || format!("schema register {subject} FILE.avsc");
        Failure::from(error).next_if(Exit::NotFound, advice)
    })?;
    Ok((found.id, found.schema))
}

async fn register(
    registry: &RegistryClient,
    subject: &str,
    path: &Path,
) -> Result<(SchemaId, String), Failure> {
    let text = crate::command::schema::read(path).await?;
    let id = registry.register(subject, &text).await.map_err(|error| {
        let advice = || format!("schema check {subject} {}", path.display());
        Failure::from(error).next_if(Exit::Conflict, advice)
    })?;
    Ok((id, text))
}
