//! Ids for idempotent producers, from blocks that the coordinator gives out.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Semaphore;
use types::{Coded, ProducerEpoch, ProducerId, Reason};
use wire::v1::coordinator::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use crate::coordinator::{Client, CoordinatorError, Coordinators};

/// How long the coordinator may take for one block.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a producer got no id.
#[derive(Debug, Error)]
pub(crate) enum ProducerIdError {
    /// The coordinator refused, or none could be reached.
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
    /// The coordinator gave none.
    #[error("the coordinator gave out no producer ids; it may be of another version")]
    EmptyBlock,
    /// The process is going away.
    #[error("the broker is shutting down; ask another one")]
    ShuttingDown,
}

impl Coded for ProducerIdError {
    fn reason(&self) -> Reason {
        match self {
            Self::Coordinator(error) => error.reason(),
            Self::EmptyBlock => Reason::UnknownServerError,
            Self::ShuttingDown => Reason::ShuttingDown,
        }
    }
}

/// One life of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerLife {
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
}

/// Gives out producer ids, each once. What is left of a block when the process ends is lost.
#[derive(Clone, Debug)]
pub(crate) struct ProducerIds {
    coordinators: Arc<Coordinators>,
    /// What is left of the block.
    left: Arc<Mutex<Range<u64>>>,
    /// Whoever holds the permit asks for the next block; the others wait for it.
    asking: Arc<Semaphore>,
}

impl ProducerIds {
    pub(crate) fn new(coordinators: Arc<Coordinators>) -> Self {
        let (left, asking) = (Arc::new(Mutex::new(0..0)), Arc::new(Semaphore::new(1)));
        Self { coordinators, left, asking }
    }

    /// The life that comes after `before`, or the first one of a new producer. Only one process may
    /// go on from the same life; nobody checks that.
    ///
    /// # Errors
    ///
    /// [`ProducerIdError`]: a new id was needed and could not be had.
    pub(crate) async fn next_life(
        &self,
        before: Option<ProducerLife>,
    ) -> Result<ProducerLife, ProducerIdError> {
        let next = before.and_then(|life| Some((life.id, life.epoch.next()?)));
        match next {
            Some((id, epoch)) => Ok(ProducerLife { id, epoch }),
            None => Ok(ProducerLife { id: self.fresh().await?, epoch: ProducerEpoch::ZERO }),
        }
    }

    async fn fresh(&self) -> Result<ProducerId, ProducerIdError> {
        loop {
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let asking = self.asking.acquire().await;
            let _asking = asking.map_err(|_closed| ProducerIdError::ShuttingDown)?;
            // Somebody else may have got a block meanwhile. Or used it up: then once more.
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let block = self.ask().await?;
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = block;
        }
    }

    fn take(&self) -> Option<ProducerId> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).next().map(ProducerId::new)
    }

    async fn ask(&self) -> Result<Range<u64>, ProducerIdError> {
        let call = |mut client: Client| async move {
            client.allocate_producer_ids(AllocateProducerIdsRequest {}).await
        };
        let block = self.coordinators.call(PATIENCE, call).await?;
        let AllocateProducerIdsResponse { first_producer_id: first, count } = block;
        match first.checked_add(u64::from(count)) {
            Some(end) if 0 < count => Ok(first..end),
            Some(_) | None => Err(ProducerIdError::EmptyBlock),
        }
    }
}
