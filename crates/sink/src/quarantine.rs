use std::fmt;

use lake::avro::{InvalidDatum, InvalidFraming, put_bytes, put_long};
use lake::partitioner::Undated;
use record::Record;
use types::{SchemaId, TopicPartition};

/// Schema of the rows in a quarantine file: the whole record, so that it can be produced again.
pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"Quarantined","namespace":"dohle.sink","fields":[{"name":"topic","type":"string"},{"name":"partition","type":"int"},{"name":"offset","type":"long"},{"name":"timestamp_ms","type":"long"},{"name":"reason","type":"string"},{"name":"detail","type":"string"},{"name":"schema_id","type":["null","long"]},{"name":"key","type":["null","bytes"]},{"name":"value","type":["null","bytes"]},{"name":"headers","type":{"type":"array","items":{"type":"record","name":"Header","fields":[{"name":"key","type":"bytes"},{"name":"value","type":["null","bytes"]}]}}}]}"#;

/// Why a record was not landed as a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuarantineReason {
    /// The payload is not in Confluent's wire format.
    BadFraming,
    /// The schema's id is in a header; only ids in the payload are read.
    SchemaInHeader,
    /// The registry does not know the schema's id.
    UnknownSchema,
    /// The registered schema cannot be read.
    UnreadableSchema,
    /// The bytes are no datum of their schema.
    BadDatum,
    /// The field that tells the time holds none.
    Undated,
    /// There is no value, and the policy says to keep such records here.
    Tombstone,
}

impl QuarantineReason {
    /// The name in files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadFraming => "bad-framing",
            Self::SchemaInHeader => "schema-in-header",
            Self::UnknownSchema => "unknown-schema",
            Self::UnreadableSchema => "unreadable-schema",
            Self::BadDatum => "bad-datum",
            Self::Undated => "undated",
            Self::Tombstone => "tombstone",
        }
    }
}

impl fmt::Display for QuarantineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A record's sentence.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: QuarantineReason,
    pub(crate) detail: String,
    pub(crate) schema: Option<SchemaId>,
}

impl Refusal {
    pub(crate) fn framing(why: InvalidFraming) -> Self {
        Self { reason: QuarantineReason::BadFraming, detail: why.to_string(), schema: None }
    }

    pub(crate) fn datum(schema: SchemaId, why: InvalidDatum) -> Self {
        let detail = why.to_string();
        Self { reason: QuarantineReason::BadDatum, detail, schema: Some(schema) }
    }

    pub(crate) fn undated(schema: SchemaId, field: &[String], why: &Undated) -> Self {
        let detail = format!("field {}: {why}", field.join("."));
        Self { reason: QuarantineReason::Undated, detail, schema: Some(schema) }
    }
}

/// Appends the quarantine row of `record`.
pub(crate) fn encode(
    partition: &TopicPartition,
    record: &Record,
    refusal: &Refusal,
    out: &mut Vec<u8>,
) {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    put_bytes(out, partition.topic.as_str().as_bytes());
    put_long(out, i64::from(partition.partition.get()));
    put_long(out, whole(record.offset.get()));
    put_long(out, record.timestamp.as_millis());
    put_bytes(out, refusal.reason.as_str().as_bytes());
    put_bytes(out, refusal.detail.as_bytes());
    match refusal.schema {
        None => put_long(out, 0),
        Some(id) => {
            put_long(out, 1);
            put_long(out, i64::from(id.get()));
        }
    }
    put_optional(out, record.key.as_deref());
    put_optional(out, record.value.as_deref());
    if !record.headers.is_empty() {
        put_long(out, i64::try_from(record.headers.len()).unwrap_or(i64::MAX));
        for header in &record.headers {
            put_bytes(out, &header.key);
            put_optional(out, header.value.as_deref());
        }
    }
    put_long(out, 0);
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_long(out, 0),
        Some(bytes) => {
            put_long(out, 1);
            put_bytes(out, bytes);
        }
    }
}
