//! The cluster's metadata: which brokers there are, which topics, and who leads what.
//!
//! [`State`] is what the coordinators replicate: it changes by [`State::apply`] alone, one
//! [`Command`] per revision, and the same commands give the same state everywhere. Whatever needs
//! judgement (where replicas go, whether a configuration makes sense) is decided before, by
//! [`decision`], from the state as it is, and carried in the command as a result.
//!
//! [`MetadataImage`] is the part of it that everyone may know: brokers keep a copy that follows
//! by [`Delta`]s.
//!
//! Pure: no clock, no randomness, no IO. Ids are drawn and liveness is judged outside.

pub mod config;
pub mod decision;

mod broker;
mod command;
mod delta;
mod election;
mod error;
mod image;
mod listener;
mod partition;
mod producer_ids;
mod state;
mod topic;

pub use broker::{Availability, Broker, Endpoint, Incarnation, Registration};
pub use command::Command;
pub use delta::Delta;
pub use error::{ClusterError, ImageError};
pub use image::{ClusterId, MetadataImage};
pub use listener::ListenerName;
pub use partition::Partition;
pub use producer_ids::ProducerIdBlock;
pub use state::{Identity, State};
pub use topic::Topic;
