//! The pure part of the sink: what a run is to do, where rows belong, what a commit says, and the
//! bytes of Avro files.
//!
//! No IO, clock or randomness: the `sink` crate reads, writes and tells the time.

pub mod avro;
pub mod commit;
pub mod partitioner;
pub mod plan;

mod names;
mod path;
mod run_id;

pub use names::{FileIdentity, FileKind, LogEntry, TopicPaths};
pub use path::{InvalidPath, LakePath};
pub use run_id::{InvalidRunId, RunId};
