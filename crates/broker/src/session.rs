//! The broker's session at the coordinator: registration, heartbeats, and the lease they carry.

use std::sync::Arc;
use std::time::Duration;

use cluster::{ClusterId, Registration};
use daemon::clock::Clock;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use types::{BrokerEpoch, Coded, Reason, Revision};
use wire::RemoteError;
use wire::convert::registration_to_proto;
use wire::v1::coordinator::{HeartbeatRequest, HeartbeatResponse, RegisterBrokerResponse};

use crate::coordinator::{Client, CoordinatorError, Coordinators};
use crate::home::{ForeignCluster, Home};
use crate::lease::Lease;
use crate::partitions::View;

/// How long one attempt to register may take before it is reported and tried again.
const REGISTER_PATIENCE: Duration = Duration::from_secs(10);
/// Heartbeats for each lease: so many may be lost but the last before leading ends.
const BEATS_PER_LEASE: u32 = 4;
/// How long a broker that wants to go waits for the coordinator's leave.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);
/// How often it asks.
const LEAVE_INTERVAL: Duration = Duration::from_millis(100);

/// Why a broker cannot be part of the cluster. Trying again would not help.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The coordinator will not have it.
    #[error("the coordinator refused to register this broker: {0}")]
    Refused(#[source] RemoteError),
    /// The data directory is another cluster's.
    #[error(transparent)]
    ForeignCluster(#[from] ForeignCluster),
    /// The coordinator named no cluster.
    #[error("the coordinator calls the cluster {found:?}; expected 1 to 64 printable characters")]
    ClusterId {
        /// What it said.
        found: String,
    },
}

/// Keeps the broker registered and its lease renewed.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) coordinators: Arc<Coordinators>,
    pub(crate) registration: Registration,
    pub(crate) home: Home,
    pub(crate) lease: watch::Sender<Lease>,
    /// Told the revision of each registration.
    pub(crate) registered: watch::Sender<Option<Revision>>,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) clock: Clock,
}

/// One registration, as the coordinator granted it.
#[derive(Clone, Copy, Debug)]
struct Registered {
    epoch: BrokerEpoch,
    lease: Duration,
}

impl Session {
    /// Registers and sends heartbeats until `leaving`, then hands over what the broker leads.
    ///
    /// # Errors
    ///
    /// [`SessionError`]: this process can never be this broker of this cluster.
    pub(crate) async fn run(self, leaving: CancellationToken) -> Result<(), SessionError> {
        while let Some(registered) = self.register(&leaving).await? {
            if leaving.run_until_cancelled(self.beat(registered)).await.is_none() {
                self.leave(registered).await;
                break;
            }
        }
        self.lease.send_modify(Lease::revoke);
        Ok(())
    }

    /// `None` if the broker is to leave first.
    async fn register(
        &self,
        leaving: &CancellationToken,
    ) -> Result<Option<Registered>, SessionError> {
        loop {
            let attempt = leaving.run_until_cancelled(self.try_to_register()).await;
            match attempt {
                None => return Ok(None),
                Some(Ok(response)) => return self.accept(response).await.map(Some),
                Some(Err(CoordinatorError::Refused(error))) if is_final(&error) => {
                    return Err(SessionError::Refused(error));
                }
                Some(Err(error)) => {
                    warn!(error = &error as &dyn std::error::Error, "registration failed");
                }
            }
        }
    }

    async fn try_to_register(&self) -> Result<RegisterBrokerResponse, CoordinatorError> {
        let request = registration_to_proto(&self.registration);
        let call = |mut client: Client| {
            let request = request.clone();
            async move { client.register_broker(request).await }
        };
        self.coordinators.call(REGISTER_PATIENCE, call).await
    }

    async fn accept(&self, response: RegisterBrokerResponse) -> Result<Registered, SessionError> {
        let RegisterBrokerResponse { broker_epoch, cluster_id, session_timeout_ms: _, lease_ms } =
            response;
        let Some(cluster) = ClusterId::new(&cluster_id) else {
            return Err(SessionError::ClusterId { found: cluster_id });
        };
        self.home.belongs_to(&cluster).await?;
        info!(broker = %self.registration.broker, epoch = broker_epoch, cluster = %cluster, "registered");
        self.registered.send_replace(Some(Revision::new(broker_epoch)));
        let lease = Duration::from_millis(u64::from(lease_ms));
        Ok(Registered { epoch: BrokerEpoch::new(broker_epoch), lease })
    }

    /// Sends heartbeats until the coordinator no longer knows the registration.
    async fn beat(&self, registered: Registered) {
        let interval = registered.lease / BEATS_PER_LEASE;
        loop {
            let sent = self.clock.monotonic();
            let told = self.view.borrow().image.revision();
            match self.heartbeat(registered.epoch, told, interval, Stay::On).await {
                Ok((answer, sent)) => self.heard(answer, sent, registered.lease),
                Err(CoordinatorError::Refused(error)) if is_stale(&error) => {
                    warn!(error = %error, "registration ran out");
                    self.lease.send_modify(Lease::revoke);
                    return;
                }
                Err(error) => warn!(error = %error, "heartbeat was not answered"),
            }
            self.rest_until(sent + interval, told).await;
        }
    }

    fn heard(&self, answer: HeartbeatResponse, sent: Duration, length: Duration) {
        self.lease.send_modify(|lease| {
            if answer.fenced {
                lease.revoke();
            } else {
                lease.renew(sent, length);
            }
        });
    }

    /// Sleeps, and gives word if the lease runs out meanwhile. A broker that is fenced waits for
    /// nothing but its metadata: the next heartbeat is due once that is beyond `told`.
    async fn rest_until(&self, next: Duration, told: Revision) {
        let now = self.clock.monotonic();
        let rest = next.saturating_sub(now);
        let lease = self.lease.borrow().remaining(now);
        if lease.is_zero() {
            let mut view = self.view.clone();
            let moved = view.wait_for(|view| told < view.image.revision());
            // It moved, or time is up.
            drop(timeout(rest, moved).await);
            return;
        }
        if lease < rest {
            sleep(lease).await;
            self.lease.send_modify(|_| ());
        }
        sleep(next.saturating_sub(self.clock.monotonic())).await;
    }

    /// One answered heartbeat, and when it was sent.
    async fn heartbeat(
        &self,
        epoch: BrokerEpoch,
        told: Revision,
        patience: Duration,
        stay: Stay,
    ) -> Result<(HeartbeatResponse, Duration), CoordinatorError> {
        let request = HeartbeatRequest {
            broker_id: self.registration.broker.get(),
            broker_epoch: epoch.get(),
            metadata_revision: told.get(),
            wants_shutdown: stay == Stay::Leave,
        };
        let clock = self.clock;
        let call = |mut client: Client| async move {
            let sent = clock.monotonic();
            let answer = client.heartbeat(request).await?;
            Ok(answer.map(|answer| (answer, sent)))
        };
        self.coordinators.call(patience, call).await
    }

    /// Asks for leave to go until it is given, or patience ends: the session then runs out by
    /// itself.
    async fn leave(&self, registered: Registered) {
        let deadline = self.clock.monotonic() + LEAVE_PATIENCE;
        while self.clock.monotonic() < deadline {
            let told = self.view.borrow().image.revision();
            match self.heartbeat(registered.epoch, told, LEAVE_PATIENCE, Stay::Leave).await {
                Ok((answer, _)) if answer.may_shut_down => return,
                Ok(_) => sleep(LEAVE_INTERVAL).await,
                Err(error) => {
                    warn!(error = %error, "left without the coordinator's leave");
                    return;
                }
            }
        }
        warn!("left while the coordinator still counted on this broker");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    On,
    Leave,
}

fn is_stale(error: &RemoteError) -> bool {
    matches!(error.reason, Reason::StaleBrokerEpoch | Reason::UnknownBroker)
}

/// Whether the coordinator means it: the same registration will never succeed.
fn is_final(error: &RemoteError) -> bool {
    matches!(
        error.code(),
        types::Code::Invalid | types::Code::AlreadyExists | types::Code::NotFound
    )
}
