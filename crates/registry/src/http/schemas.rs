//! `/schemas`.

use axum::extract::State;
use serde::Serialize;

use super::error::ApiError;
use super::request::{OfId, Parameters};
use super::subjects::VersionBody;
use super::{Json, Service};
use crate::registry::Latest;
use crate::store::{Reference, Use};

/// The schema of an id.
#[derive(Serialize)]
pub(super) struct SchemaBody {
    schema: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
    #[serde(rename = "maxId", skip_serializing_if = "Option::is_none")]
    max_id: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct UseBody {
    subject: String,
    version: u32,
}

impl From<Use> for UseBody {
    fn from(Use { subject, version }: Use) -> Self {
        Self { subject, version }
    }
}

pub(super) async fn list(
    State(service): State<Service>,
    parameters: Parameters,
) -> Result<Json<Vec<VersionBody>>, ApiError> {
    let (page, deleted, prefix) = (parameters.page()?, parameters.deleted(), parameters.prefix());
    let latest = if parameters.is_set("latestOnly") { Latest::Only } else { Latest::AndEarlier };
    let listed =
        service.ask(move |registry| registry.schemas(&prefix, deleted, latest, page)).await?;
    Ok(Json(listed.into_iter().map(VersionBody::from).collect()))
}

pub(super) async fn types() -> Json<[&'static str; 1]> {
    Json(["AVRO"])
}

pub(super) async fn by_id(
    State(service): State<Service>,
    OfId(id): OfId,
    parameters: Parameters,
) -> Result<Json<SchemaBody>, ApiError> {
    let wants_max_id = parameters.is_set("fetchMaxId");
    let answer = service.ask(move |registry| {
        let max_id = wants_max_id.then(|| registry.max_id()).transpose()?;
        Ok((registry.schema(id)?, max_id))
    });
    let (stored, max_id) = answer.await?;
    let record = stored.record.clone();
    Ok(Json(SchemaBody { schema: record.text, references: record.references, max_id }))
}

pub(super) async fn text(
    State(service): State<Service>,
    OfId(id): OfId,
) -> Result<String, ApiError> {
    let stored = service.ask(move |registry| registry.schema(id)).await?;
    Ok(stored.record.text.clone())
}

pub(super) async fn subjects(
    State(service): State<Service>,
    OfId(id): OfId,
    parameters: Parameters,
) -> Result<Json<Vec<String>>, ApiError> {
    let (page, deleted) = (parameters.page()?, parameters.deleted());
    let uses = service.ask(move |registry| registry.uses(id, deleted)).await?;
    let mut subjects: Vec<_> = uses.into_iter().map(|used| used.subject).collect();
    subjects.dedup();
    Ok(Json(page.of(subjects)))
}

pub(super) async fn versions(
    State(service): State<Service>,
    OfId(id): OfId,
    parameters: Parameters,
) -> Result<Json<Vec<UseBody>>, ApiError> {
    let (page, deleted) = (parameters.page()?, parameters.deleted());
    let uses = service.ask(move |registry| registry.uses(id, deleted)).await?;
    Ok(Json(page.of(uses.into_iter().map(UseBody::from))))
}
