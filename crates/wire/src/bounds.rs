//! Bounds of what clients can make a server hold, however many they are and whatever they send.
//!
//! Everything that a connection holds is counted in one of four ways, and each has its bound:
//!
//! - **What no one can count by the byte** is bounded by number and by kind: connections, their
//!   HTTP/2 windows and half-received frames, open requests and their headers.
//! - **The connection's own bytes** ([`Bounds::connection_bytes`]): requests that are half
//!   received or being worked on, and answers that were not handed to the socket yet. No other
//!   connection can take these away, so that a well-behaved client goes on when all else is used
//!   up.
//! - **Shared bytes of requests** ([`Bounds::received_bytes`]): what does not fit into the former.
//!   A client that wants some waits; its socket is not read meanwhile.
//! - **Shared bytes of answers** ([`Bounds::answer_bytes`]): likewise, taken before an answer is
//!   read from disk, given back when the socket has it.
//!
//! Nobody keeps shared bytes without using them: whoever does not move what it holds, in either
//! direction, is cut off, the sooner if others wait for it.

mod budget;
mod connection;
mod door;
mod entrance;
mod error;
mod framing;
mod layer;
mod peer;
mod purse;
mod received;
mod sent;
mod serve;
mod watch;

use std::time::Duration;

pub use budget::Held;
pub use entrance::{Entrance, listener_of};
pub use error::AnswerTooLarge;
pub use purse::{Owed, Purse, Purses};
pub use serve::serve;

/// What clients may make a server hold, all of them together unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections. One more is told so and closed.
    pub connections: usize,
    /// Requests that are open at once, streams included, beyond the four that every connection may
    /// have. One more is refused.
    pub requests: usize,
    /// Bytes of one connection that are its own.
    pub connection_bytes: usize,
    /// Shared bytes of requests. No less than the largest message.
    pub received_bytes: usize,
    /// Shared bytes of answers. No less than the largest message.
    pub answer_bytes: usize,
    /// Bytes of HTTP/2 windows beyond the least that every connection has. Connections that find
    /// some left get wide windows, and are the faster for it.
    pub window_bytes: usize,
    /// How long a connection may take to begin to speak HTTP/2.
    pub handshake: Duration,
    /// How long whoever holds shared bytes may go without moving 64 KiB of what it is to send or
    /// to take.
    pub stall: Duration,
    /// How long a connection may rest without a request while there is no room for another one.
    pub idle: Duration,
}
