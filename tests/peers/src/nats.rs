//! NATS `JetStream`: its server as a process, and the least of a client.

mod connection;
mod protocol;
mod server;
mod stream;

pub(crate) use connection::NatsError;
pub(crate) use server::NatsServer;
pub(crate) use stream::Stream;
