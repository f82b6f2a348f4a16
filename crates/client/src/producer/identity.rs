//! The id of an idempotent producer, as the brokers give it out.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;
use types::ProducerId;
use wire::v1::broker as v1;

use crate::ClientError;
use crate::backoff::{random, wait};
use crate::connection::{broker_service, within};
use crate::metadata::{Metadata, Repeat};

/// Asks for producer ids, one at a time, for as long as it takes.
#[derive(Debug)]
pub(super) struct Identity {
    metadata: Arc<Metadata>,
    request_timeout: Duration,
    current: Option<ProducerId>,
    /// At most one.
    asking: JoinSet<Result<ProducerId, ClientError>>,
    failures: u32,
    last_failure: Option<ClientError>,
    not_before: Instant,
}

impl Identity {
    pub(super) fn new(metadata: Arc<Metadata>, request_timeout: Duration, now: Instant) -> Self {
        Self {
            metadata,
            request_timeout,
            current: None,
            asking: JoinSet::new(),
            failures: 0,
            last_failure: None,
            not_before: now,
        }
    }

    /// The newest id there is.
    pub(super) const fn current(&self) -> Option<ProducerId> {
        self.current
    }

    /// What has gone wrong since an id was last given.
    pub(super) const fn last_failure(&self) -> Option<&ClientError> {
        self.last_failure.as_ref()
    }

    /// Asks for another id, unless it does already. Returns when to come back, if it is to wait.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Instant> {
        if !self.asking.is_empty() {
            return None;
        }
        if now < self.not_before {
            return Some(self.not_before);
        }
        self.asking.spawn(ask(Arc::clone(&self.metadata), self.request_timeout));
        None
    }

    /// Waits until a question is answered; for ever while there is none. Whether there is a new id
    /// then. Nothing is lost if this is dropped before it ends.
    pub(super) async fn answered(&mut self) -> bool {
        let Some(ended) = self.asking.join_next().await else {
            return std::future::pending().await;
        };
        let error = match ended {
            Ok(Ok(id)) => {
                self.current = Some(id);
                self.failures = 0;
                self.last_failure = None;
                return true;
            }
            Ok(Err(error)) => error,
            // It panicked, or was stopped with everything else.
            Err(_died) => ClientError::Closed,
        };
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now() + wait(self.failures, random());
        debug!(%error, "no producer id was given");
        self.last_failure = Some(error);
        false
    }
}

/// Repeating it costs an id, of which there are enough.
async fn ask(metadata: Arc<Metadata>, limit: Duration) -> Result<ProducerId, ClientError> {
    let call = |channel| async move {
        let mut broker = broker_service(channel);
        let asking = broker.init_producer_id(v1::InitProducerIdRequest::default());
        within(limit, "InitProducerId", asking).await
    };
    let answer = metadata.any_broker(Repeat::Safe, call).await?;
    Ok(ProducerId::new(answer.producer_id))
}
