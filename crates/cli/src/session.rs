//! What a command has to reach the cluster with.

use client::registry::RegistryClient;
use client::tree::TreeClient;
use client::{Client, ClientConfig};
use daemon::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::args::Common;
use crate::exit::{Exit, Failure};

/// The options common to all commands, and the process's clock and signals.
#[derive(Debug)]
pub(crate) struct Session {
    /// As given.
    pub(crate) common: Common,
    /// The time.
    pub(crate) clock: Clock,
    /// Cancelled by Ctrl-C or SIGTERM.
    pub(crate) interrupted: CancellationToken,
}

impl Session {
    /// A client of the brokers named.
    ///
    /// # Errors
    ///
    /// None of them answers.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let config = ClientConfig {
            request_timeout: self.common.timeout,
            clock: self.clock,
            ..ClientConfig::new(&self.common.bootstrap_server)
        };
        let client = Client::connect(config).await;
        client.map_err(|error| {
            // Whoever has no cluster yet can have one with one command.
            Failure::from(error).next_if(Exit::Unreachable, || "lab".to_owned())
        })
    }

    /// A client of the tree of the coordinators named.
    pub(crate) fn tree(&self) -> TreeClient {
        TreeClient::new(self.common.coordinator.split(','), self.common.timeout)
    }

    /// A client of the registry named.
    ///
    /// # Errors
    ///
    /// The address is none.
    pub(crate) fn registry(&self) -> Result<RegistryClient, Failure> {
        Ok(RegistryClient::with_timeout(&self.common.registry, self.common.timeout)?)
    }
}
