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
    run_with_codes(name, build, |_failure| 1).await
}

/// As [`run`], but a failure's exit code is what `code` says: for those who start the process and
/// have to tell one failure from another.
pub async fn run_with_codes<S, E, Build>(
    name: &'static str,
    build: Build,
    code: fn(failure: &(dyn Error + 'static)) -> u8,
) -> ExitCode
where
    S: Service,
    E: Into<Box<dyn Error>>,
    Build: AsyncFnOnce() -> Result<S, E>,
{
    match serve(name, build).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = code(failure.as_ref());
            error!(error = chain(failure.as_ref()), service = name, code, "service stopped");
            ExitCode::from(code)
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

/// An error with its causes, since a line of JSON keeps the outermost text only. Causes that are
/// quoted in the text already are not said twice.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("cannot open the log")]
    struct Outer(#[source] Quoting);

    #[derive(Debug, Error)]
    #[error("cannot lock the file: {0}")]
    struct Quoting(#[source] io::Error);

    #[test]
    fn the_log_tells_every_cause_once() {
        let error = Outer(Quoting(io::Error::other("it is in use")));
        assert_eq!(chain(&error), "cannot open the log: cannot lock the file: it is in use");
    }
}
