use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tree::SessionId;
use types::{Coded as _, Reason};
use wire::v1::tree as v1;

use super::{Tree, TreeClient, TreeError};
use crate::metadata::Repeat;

/// Signs of life within one timeout.
const SIGNS: u32 = 3;

/// A session that is kept alive. Dropped without being closed, it lasts for its timeout.
#[derive(Debug)]
pub struct Session {
    client: TreeClient,
    id: SessionId,
    timeout: Duration,
    keeping: JoinHandle<()>,
    lost: CancellationToken,
}

impl Session {
    pub(super) async fn begin(client: TreeClient, timeout: Duration) -> Result<Self, TreeError> {
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let send = |mut tree: Tree| async move {
            tree.create_session(v1::CreateSessionRequest { timeout_ms }).await
        };
        let begun = client.ask("CreateSession", Repeat::Unsafe, send).await?;
        let timeout = Duration::from_millis(begun.timeout_ms.into());
        let (id, lost) = (SessionId::new(begun.session), CancellationToken::new());
        let keeping = tokio::spawn(keep(client.clone(), id, timeout, lost.clone()));
        Ok(Self { client, id, timeout, keeping, lost })
    }

    /// Its id, which ephemeral nodes are made with.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// How long it lasts without a sign of life.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Cancelled once the coordinators say that it is over: its nodes are gone.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Ends it; its nodes go at once.
    ///
    /// # Errors
    ///
    /// It was over already; or see [`TreeError`].
    pub async fn close(self) -> Result<(), TreeError> {
        self.keeping.abort();
        let session = self.id.get();
        let send = |mut tree: Tree| async move {
            tree.close_session(v1::CloseSessionRequest { session }).await
        };
        self.client.ask("CloseSession", Repeat::Unsafe, send).await.map(drop)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Gives signs of life until the session is over.
async fn keep(client: TreeClient, id: SessionId, timeout: Duration, lost: CancellationToken) {
    let mut due = interval(timeout / SIGNS);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let send = |mut tree: Tree| async move {
            tree.keep_alive(v1::KeepAliveRequest { session: id.get() }).await
        };
        // Whatever else goes wrong may pass; the coordinators say when it is too late.
        if let Err(error) = client.ask("KeepAlive", Repeat::Safe, send).await
            && error.reason() == Reason::SessionExpired
        {
            lost.cancel();
            return;
        }
    }
}
