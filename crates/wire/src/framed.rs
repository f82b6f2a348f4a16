//! gRPC messages to and from HTTP bodies without copying what they carry.
//!
//! Generated code gathers every message in one buffer on its way out, and once more on its way in;
//! of messages that are a few bytes around a batch of records, that is most of their cost. Here a
//! message goes out as its first bytes and, behind them, the batch as it is; and what comes in is
//! taken apart where it lies. On the wire it is the same protobuf in the same gRPC frames: stock
//! clients and servers notice nothing.
//!
//! [`Incoming`] is the messages of a call's one direction, [`Requests`] and [`Answers`] of the other.
//! [`serve`] and [`serve_one`] are a server's side of a call, a [`Connection`] is a client's.

mod call;
mod connection;
mod incoming;
mod message;
mod outgoing;
mod rope;

pub use call::{path, serve, serve_one};
pub use connection::{ConnectError, Connection};
pub use incoming::Incoming;
pub use message::{Framed, ProduceBatches};
pub use outgoing::{Answers, Frames, Requests};
pub use rope::Rope;
