//! Stores partitions and serves them over gRPC.
//!
//! The path of a produce: `rpc` decodes it, `producing` verifies its batches and finds the
//! `partition`, whose [`replication::Leader`] says what to do, and the append is handed to the
//! `directory`'s writer thread. That thread tells the leader what became of it, and the leader
//! answers once the acks are there. A fetch (`fetching`) involves none of these: it reads the log
//! up to the published high watermark, and waits for that to move.
//!
//! What the broker leads is the metadata's decision alone: `session` keeps it registered and
//! holds the lease, `metadata` follows the coordinator and makes logs and leaderships to match.

mod app;
mod causes;
mod channels;
mod config;
mod coordinator;
mod deletion;
mod directory;
mod disk_space;
mod failure;
mod fetching;
mod health;
mod home;
mod housekeeping;
mod identity;
mod lease;
mod listing;
mod metadata;
mod open_files;
mod partition;
mod partitions;
mod producer_ids;
mod producing;
mod retention;
mod rpc;
mod scrubbing;
mod server;
mod session;
mod topics;

#[cfg(test)]
mod led_partition;
mod vitals;

pub use app::App;
pub use config::{Config, ConfigError, DiskLimits, Limits, Listener};
pub use coordinator::CoordinatorError;
pub use failure::{BuildError, RunError, exit_code};
pub use home::ForeignCluster;
pub use session::SessionError;
