//! The schema registry, as Confluent's REST interface has it, and the wire format that ties a
//! payload to a schema.

mod cache;
mod error;
mod framing;

pub use error::RegistryError;
pub use framing::{FRAME_LEN, NotFramed, frame, unframe};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::SchemaId;

use self::cache::IdCache;

/// How long one request may take unless told otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes: several of the largest schemas.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The largest id of a schema: registries count from 1 in 31 bits.
const MAX_ID: u32 = i32::MAX.cast_unsigned();
/// Schemas kept by id. A schema never changes under its id.
const MAX_CACHED: usize = 1000;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// What a subject may hold and a path segment may not.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A schema as it is registered in a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the registry's own word for it")]
pub struct Version {
    /// The subject.
    pub subject: String,
    /// Its number in the subject, from 1.
    pub version: u32,
    /// The schema's id, the same in every subject.
    pub id: SchemaId,
    /// The schema's text.
    pub schema: String,
}

/// Whether a schema could be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the subject's compatibility level allows it.
    pub is_compatible: bool,
    /// What stands against it.
    pub messages: Vec<String>,
}

/// Whether a deletion can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Hidden, and found again by id.
    Soft,
    /// Gone; it must have been deleted softly before.
    Permanent,
}

/// Talks to a schema registry. Clones share connections and the cache of schemas.
#[derive(Clone, Debug)]
pub struct RegistryClient {
    http: Client,
    /// Without a slash at its end.
    url: Arc<str>,
    cache: Arc<Mutex<IdCache>>,
}

#[derive(Serialize)]
struct SchemaText<'a> {
    schema: &'a str,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct SchemaString {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

#[derive(Deserialize)]
struct SubjectVersion {
    subject: String,
    version: u32,
    id: u32,
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

#[derive(Deserialize)]
struct Compatibility {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct Level {
    #[serde(rename = "compatibilityLevel")]
    level: String,
}

#[derive(Serialize)]
struct NewLevel<'a> {
    compatibility: &'a str,
}

impl RegistryClient {
    /// A client of the registry at `url` (`http://host:8081`). Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`RegistryError::InvalidUrl`].
    pub fn new(url: &str) -> Result<Self, RegistryError> {
        Self::with_timeout(url, REQUEST_TIMEOUT)
    }

    /// The same, with so much time for each request.
    ///
    /// # Errors
    ///
    /// [`RegistryError::InvalidUrl`].
    pub fn with_timeout(url: &str, timeout: Duration) -> Result<Self, RegistryError> {
        let invalid = |detail: String| RegistryError::InvalidUrl { url: url.to_owned(), detail };
        let parsed = reqwest::Url::parse(url).map_err(|error| invalid(error.to_string()))?;
        if parsed.cannot_be_a_base() || parsed.host_str().is_none() {
            return Err(invalid("it names no host".to_owned()));
        }
        let http = Client::builder().timeout(timeout).connect_timeout(CONNECT_TIMEOUT);
        Ok(Self {
            http: http.build().map_err(|error| invalid(error.to_string()))?,
            url: Arc::from(url.trim_end_matches('/')),
            cache: Arc::new(Mutex::new(IdCache::new(MAX_CACHED))),
        })
    }

    /// Registers a schema in a subject, or finds that it is there already.
    ///
    /// # Errors
    ///
    /// [`RegistryError::InvalidSchema`], [`RegistryError::Incompatible`], or the registry is down.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        let path = format!("/subjects/{}/versions", segment(subject));
        let registered: Registered = self.post(&path, &SchemaText { schema }).await?;
        Ok(SchemaId::new(registered.id))
    }

    /// Finds a schema in a subject without registering it.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], or the registry is down.
    pub async fn lookup(&self, subject: &str, schema: &str) -> Result<Version, RegistryError> {
        let path = format!("/subjects/{}", segment(subject));
        avro(self.post(&path, &SchemaText { schema }).await?)
    }

    /// The text of a schema. Asked for once, then kept.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], [`RegistryError::NotAvro`], or the registry is down.
    pub async fn schema(&self, id: SchemaId) -> Result<String, RegistryError> {
        if let Some(schema) = self.cache().get(id) {
            return Ok(schema);
        }
        // Any binary payload may seem to name one of these, and what a registry answers then does
        // not tell it from an address that is wrong.
        if !(1..=MAX_ID).contains(&id.get()) {
            let message = format!("Schema {id} not found");
            return Err(RegistryError::NotFound { error_code: 40403, message });
        }
        let found: SchemaString = self.get(&format!("/schemas/ids/{id}")).await?;
        check_avro(found.schema_type)?;
        self.cache().insert(id, found.schema.clone());
        Ok(found.schema)
    }

    /// The last version of a subject.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], [`RegistryError::NotAvro`], or the registry is down.
    pub async fn latest(&self, subject: &str) -> Result<Version, RegistryError> {
        avro(self.get(&format!("/subjects/{}/versions/latest", segment(subject))).await?)
    }

    /// One version of a subject.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], [`RegistryError::NotAvro`], or the registry is down.
    pub async fn version(&self, subject: &str, version: u32) -> Result<Version, RegistryError> {
        avro(self.get(&format!("/subjects/{}/versions/{version}", segment(subject))).await?)
    }

    /// All subjects.
    ///
    /// # Errors
    ///
    /// The registry is down.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        self.get("/subjects").await
    }

    /// The version numbers of a subject.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], or the registry is down.
    pub async fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        self.get(&format!("/subjects/{}/versions", segment(subject))).await
    }

    /// Whether a schema could be registered in a subject, and if not, why. A subject that does not
    /// exist takes any.
    ///
    /// # Errors
    ///
    /// [`RegistryError::InvalidSchema`], or the registry is down.
    pub async fn check(&self, subject: &str, schema: &str) -> Result<Verdict, RegistryError> {
        let path = format!("/compatibility/subjects/{}/versions?verbose=true", segment(subject));
        let found: Compatibility = self.post(&path, &SchemaText { schema }).await?;
        Ok(Verdict { is_compatible: found.is_compatible, messages: found.messages })
    }

    /// The compatibility level that counts for a subject, or without one for all that have none of
    /// their own.
    ///
    /// # Errors
    ///
    /// The registry is down.
    pub async fn compatibility(&self, subject: Option<&str>) -> Result<String, RegistryError> {
        let path = format!("{}?defaultToGlobal=true", config_path(subject));
        let found: Level = self.get(&path).await?;
        Ok(found.level)
    }

    /// Sets the compatibility level of a subject, or without one the default.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Refused`] for a level that is none, or the registry is down.
    pub async fn set_compatibility(
        &self,
        subject: Option<&str>,
        level: &str,
    ) -> Result<(), RegistryError> {
        let body = NewLevel { compatibility: level };
        let _echo: Value = self.send(Method::PUT, &config_path(subject), Some(&body)).await?;
        Ok(())
    }

    /// Deletes a subject. Returns the numbers of its versions.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], [`RegistryError::Refused`] if it must be deleted softly first
    /// or others refer to it, or the registry is down.
    pub async fn delete_subject(
        &self,
        subject: &str,
        deletion: Deletion,
    ) -> Result<Vec<u32>, RegistryError> {
        let path = format!("/subjects/{}{}", segment(subject), permanent(deletion));
        self.send(Method::DELETE, &path, None::<&()>).await
    }

    /// Deletes one version of a subject.
    ///
    /// # Errors
    ///
    /// As [`delete_subject`](RegistryClient::delete_subject).
    pub async fn delete_version(
        &self,
        subject: &str,
        version: u32,
        deletion: Deletion,
    ) -> Result<(), RegistryError> {
        let permanent = permanent(deletion);
        let path = format!("/subjects/{}/versions/{version}{permanent}", segment(subject));
        let _number: Value = self.send(Method::DELETE, &path, None::<&()>).await?;
        Ok(())
    }

    fn cache(&self) -> MutexGuard<'_, IdCache> {
        // Nothing panics under this lock; and what it guards is whole at any time.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RegistryError> {
        self.send(Method::GET, path, None::<&()>).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RegistryError> {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, RegistryError> {
        let url = format!("{}{path}", self.url);
        let mut request = self.http.request(method, &url).header("Accept", CONTENT_TYPE);
        if let Some(body) = body {
            let json = serde_json::to_vec(body).map_err(|error| self.invalid(path, &error))?;
            request = request.header("Content-Type", CONTENT_TYPE).body(json);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let is_success = response.status().is_success();
        let answer = self.read(response).await?;
        if is_success {
            serde_json::from_slice(&answer).map_err(|error| self.invalid(path, &error))
        } else {
            Err(error::refused(&self.url, status, &answer))
        }
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, RegistryError> {
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if MAX_ANSWER_BYTES < answer.len().saturating_add(part.len()) {
                return Err(RegistryError::InvalidAnswer {
                    url: self.url.to_string(),
                    detail: format!("it is longer than {MAX_ANSWER_BYTES} bytes"),
                });
            }
            answer.extend_from_slice(&part);
        }
        Ok(answer)
    }

    fn unreachable(&self, error: &reqwest::Error) -> RegistryError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        RegistryError::Unreachable { url: self.url.to_string(), detail: cause.to_string() }
    }

    fn invalid(&self, path: &str, error: &serde_json::Error) -> RegistryError {
        RegistryError::InvalidAnswer {
            url: format!("{}{path}", self.url),
            detail: error.to_string(),
        }
    }
}

fn segment(subject: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(subject, SEGMENT)
}

fn config_path(subject: Option<&str>) -> String {
    subject.map_or_else(|| "/config".to_owned(), |s| format!("/config/{}", segment(s)))
}

const fn permanent(deletion: Deletion) -> &'static str {
    match deletion {
        Deletion::Soft => "",
        Deletion::Permanent => "?permanent=true",
    }
}

fn avro(found: SubjectVersion) -> Result<Version, RegistryError> {
    check_avro(found.schema_type)?;
    let SubjectVersion { subject, version, id, schema, .. } = found;
    Ok(Version { subject, version, id: SchemaId::new(id), schema })
}

/// Confluent leaves the type out when it is Avro.
fn check_avro(schema_type: Option<String>) -> Result<(), RegistryError> {
    match schema_type {
        Some(found) if found != "AVRO" => Err(RegistryError::NotAvro { found }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
