//! The coordinator: keeps the cluster's metadata by Raft, and judges which brokers are alive.
//!
//! ```text
//! rpc ──▶ request queue ──▶ controller (one thread) ──▶ raft ──▶ commit-log, kv-store
//!  ▲                            │ state, tree, sessions
//!  └────────── feeds ◀───────────┘
//! ```
//!
//! - `raft` agrees on a log of commands and keeps it; it alone knows the raft library.
//! - `controller` decides, proposes, applies, answers. A plain struct with one synchronous step.
//! - `driver` is the thread around it: queue, clock, checkpoints in the background.
//! - `feed` and `tree_feed` are what watchers of the metadata and of the tree read.
//! - `rpc` speaks gRPC.
//!
//! What the metadata and the tree *are*, and what a command does to them, is the crates `cluster`
//! and `tree`.

mod app;
mod config;
mod controller;
mod driver;
mod feed;
mod raft;
mod replicated;
mod request;
mod rpc;
mod sessions;
mod tree_feed;
mod tree_sessions;
mod vitals;
mod words;

pub use app::{App, BuildError, RunError};
pub use config::{Config, ConfigError};
pub use raft::{CheckpointError, EntryError, RaftError};
