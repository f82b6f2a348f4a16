use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{shutdown, telemetry};

/// A service that was built and can be run to its end.
pub trait Service {
    /// Why it ended early.
    type Error: Error + 'static;

    /// Serves until `shutdown` is cancelled, then drains and returns.
    fn run(self, shutdown: CancellationToken) -> impl Future<Output = Result<(), Self::Error>>;
}

/// The life of a service's process: logs, signals, build, serve, drain. Exits with 1 and one
/// error in the log if it cannot start or ends early.
pub async fn run<S, E, Build>(name: &'static str, build: Build) -> ExitCode
where
    S: Service,
    E: Into<Box<dyn Error>>,
    Build: AsyncFnOnce() -> Result<S, E>,
{
    match serve(name, build).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!(error = failure.as_ref(), service = name, "service stopped");
            ExitCode::FAILURE
        }
    }
}

async fn serve<S, E, Build>(name: &'static str, build: Build) -> Result<(), Box<dyn Error>>
where
    S: Service,
    E: Into<Box<dyn Error>>,
    Build: AsyncFnOnce() -> Result<S, E>,
{
    telemetry::init()?;
    let shutdown = shutdown::on_signal()?;
    let service = build().await.map_err(Into::into)?;
    service.run(shutdown).await?;
    info!(service = name, "service drained");
    Ok(())
}
