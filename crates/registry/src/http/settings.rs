//! `/config` and `/mode`.

use axum::extract::State;
use schema::{Level, Mode};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::request::{Body, OfSubject, Parameters};
use super::{Json, Service};
use crate::error::RegistryError;
use crate::registry::{ImportOver, Registry, SettingsUpdate, Subject};
use crate::store::Settings;

/// Settings as they are asked for: under another name than they are set by.
#[derive(Serialize)]
pub(super) struct SettingsBody {
    #[serde(rename = "compatibilityLevel")]
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalize: Option<bool>,
}

impl From<Settings> for SettingsBody {
    fn from(settings: Settings) -> Self {
        let level = settings.level().unwrap_or_default().as_str();
        Self { level, normalize: settings.normalize }
    }
}

/// Settings as they are set, and echoed.
#[derive(Serialize, Deserialize)]
pub(super) struct UpdateBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalize: Option<bool>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ModeBody {
    mode: Option<String>,
}

impl From<Mode> for ModeBody {
    fn from(mode: Mode) -> Self {
        Self { mode: Some(mode.as_str().to_owned()) }
    }
}

pub(super) async fn global(State(service): State<Service>) -> Result<Json<SettingsBody>, ApiError> {
    let settings = service.ask(Registry::global_settings).await?;
    Ok(Json(settings.into()))
}

pub(super) async fn of_subject(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    parameters: Parameters,
) -> Result<Json<SettingsBody>, ApiError> {
    let fallback = parameters.fallback();
    let settings = service.ask(move |registry| registry.settings(&subject, fallback)).await?;
    Ok(Json(settings.into()))
}

pub(super) async fn set_global(
    State(service): State<Service>,
    Body(body): Body<UpdateBody>,
) -> Result<Json<UpdateBody>, ApiError> {
    set(&service, None, body).await
}

pub(super) async fn set_of_subject(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    Body(body): Body<UpdateBody>,
) -> Result<Json<UpdateBody>, ApiError> {
    set(&service, Some(subject), body).await
}

async fn set(
    service: &Service,
    subject: Option<Subject>,
    body: UpdateBody,
) -> Result<Json<UpdateBody>, ApiError> {
    let level = match &body.compatibility {
        Some(word) => Some(Level::parse(word).ok_or(RegistryError::InvalidLevel)?),
        None => None,
    };
    let update = SettingsUpdate { level, normalize: body.normalize };
    service.change(move |registry| registry.update_settings(subject.as_ref(), update)).await?;
    let compatibility = level.map(|level| level.as_str().to_owned());
    Ok(Json(UpdateBody { compatibility, normalize: body.normalize }))
}

pub(super) async fn clear_global(
    State(service): State<Service>,
) -> Result<Json<SettingsBody>, ApiError> {
    clear(&service, None).await
}

pub(super) async fn clear_of_subject(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
) -> Result<Json<SettingsBody>, ApiError> {
    clear(&service, Some(subject)).await
}

async fn clear(
    service: &Service,
    subject: Option<Subject>,
) -> Result<Json<SettingsBody>, ApiError> {
    let old = service.change(move |registry| registry.clear_settings(subject.as_ref())).await?;
    Ok(Json(SettingsBody { level: old.as_str(), normalize: None }))
}

pub(super) async fn global_mode(
    State(service): State<Service>,
) -> Result<Json<ModeBody>, ApiError> {
    Ok(Json(service.ask(Registry::global_mode).await?.into()))
}

pub(super) async fn mode_of_subject(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    parameters: Parameters,
) -> Result<Json<ModeBody>, ApiError> {
    let fallback = parameters.fallback();
    Ok(Json(service.ask(move |registry| registry.mode(&subject, fallback)).await?.into()))
}

pub(super) async fn set_global_mode(
    State(service): State<Service>,
    parameters: Parameters,
    Body(body): Body<ModeBody>,
) -> Result<Json<ModeBody>, ApiError> {
    set_mode(&service, None, &parameters, &body).await
}

pub(super) async fn set_mode_of_subject(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
    parameters: Parameters,
    Body(body): Body<ModeBody>,
) -> Result<Json<ModeBody>, ApiError> {
    set_mode(&service, Some(subject), &parameters, &body).await
}

async fn set_mode(
    service: &Service,
    subject: Option<Subject>,
    parameters: &Parameters,
    body: &ModeBody,
) -> Result<Json<ModeBody>, ApiError> {
    let mode = body.mode.as_deref().and_then(Mode::parse).ok_or(RegistryError::InvalidMode)?;
    let force = parameters.is_set("force");
    let import = if force { ImportOver::Anything } else { ImportOver::NothingOnly };
    service.change(move |registry| registry.set_mode(subject.as_ref(), mode, import)).await?;
    Ok(Json(mode.into()))
}

pub(super) async fn clear_mode_of_subject(
    State(service): State<Service>,
    OfSubject(subject): OfSubject,
) -> Result<Json<ModeBody>, ApiError> {
    Ok(Json(service.change(move |registry| registry.clear_mode(&subject)).await?.into()))
}
