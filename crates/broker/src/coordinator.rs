//! The broker's line to the coordinators: finds the one that leads, and stays with it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Response, Status};
use tracing::debug;
use types::{Coded, Reason};
use wire::v1::coordinator::coordinator_service_client::CoordinatorServiceClient;
use wire::{RemoteError, from_status};

use crate::causes::with_causes;
use crate::channels::Channels;

/// The generated client of one coordinator.
pub(crate) type Client = CoordinatorServiceClient<Channel>;

/// Pause before the next coordinator is tried, once all have been.
const BACKOFF: Duration = Duration::from_millis(200);

/// A coordinator did not do what was asked.
#[derive(Debug, Error)]
pub enum CoordinatorError {
    /// It answered, with an error.
    #[error(transparent)]
    Refused(#[from] RemoteError),
    /// None that leads could be reached in time.
    #[error(
        "none of the coordinators {} answered within {} ms ({last}); check that they run and that \
         `coordinators` names them", addresses.join(", "), waited.as_millis()
    )]
    Unreachable {
        /// Those that were tried.
        addresses: Vec<String>,
        /// For how long.
        waited: Duration,
        /// What the last one failed with.
        last: String,
    },
}

impl Coded for CoordinatorError {
    fn reason(&self) -> Reason {
        match self {
            Self::Refused(error) => error.reason,
            Self::Unreachable { .. } => Reason::CoordinatorNotAvailable,
        }
    }
}

/// Calls whichever coordinator leads.
#[derive(Debug)]
pub(crate) struct Coordinators {
    configured: Vec<String>,
    /// Whom to ask first.
    target: Mutex<String>,
    channels: Channels,
}

impl Coordinators {
    /// A line to the cluster that `configured` (`host:port`, at least one) belong to.
    pub(crate) fn new(configured: Vec<String>) -> Self {
        let first = configured.first().cloned().unwrap_or_default();
        Self { configured, target: Mutex::new(first), channels: Channels::default() }
    }

    /// The coordinator that answered last, as `host:port`.
    pub(crate) fn target(&self) -> String {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls the leading coordinator, looking for it until `patience` runs out.
    ///
    /// A call may reach a coordinator more than once if an answer is lost: use it for what may
    /// be repeated, or for what the coordinator refuses to do twice.
    ///
    /// # Errors
    ///
    /// What the coordinator answered, or that none could be reached.
    pub(crate) async fn call<T, Call, Answer>(
        &self,
        patience: Duration,
        call: Call,
    ) -> Result<T, CoordinatorError>
    where
        Call: Fn(Client) -> Answer + Send + Sync,
        Answer: Future<Output = Result<Response<T>, Status>> + Send,
    {
        let mut last = "no answer".to_owned();
        let search = async {
            loop {
                for _attempt in &self.configured {
                    match self.attempt(&call).await {
                        Ok(answer) => return Ok(answer),
                        Err(Failed::ForGood(error)) => return Err(error.into()),
                        Err(Failed::TryAnother(error)) => {
                            debug!(error = %error, "coordinator call failed");
                            last = error;
                        }
                    }
                }
                sleep(BACKOFF).await;
            }
        };
        let found = timeout(patience, search).await;
        found.unwrap_or_else(|_elapsed| {
            // It may hang: whoever calls next should not hang with it.
            self.turn_from(&self.target());
            let addresses = self.configured.clone();
            Err(CoordinatorError::Unreachable { addresses, waited: patience, last })
        })
    }

    async fn attempt<T, Call, Answer>(&self, call: &Call) -> Result<T, Failed>
    where
        Call: Fn(Client) -> Answer + Send + Sync,
        Answer: Future<Output = Result<Response<T>, Status>> + Send,
    {
        let target = self.target();
        let channel = self.channels.to(&target).map_err(|error| {
            self.turn_from(&target);
            Failed::TryAnother(with_causes(&error))
        })?;
        let client =
            Client::new(channel).max_decoding_message_size(wire::transport::MAX_MESSAGE_BYTES);
        let status = match call(client).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => status,
        };
        let error = from_status(&status);
        // The last two are the transport's words for a peer that is down or hung.
        let elsewhere = [
            Reason::NotController,
            Reason::CoordinatorNotAvailable,
            Reason::LeaderNotAvailable,
            Reason::RequestTimedOut,
        ];
        if !elsewhere.contains(&error.reason) {
            return Err(Failed::ForGood(error));
        }
        match error.coordinator.clone() {
            Some(leader) => self.turn_to(leader),
            None => self.turn_from(&target),
        }
        Err(Failed::TryAnother(error.message))
    }

    fn turn_to(&self, address: String) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Chooses the configured coordinator behind `address`.
    fn turn_from(&self, address: &str) {
        let place = self.configured.iter().position(|known| known == address);
        let next = place.map_or(0, |place| place + 1);
        let others = self.configured.iter().cycle().nth(next);
        if let Some(next) = others {
            self.turn_to(next.clone());
        }
    }
}

enum Failed {
    TryAnother(String),
    ForGood(RemoteError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinators(addresses: &[&str]) -> Coordinators {
        Coordinators::new(addresses.iter().map(|address| (*address).to_owned()).collect())
    }

    #[test]
    fn every_configured_coordinator_gets_its_turn() {
        let coordinators = coordinators(&["a:1", "b:1", "c:1"]);
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(coordinators.target());
            coordinators.turn_from(&coordinators.target());
        }
        assert_eq!(asked, ["a:1", "b:1", "c:1", "a:1"]);
    }

    #[test]
    fn behind_a_leader_that_is_not_configured_the_first_one_is_next() {
        let coordinators = coordinators(&["a:1", "b:1"]);
        coordinators.turn_to("elsewhere:1".to_owned());
        coordinators.turn_from("elsewhere:1");
        assert_eq!(coordinators.target(), "a:1");
    }

    #[tokio::test]
    async fn a_search_for_a_leader_ends_with_all_that_were_asked() {
        // Nobody listens on port 0.
        let coordinators = coordinators(&["127.0.0.1:0"]);
        let call = |mut client: Client| async move {
            client.describe_quorum(wire::v1::coordinator::DescribeQuorumRequest {}).await
        };
        let error = coordinators.call(Duration::from_millis(50), call).await.unwrap_err();
        assert_eq!(error.reason(), Reason::CoordinatorNotAvailable);
        assert!(error.to_string().contains("127.0.0.1:0"), "{error}");
    }
}
