//! Avro schemas: canonical forms, subjects and compatibility verdicts.
//!
//! The rules are those of Avro-Java and of Confluent's registry, because their clients are what
//! reads our answers; `tests/corpus` holds what Avro-Java itself said. A schema is kept whole
//! (docs, aliases, defaults, order, unknown properties), since all of it decides whether two
//! schemas are the same.
//!
//! Nothing here encodes or decodes data, and nothing here stores anything: the registry's rules
//! are decisions over values that the registry reads and writes.
//!
//! ```
//! use schema::{Level, Earlier, Schema, check};
//!
//! let old = Schema::parse(r#"{"type":"record","name":"person","fields":[]}"#)?;
//! let new = Schema::parse(
//!     r#"{"type":"record","name":"person","fields":[{"name":"age","type":"int"}]}"#,
//! )?;
//! let refusal = check(&new, &[Earlier { version: 1, schema: &old }], Level::Backward)?;
//! assert!(refusal.unwrap().messages()[0].contains("path '/fields/0'"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod canonical;
mod compatibility;
mod fingerprint;
mod json;
mod level;
mod mode;
mod model;
mod name;
mod normalized;
mod parse;
mod parsing_form;
mod subject;
mod suggestion;

pub use compatibility::{Incompatibility, IncompatibilityKind, MAX_REPORTED, TooComplex, can_read};
pub use level::{Earlier, Level, Refusal, check};
pub use mode::Mode;
pub use model::{MAX_NESTING, MAX_TEXT_BYTES, Schema};
pub use parse::{Hint, ParseError, Parser, Within};
pub use subject::{
    Deletion, Entry, History, InvalidVersion, Liveness, NotDeletable, VersionSelector,
};
