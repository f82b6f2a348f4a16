//! Lands topics in a data lake, exactly once.
//!
//! A run recovers what earlier runs left, plans what to read, stages it in files, commits, and
//! publishes. The commit is the rename of one record into the log of its topic, over nothing that
//! is there: files and offsets are in that record, so either both count or neither does. [`store`]
//! states what a lake's file system has to promise for it.
//!
//! Reads from any [`source::RecordSource`] and writes to any [`store::FileStore`]. It decides
//! nothing about what a run contains: that is the pure crate `lake`.

pub mod platform;
pub mod progress;
pub mod service;
pub mod source;
pub mod store;

mod commit_log;
mod error;
mod publish;
mod quarantine;
mod recover;
mod report;
mod run;
mod schemas;
mod stage;
mod verify;

pub use error::RunError;
pub use quarantine::QuarantineReason;
pub use recover::Recovered;
pub use report::{Committed, Report, Timings, Totals};
pub use run::{DryRun, Settings, Sink};
pub use stage::{FileSettings, TombstonePolicy};
pub use verify::{Depth, Findings, Problem, history, verify};
