//! `/compatibility`.

use axum::extract::State;
use serde::Serialize;

use super::error::ApiError;
use super::request::{Body, OfSubject, OfVersion, Parameters, SchemaBody};
use super::{Json, Service};
use crate::registry::Tested;

#[derive(Serialize)]
pub(super) struct TestedBody {
    is_compatible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<String>>,
}

pub(super) async fn with_version(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    OfVersion(selector): OfVersion,
    parameters: Parameters,
    Body(body): Body<SchemaBody>,
) -> Result<Json<TestedBody>, ApiError> {
    let request = body.request(&parameters)?;
    let tested = service
        .ask(move |registry| registry.test_against_version(&subject, selector, &request))
        .await;
    answer(tested, &parameters)
}

pub(super) async fn with_subject(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    parameters: Parameters,
    Body(body): Body<SchemaBody>,
) -> Result<Json<TestedBody>, ApiError> {
    let request = body.request(&parameters)?;
    let tested =
        service.ask(move |registry| registry.test_against_subject(&subject, &request)).await;
    answer(tested, &parameters)
}

/// Who asks to be told why is told so even if the schema is none.
fn answer(
    tested: Result<Tested, ApiError>,
    parameters: &Parameters,
) -> Result<Json<TestedBody>, ApiError> {
    let verbose = parameters.is_set("verbose");
    let (is_compatible, messages) = match tested {
        Ok(Tested::Compatible) => (true, Vec::new()),
        Ok(Tested::Incompatible { messages }) => (false, messages),
        Err(error) if verbose && error.is_invalid_schema() => (false, vec![error.message()]),
        Err(error) => return Err(error),
    };
    Ok(Json(TestedBody { is_compatible, messages: verbose.then_some(messages) }))
}
