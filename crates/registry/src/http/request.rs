//! What requests carry, read once and checked.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use schema::{Deletion, VersionSelector};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;
use crate::error::RegistryError;
use crate::registry::{
    Deleted, Fallback, Page, Registration, RequestedReference, SchemaRequest, Subject,
};

/// The body, as JSON of a known shape.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection: BytesRejection| {
            if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::body_too_large()
            } else {
                ApiError::malformed("the request body could not be read to its end")
            }
        })?;
        // Read as an option, for clients do send `null`.
        let is_blank = bytes.iter().all(u8::is_ascii_whitespace);
        let body: Option<T> = if is_blank {
            None
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|error| ApiError::malformed(format!("the request body: {error}")))?
        };
        body.map(Self).ok_or_else(|| ApiError::unprocessable("the request body must not be null"))
    }
}

/// The part of the path that names a subject.
pub(super) struct OfSubject(pub(super) Subject);

impl<S: Send + Sync> FromRequestParts<S> for OfSubject {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await.map_err(not_a_path)?;
        let Path(SubjectPath { subject }) = path;
        Ok(Self(Subject::new(subject)?))
    }
}

#[derive(Deserialize)]
struct SubjectPath {
    subject: String,
}

/// The part of the path that names a version.
pub(super) struct OfVersion(pub(super) VersionSelector);

impl<S: Send + Sync> FromRequestParts<S> for OfVersion {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await.map_err(not_a_path)?;
        let Path(VersionPath { version }) = path;
        let selector = VersionSelector::parse(&version);
        Ok(Self(selector.map_err(RegistryError::from)?))
    }
}

#[derive(Deserialize)]
struct VersionPath {
    version: String,
}

/// The part of the path that names an id. What is no number is no path either.
pub(super) struct OfId(pub(super) u32);

impl<S: Send + Sync> FromRequestParts<S> for OfId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await.map_err(not_a_path)?;
        let Path(IdPath { id }) = path;
        let number: i32 = id.parse().map_err(|_not_a_number| ApiError::not_found())?;
        let missing = |_negative| RegistryError::IdNotFound { id: number.into() };
        Ok(Self(u32::try_from(number).map_err(missing)?))
    }
}

#[derive(Deserialize)]
struct IdPath {
    id: String,
}

fn not_a_path(_rejection: PathRejection) -> ApiError {
    ApiError::not_found()
}

/// The query, in which unknown parameters are ignored.
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(pairs) = query.map_err(|rejection| ApiError::malformed(rejection.body_text()))?;
        Ok(Self(pairs))
    }
}

impl Parameters {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Java's reading of a boolean: everything but `true` is false.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A number, where a negative one stands for none.
    fn number(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number: i32 = text.parse().map_err(|_not_a_number| ApiError::not_found())?;
        Ok(usize::try_from(number).ok())
    }

    pub(super) fn page(&self) -> Result<Page, ApiError> {
        let offset = self.number("offset")?.unwrap_or(0);
        Ok(Page { offset, limit: self.number("limit")? })
    }

    pub(super) fn deleted(&self) -> Deleted {
        if self.is_set("deletedOnly") {
            Deleted::Only
        } else if self.is_set("deleted") {
            Deleted::Included
        } else {
            Deleted::Hidden
        }
    }

    pub(super) fn deletion(&self) -> Deletion {
        if self.is_set("permanent") { Deletion::Permanent } else { Deletion::Soft }
    }

    pub(super) fn fallback(&self) -> Fallback {
        if self.is_set("defaultToGlobal") { Fallback::ToRegistry } else { Fallback::None }
    }

    /// What subjects are to begin with. `:*:` is every context, which is to say everything.
    pub(super) fn prefix(&self) -> String {
        let prefix = self.get("subjectPrefix").unwrap_or_default();
        prefix.strip_prefix(":*:").unwrap_or(prefix).to_owned()
    }
}

/// A schema in a request body.
#[derive(Deserialize)]
pub(super) struct SchemaBody {
    schema: Option<Value>,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<ReferenceBody>>,
    id: Option<i32>,
    version: Option<i32>,
}

#[derive(Deserialize)]
struct ReferenceBody {
    name: String,
    subject: String,
    version: i32,
}

impl SchemaBody {
    pub(super) fn request(self, parameters: &Parameters) -> Result<SchemaRequest, ApiError> {
        Ok(self.registration(parameters)?.schema)
    }

    pub(super) fn registration(self, parameters: &Parameters) -> Result<Registration, ApiError> {
        let text = match self.schema {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                return Err(ApiError::unprocessable(
                    "\"schema\" must be a string that holds the schema's JSON, with its quotes \
                     escaped: {\"schema\": \"{\\\"type\\\": ...}\"}",
                ));
            }
        };
        let references = self.references.unwrap_or_default().into_iter().map(|reference| {
            let ReferenceBody { name, subject, version } = reference;
            RequestedReference { name, subject, version }
        });
        let positive = |number: i32| u32::try_from(number).ok().filter(|number| 0 < *number);
        Ok(Registration {
            schema: SchemaRequest {
                text,
                kind: self.kind.filter(|kind| !kind.is_empty()),
                references: references.collect(),
                normalize: parameters.is_set("normalize"),
            },
            // Zero and -1 are what clients send for "none".
            id: self.id.and_then(positive),
            version: self.version.and_then(positive),
        })
    }
}
