//! How `dohle consume` shows a record: by a template, or as one JSON object a line.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use record::Header;
use serde_json::{Map, Value};
use thiserror::Error;
use types::{Offset, PartitionId, SchemaId, Timestamp, TopicName};

/// A record, ready to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Where it lies.
    pub(crate) topic: TopicName,
    /// Where it lies.
    pub(crate) partition: PartitionId,
    /// Where it lies.
    pub(crate) offset: Offset,
    /// As its producer or broker set it.
    pub(crate) timestamp: Timestamp,
    /// What it is keyed by.
    pub(crate) key: Payload,
    /// What it says.
    pub(crate) value: Payload,
    /// In the order sent.
    pub(crate) headers: Vec<Header>,
}

/// A key or a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Payload {
    /// Absent; as a value, a tombstone.
    Null,
    /// As it was sent.
    Bytes(Bytes),
    /// Decoded by the schema that it names.
    Avro {
        /// The schema it names.
        schema_id: SchemaId,
        /// In Avro's JSON encoding.
        json: Value,
    },
}

/// How records are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line.
    Json,
    /// As the template says.
    Template(Template),
}

impl Format {
    /// Reads what `-f` was given: `json`, or a template.
    ///
    /// # Errors
    ///
    /// The template has an unknown `%x` or `\x`.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        match text {
            "json" => Ok(Self::Json),
            template => Template::parse(template).map(Self::Template),
        }
    }

    /// The value and a line end, as Kafka's console consumer prints it.
    pub(crate) fn values() -> Self {
        Self::Template(Template(vec![Part::Value, Part::Text(b"\n".to_vec())]))
    }

    /// Adds the record's text to `out`.
    pub(crate) fn render(&self, record: &Shown, out: &mut Vec<u8>) {
        match self {
            Self::Json => {
                out.extend_from_slice(record.to_json().to_string().as_bytes());
                out.push(b'\n');
            }
            Self::Template(template) => template.render(record, out),
        }
    }
}

/// Text with places for parts of a record: `%t %p %o %k %v\n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    KeyLength,
    Value,
    ValueLength,
    Headers,
}

/// Why the text is no template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TemplateError {
    /// No such placeholder.
    #[error(
        "the format has an unknown %{found}; there are %t topic, %p partition, %o offset, \
         %T timestamp, %k key, %v value, %K and %V their lengths, %h headers and %%"
    )]
    Placeholder {
        /// What stands behind the percent sign.
        found: char,
    },
    /// No such escape.
    #[error("the format has an unknown \\{found}; there are \\n, \\r, \\t, \\0 and \\\\")]
    Escape {
        /// What stands behind the backslash.
        found: char,
    },
    /// A percent sign or backslash with nothing behind it.
    #[error("the format ends in {last:?}; write it twice to mean itself")]
    Unfinished {
        /// The last character.
        last: char,
    },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] names what is not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '%' => match placeholder(rest.next())? {
                    Some(part) => {
                        push_literal(&mut parts, &mut literal);
                        parts.push(part);
                    }
                    None => literal.push('%'),
                },
                '\\' => literal.push(escape(rest.next())?),
                other => literal.push(other),
            }
        }
        push_literal(&mut parts, &mut literal);
        Ok(Self(parts))
    }

    fn render(&self, record: &Shown, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Topic => out.extend_from_slice(record.topic.as_str().as_bytes()),
                Part::Partition => push_number(out, u64::from(record.partition.get())),
                Part::Offset => push_number(out, record.offset.get()),
                Part::Timestamp => {
                    out.extend_from_slice(record.timestamp.as_millis().to_string().as_bytes());
                }
                Part::Key => record.key.push(out),
                Part::KeyLength => push_number(out, record.key.length()),
                Part::Value => record.value.push(out),
                Part::ValueLength => push_number(out, record.value.length()),
                Part::Headers => push_headers(out, &record.headers),
            }
        }
    }
}

fn placeholder(character: Option<char>) -> Result<Option<Part>, TemplateError> {
    Ok(Some(match character {
        Some('t') => Part::Topic,
        Some('p') => Part::Partition,
        Some('o') => Part::Offset,
        Some('T') => Part::Timestamp,
        Some('k') => Part::Key,
        Some('K') => Part::KeyLength,
        Some('v' | 's') => Part::Value,
        Some('V' | 'S') => Part::ValueLength,
        Some('h') => Part::Headers,
        Some('%') => return Ok(None),
        Some(found) => return Err(TemplateError::Placeholder { found }),
        None => return Err(TemplateError::Unfinished { last: '%' }),
    }))
}

fn escape(character: Option<char>) -> Result<char, TemplateError> {
    match character {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('0') => Ok('\0'),
        Some('\\') => Ok('\\'),
        Some(found) => Err(TemplateError::Escape { found }),
        None => Err(TemplateError::Unfinished { last: '\\' }),
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Text(std::mem::take(literal).into_bytes()));
    }
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    write!(out, "{number}").ok();
}

fn push_headers(out: &mut Vec<u8>, headers: &[Header]) {
    for (position, header) in headers.iter().enumerate() {
        if 0 < position {
            out.push(b',');
        }
        out.extend_from_slice(header.key.as_ref());
        out.push(b'=');
        if let Some(value) = &header.value {
            out.extend_from_slice(value);
        }
    }
}

impl Payload {
    /// As it was sent.
    pub(crate) fn raw(bytes: Option<Bytes>) -> Self {
        bytes.map_or(Self::Null, Self::Bytes)
    }

    fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Avro { json, .. } => out.extend_from_slice(json.to_string().as_bytes()),
        }
    }

    /// Bytes as shown; 0 if there is none.
    fn length(&self) -> u64 {
        let length = match self {
            Self::Null => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Avro { json, .. } => json.to_string().len(),
        };
        u64::try_from(length).unwrap_or(u64::MAX)
    }

    /// Adds `name`, or `name_base64` where the bytes are no text, and the schema they name.
    fn insert(&self, name: &str, object: &mut Map<String, Value>) {
        match self {
            Self::Null => {
                object.insert(name.to_owned(), Value::Null);
            }
            Self::Bytes(bytes) => insert_bytes(name, bytes, object),
            Self::Avro { schema_id, json } => {
                object.insert(name.to_owned(), json.clone());
                object.insert(format!("{name}_schema_id"), schema_id.get().into());
            }
        }
    }
}

fn insert_bytes(name: &str, bytes: &[u8], object: &mut Map<String, Value>) {
    match str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), text.into()),
        Err(_binary) => object.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
    };
}

impl Shown {
    /// The object that `-f json` prints, and that `dohle produce -f json` reads.
    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("topic".to_owned(), self.topic.as_str().into());
        object.insert("partition".to_owned(), self.partition.get().into());
        object.insert("offset".to_owned(), self.offset.get().into());
        object.insert("timestamp".to_owned(), self.timestamp.as_millis().into());
        self.key.insert("key", &mut object);
        self.value.insert("value", &mut object);
        let headers: Vec<Value> = self.headers.iter().map(header_json).collect();
        object.insert("headers".to_owned(), headers.into());
        Value::Object(object)
    }
}

fn header_json(header: &Header) -> Value {
    let mut object = Map::new();
    insert_bytes("key", &header.key, &mut object);
    match &header.value {
        Some(value) => insert_bytes("value", value, &mut object),
        None => {
            object.insert("value".to_owned(), Value::Null);
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests;
