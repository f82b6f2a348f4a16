//! The coordinator: keeps the cluster's metadata by Raft, and judges which brokers are alive.
//!
//! ```text
//! rpc ──▶ request queue ──▶ controller (one thread) ──▶ raft ──▶ commit-log, kv-store
//!  ▲                            │ state, sessions
//!  └────────── feed ◀───────────┘
//! ```
//!
//! - `raft` agrees on a log of commands and keeps it; it alone knows the raft library.
//! - `controller` decides, proposes, applies, answers. A plain struct with one synchronous step.
//! - `driver` is the thread around it: queue, clock, checkpoints in the background.
//! - `feed` is what watchers of the metadata read.
//! - `rpc` speaks gRPC.
//!
//! What the metadata *is*, and what a command does to it, is the crate `cluster`.

mod app;
mod config;
mod controller;
mod driver;
mod feed;
mod raft;
mod request;
mod rpc;
mod sessions;
mod vitals;

pub use app::{App, BuildError, RunError};
pub use config::{Config, ConfigError};
pub use raft::{CheckpointError, EntryError, RaftError};
