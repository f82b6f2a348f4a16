//! How `dohle produce` reads a record from a line: as text with an optional key, or as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use record::Header;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use types::{PartitionId, Timestamp};

mod source;

pub(crate) use source::{Line, lines};

/// What a line says; what it leaves open, the command line or the producer decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Input {
    /// What the record is keyed by.
    pub(crate) key: Option<Bytes>,
    /// What it says.
    pub(crate) value: InputValue,
    /// In the order given.
    pub(crate) headers: Vec<Header>,
    /// Where it shall go.
    pub(crate) partition: Option<PartitionId>,
    /// When it happened.
    pub(crate) timestamp: Option<Timestamp>,
}

/// A value, before it is encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum InputValue {
    /// A tombstone.
    #[default]
    Null,
    /// Bytes to be sent as they are, or text of a JSON value where a schema encodes it.
    Text(Bytes),
    /// A JSON value, where the line itself is JSON.
    Json(Value),
}

/// How lines are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// A line is a value, or a key and a value if there is a separator.
    Text {
        /// What stands between key and value.
        key_separator: Option<String>,
        /// What becomes of an empty value.
        empty: EmptyValue,
    },
    /// A line is an object as `dohle consume -f json` prints it.
    Json,
}

/// What a text line without a value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyValue {
    /// A record with an empty value.
    Empty,
    /// A record without a value, which deletes its key from a compacted topic.
    Tombstone,
}

/// Why a line is no record.
#[derive(Debug, Error)]
pub(crate) enum LineError {
    /// The separator is missing.
    #[error("the line has no {separator:?} between key and value")]
    NoKey {
        /// The separator wanted.
        separator: String,
    },
    /// The line is no JSON object of the known shape.
    #[error("the line is no record in JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// A header has to have a name.
    #[error("a header has neither key nor key_base64")]
    NoHeaderKey,
    /// A `..._base64` member is not base64.
    #[error("{member} is not base64: {error}")]
    Base64 {
        /// The member's name.
        member: &'static str,
        /// Where it goes wrong.
        #[source]
        error: base64::DecodeError,
    },
}

/// The object of a JSON line. Members that `dohle consume` prints and a producer has no use for
/// (topic, offset, schema ids) are passed over, so that its output can be sent on.
#[derive(Deserialize)]
struct JsonLine {
    #[serde(default)]
    key: Option<Value>,
    key_base64: Option<String>,
    #[serde(default)]
    value: Option<Value>,
    value_base64: Option<String>,
    #[serde(default)]
    headers: Vec<JsonHeader>,
    partition: Option<u32>,
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct JsonHeader {
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
}

impl LineFormat {
    /// Reads one line, without its end.
    ///
    /// # Errors
    ///
    /// [`LineError`] says what is wrong with it.
    pub(crate) fn read(&self, line: &Bytes) -> Result<Input, LineError> {
        match self {
            Self::Text { key_separator, empty } => {
                read_text(line, key_separator.as_deref(), *empty)
            }
            Self::Json => read_json(line),
        }
    }
}

fn read_text(line: &Bytes, separator: Option<&str>, empty: EmptyValue) -> Result<Input, LineError> {
    let (key, value) = match separator {
        None => (None, line.clone()),
        Some(separator) => {
            let (key, value) = split(line, separator.as_bytes())
                .ok_or_else(|| LineError::NoKey { separator: separator.to_owned() })?;
            (Some(key), value)
        }
    };
    let value = match empty {
        EmptyValue::Tombstone if value.is_empty() => InputValue::Null,
        EmptyValue::Tombstone | EmptyValue::Empty => InputValue::Text(value),
    };
    Ok(Input { key, value, ..Input::default() })
}

/// What stands before and behind the first `separator`.
fn split(line: &Bytes, separator: &[u8]) -> Option<(Bytes, Bytes)> {
    let at = line.windows(separator.len().max(1)).position(|window| window == separator)?;
    Some((line.slice(..at), line.slice(at.checked_add(separator.len())?..)))
}

fn read_json(line: &Bytes) -> Result<Input, LineError> {
    let line: JsonLine = serde_json::from_slice(line).map_err(LineError::Json)?;
    let key = match (line.key_base64, line.key) {
        (Some(encoded), _) => Some(decode("key_base64", &encoded)?),
        (None, None | Some(Value::Null)) => None,
        (None, Some(Value::String(text))) => Some(Bytes::from(text)),
        (None, Some(other)) => Some(Bytes::from(other.to_string())),
    };
    let value = match (line.value_base64, line.value) {
        (Some(encoded), _) => InputValue::Text(decode("value_base64", &encoded)?),
        (None, None | Some(Value::Null)) => InputValue::Null,
        (None, Some(value)) => InputValue::Json(value),
    };
    let mut headers = Vec::new();
    for header in line.headers {
        let value = match header.value_base64 {
            Some(encoded) => Some(decode("a header's value_base64", &encoded)?),
            None => header.value.map(Bytes::from),
        };
        let key = match (header.key_base64, header.key) {
            (Some(encoded), _) => decode("a header's key_base64", &encoded)?,
            (None, Some(text)) => Bytes::from(text),
            (None, None) => return Err(LineError::NoHeaderKey),
        };
        headers.push(Header { key, value });
    }
    Ok(Input {
        key,
        value,
        headers,
        partition: line.partition.map(PartitionId::new),
        timestamp: line.timestamp.map(Timestamp::from_millis),
    })
}

fn decode(member: &'static str, encoded: &str) -> Result<Bytes, LineError> {
    STANDARD.decode(encoded).map(Bytes::from).map_err(|error| LineError::Base64 { member, error })
}

impl InputValue {
    /// The value where no schema encodes it: text as it is, other JSON as its text.
    pub(crate) fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Null => None,
            Self::Text(bytes) => Some(bytes),
            Self::Json(Value::String(text)) => Some(Bytes::from(text)),
            Self::Json(other) => Some(Bytes::from(other.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
