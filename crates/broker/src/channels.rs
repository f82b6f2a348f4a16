//! Connections to other processes of the cluster, one for each address.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tonic::transport::Channel;

/// Channels by address. They connect when first used and again after a failure.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    open: Mutex<BTreeMap<String, Channel>>,
}

impl Channels {
    /// The channel to `address` (`host:port`).
    ///
    /// # Errors
    ///
    /// `address` is not one.
    pub(crate) fn to(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        // The map is whole at every moment the lock is free: a panic elsewhere cannot tear it.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(address) {
            return Ok(channel.clone());
        }
        let channel = wire::transport::endpoint(address)?.connect_lazy();
        open.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}
