//! Avro datums to and from JSON, for people and scripts.
//!
//! JSON is in Avro's own encoding, as Kafka's Avro console tools print and read it: bytes are text
//! of code points 0 to 255, and a union's value is `{"branch": value}`. What is read may also leave
//! the branch out, and fields that have a default. Logical types are numbers and bytes here.
//!
//! `apache-avro` parses the schema. The datums are walked here, because its errors do not say at
//! which field they happened.

mod decode;
mod encode;
mod shape;

pub(crate) use shape::Shape;

/// How deep records, arrays, maps and unions may nest. Deeper data is refused, not followed.
const MAX_DEPTH: u32 = 200;

#[cfg(test)]
mod tests;
