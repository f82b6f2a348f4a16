use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use types::{Coded, Reason};

use super::Json;
use crate::error::{InvalidSchema, RegistryError};

/// An error as clients see it: exactly these two fields. One more has broken Java clients.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
}

#[derive(Serialize)]
struct Body {
    error_code: u32,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// An error whose number is the HTTP status itself.
    fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, status.as_u16().into(), message)
    }

    pub(super) fn not_found() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "HTTP 404 Not Found")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, "HTTP 405 Method Not Allowed")
    }

    pub(super) fn not_acceptable() -> Self {
        Self::plain(StatusCode::NOT_ACCEPTABLE, "HTTP 406 Not Acceptable")
    }

    pub(super) fn unsupported_media_type() -> Self {
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "HTTP 415 Unsupported Media Type")
    }

    /// A body that cannot be read as what it should be.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, message)
    }

    /// A body that can be read and makes no sense.
    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(super) fn body_too_large() -> Self {
        Self::plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request body is larger than this registry reads (max_body_bytes)",
        )
    }

    pub(super) fn busy() -> Self {
        Self::plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are in progress; try again in a moment",
        )
    }

    pub(super) fn timed_out() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            50002,
            "Operation timed out; it may still take effect",
        )
    }

    /// The answer was lost on our side.
    pub(super) fn interrupted() -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }

    pub(super) fn message(self) -> String {
        self.message
    }

    /// Whether it is the schema in the request that is at fault.
    pub(super) fn is_invalid_schema(&self) -> bool {
        self.code == 42201
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        (status, Json(Body { error_code: code, message })).into_response()
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        let code = number(&error);
        // Confluent's numbers begin with the HTTP status: 42201 is a 422.
        let status = if code < 1000 { code } else { code / 100 };
        let status =
            u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(%error, reason = %error.reason(), "request failed");
        }
        Self::new(status, code, error.to_string())
    }
}

fn number(error: &RegistryError) -> u32 {
    match error {
        RegistryError::SubjectNotFound { .. } => 40401,
        RegistryError::VersionNotFound { .. } => 40402,
        RegistryError::IdNotFound { .. } | RegistryError::SchemaNotFound => 40403,
        RegistryError::SubjectSoftDeleted { .. } => 40404,
        RegistryError::SubjectNotSoftDeleted { .. } => 40405,
        RegistryError::VersionSoftDeleted { .. } => 40406,
        RegistryError::VersionNotSoftDeleted { .. } => 40407,
        RegistryError::NoSubjectLevel { .. } => 40408,
        RegistryError::NoSubjectMode { .. } => 40409,
        // 40901 came with 8.2 and is not understood by clients before it.
        RegistryError::Incompatible { .. } => 409,
        RegistryError::InvalidSchema(rejected) if is_too_large(&rejected.cause) => 42209,
        RegistryError::Store(error) if error.reason() == Reason::MessageTooLarge => 42209,
        RegistryError::Store(error) if error.reason() == Reason::RequestTimedOut => 50002,
        RegistryError::InvalidSchema(_)
        | RegistryError::InvalidType { .. }
        | RegistryError::EmptySchema
        | RegistryError::UnexpectedVersion { .. } => 42201,
        RegistryError::InvalidVersion(_) => 42202,
        RegistryError::InvalidLevel => 42203,
        RegistryError::InvalidMode => 42204,
        RegistryError::ReadOnly { .. }
        | RegistryError::NotInImportMode { .. }
        | RegistryError::InImportMode { .. }
        | RegistryError::IdTaken { .. }
        | RegistryError::ImportOverSubjects => 42205,
        RegistryError::Referenced { .. } => 42206,
        RegistryError::InvalidSubject { .. } => 42208,
        RegistryError::Store(_)
        | RegistryError::Damaged { .. }
        | RegistryError::Contended
        | RegistryError::UsedUp { .. } => 50001,
    }
}

fn is_too_large(cause: &InvalidSchema) -> bool {
    matches!(cause, InvalidSchema::Text(schema::ParseError::TooLarge { .. }))
}
