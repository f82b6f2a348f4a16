//! `/subjects`.

use axum::extract::State;
use serde::Serialize;

use super::error::ApiError;
use super::request::{Body, OfSubject, OfVersion, Parameters, SchemaBody};
use super::{Json, Service};
use crate::registry::{Deleted, FoundVersion};
use crate::store::Reference;

/// A version as clients know it. `schemaType` is left out: it would be `AVRO`, which old clients
/// do not know they may be told.
#[derive(Serialize)]
pub(super) struct VersionBody {
    subject: String,
    version: u32,
    id: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
    schema: String,
}

impl From<FoundVersion> for VersionBody {
    fn from(found: FoundVersion) -> Self {
        let record = found.record().clone();
        Self {
            id: found.schema.id.get(),
            subject: found.subject,
            version: found.version,
            references: record.references,
            schema: record.text,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Registered {
    id: u32,
}

pub(super) async fn list(
    State(service): State<Service>,
    parameters: Parameters,
) -> Result<Json<Vec<String>>, ApiError> {
    let (page, deleted, prefix) = (parameters.page()?, parameters.deleted(), parameters.prefix());
    let subjects = service.ask(move |registry| registry.subjects(&prefix, deleted)).await?;
    Ok(Json(page.of(subjects)))
}

pub(super) async fn look_up(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    parameters: Parameters,
    Body(body): Body<SchemaBody>,
) -> Result<Json<VersionBody>, ApiError> {
    let (request, deleted) = (body.request(&parameters)?, parameters.deleted());
    let found = service.ask(move |registry| registry.look_up(&subject, &request, deleted)).await?;
    Ok(Json(found.into()))
}

pub(super) async fn delete(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    parameters: Parameters,
) -> Result<Json<Vec<u32>>, ApiError> {
    let deletion = parameters.deletion();
    service.change(move |registry| registry.delete_subject(&subject, deletion)).await.map(Json)
}

pub(super) async fn versions(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    parameters: Parameters,
) -> Result<Json<Vec<u32>>, ApiError> {
    let (page, deleted) = (parameters.page()?, parameters.deleted());
    let versions = service.ask(move |registry| registry.versions(&subject, deleted)).await?;
    Ok(Json(page.of(versions)))
}

pub(super) async fn register(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    parameters: Parameters,
    Body(body): Body<SchemaBody>,
) -> Result<Json<Registered>, ApiError> {
    let registration = body.registration(&parameters)?;
    let id = service.change(move |registry| registry.register(&subject, &registration)).await?;
    Ok(Json(Registered { id: id.get() }))
}

pub(super) async fn version(
    state: State<Service>,
    subject: OfSubject,
    version: OfVersion,
    parameters: Parameters,
) -> Result<Json<VersionBody>, ApiError> {
    Ok(Json(find(state, subject, version, &parameters).await?.into()))
}

pub(super) async fn text(
    state: State<Service>,
    subject: OfSubject,
    version: OfVersion,
    parameters: Parameters,
) -> Result<String, ApiError> {
    Ok(find(state, subject, version, &parameters).await?.record().text.clone())
}

async fn find(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    OfVersion(selector): OfVersion,
    parameters: &Parameters,
) -> Result<FoundVersion, ApiError> {
    let deleted = parameters.is_set("deleted");
    let deleted = if deleted { Deleted::Included } else { Deleted::Hidden };
    service.ask(move |registry| registry.version(&subject, selector, deleted)).await
}

pub(super) async fn delete_version(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    OfVersion(selector): OfVersion,
    parameters: Parameters,
) -> Result<Json<u32>, ApiError> {
    let deletion = parameters.deletion();
    let deleted =
        service.change(move |registry| registry.delete_version(&subject, selector, deletion));
    deleted.await.map(Json)
}

pub(super) async fn referrers(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    OfVersion(selector): OfVersion,
    parameters: Parameters,
) -> Result<Json<Vec<u32>>, ApiError> {
    let (page, deleted) = (parameters.page()?, parameters.deleted());
    let ids = service.ask(move |registry| registry.referrers(&subject, selector, deleted)).await?;
    Ok(Json(page.of(ids.into_iter().map(types::SchemaId::get))))
}
