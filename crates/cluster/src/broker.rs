use std::collections::BTreeMap;
use std::fmt;

use types::{BrokerEpoch, BrokerId, DirectoryId};

use crate::ListenerName;

/// Where a broker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, as others are to reach it.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// One life of a broker's process: drawn at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation([u8; 16]);

impl Incarnation {
    /// Wraps 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, for encoding.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Whether a broker may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Registered, but not yet, or no longer, serving: it leads nothing.
    Fenced,
    /// Serving.
    Unfenced,
}

/// A broker as everyone may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Which broker.
    pub id: BrokerId,
    /// Where it answers other brokers, and clients on a listener that it does not have.
    pub endpoint: Endpoint,
    /// Where it answers on its other listeners.
    pub listeners: BTreeMap<ListenerName, Endpoint>,
    /// Its failure domain; empty if none was given.
    pub rack: String,
    /// Its registration: the revision of the command that registered it.
    pub epoch: BrokerEpoch,
    /// Whether it may lead.
    pub availability: Availability,
}

impl Broker {
    /// Whether it is serving and may lead.
    pub fn is_alive(&self) -> bool {
        self.availability == Availability::Unfenced
    }

    /// Where it answers whoever came to some broker on `listener`; `None` is the listener that every
    /// broker has.
    pub fn endpoint_on(&self, listener: Option<&ListenerName>) -> &Endpoint {
        listener.and_then(|name| self.listeners.get(name)).unwrap_or(&self.endpoint)
    }
}

/// What a broker says when it registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Which broker.
    pub broker: BrokerId,
    /// Where it will answer.
    pub endpoint: Endpoint,
    /// Where it will answer on its other listeners.
    pub listeners: BTreeMap<ListenerName, Endpoint>,
    /// Its failure domain; empty for none.
    pub rack: String,
    /// This life of its process.
    pub incarnation: Incarnation,
    /// Its data directory, whose lock it holds.
    pub directory: DirectoryId,
}
