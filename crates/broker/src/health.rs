//! What the broker says about itself to load balancers and operators, by `grpc.health.v1`.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::disk_space::{DiskState, Level};
use crate::lease::LeaseView;
use crate::rpc::DataServer;

/// The service name under which the disk is asked about: serving while records are taken. Readers
/// are served all the same, so the broker as a whole stays well.
const DISK: &str = "disk";

/// What health depends on.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) lease: LeaseView,
    pub(crate) disk: watch::Receiver<DiskState>,
    /// Cancelled when the data directory is fenced.
    pub(crate) fenced: CancellationToken,
    pub(crate) draining: CancellationToken,
}

impl Health {
    /// Reports until the broker drains. Healthy while it may lead: a load balancer or an operator
    /// waits for it.
    pub(crate) async fn report(mut self, reporter: HealthReporter) {
        loop {
            let is_draining = self.draining.is_cancelled();
            let is_over = is_draining || self.fenced.is_cancelled();
            if self.lease.holds() && !is_over {
                reporter.set_serving::<DataServer>().await;
            } else {
                reporter.set_not_serving::<DataServer>().await;
            }
            let takes_records = self.disk.borrow_and_update().level == Level::Ample;
            let status = if takes_records && !is_over {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            reporter.set_service_status(DISK, status).await;
            if is_draining {
                return;
            }
            tokio::select! {
                () = self.draining.cancelled() => {}
                () = self.fenced.cancelled(), if !is_over => {}
                () = self.lease.changed() => {}
                Ok(()) = self.disk.changed() => {}
            }
        }
    }
}
