use client::registry::RegistryClient;
use sink::source::{SchemaError, SchemaSource};
use types::SchemaId;

/// The schemas of a registry.
#[derive(Clone, Debug)]
pub(crate) struct RegistrySchemas {
    registry: RegistryClient,
}

impl RegistrySchemas {
    /// Asks this registry.
    pub(crate) const fn new(registry: RegistryClient) -> Self {
        Self { registry }
    }
}

impl SchemaSource for RegistrySchemas {
    async fn schema(&self, id: SchemaId) -> Result<String, SchemaError> {
        match self.registry.schema(id).await {
            Ok(text) => Ok(text),
            Err(error) if error.is_not_found() => Err(SchemaError::UnknownId { id }),
            Err(error) => Err(SchemaError::Unavailable { id, source: Box::new(error) }),
        }
    }
}
