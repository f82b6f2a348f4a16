//! `dohle healthcheck`: for a container's health check, or a script that waits.

use client::{ProbeError, Question, probe};

use crate::args::healthcheck::Healthcheck;
use crate::exit::{Exit, Failure, with_causes};
use crate::output::Output;
use crate::session::Session;

/// Succeeds in silence if the service is as asked.
///
/// # Errors
///
/// It is not, with its reasons.
pub(crate) async fn run(
    check: &Healthcheck,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let question = if check.ready { Question::Ready } else { Question::Alive };
    let asked = probe(&check.target.0, question, session.common.timeout).await;
    asked.map_err(|error| match &error {
        ProbeError::Unreachable { .. } | ProbeError::NotReady { .. } => {
            Failure::new(Exit::Unreachable, with_causes(&error))
        }
        ProbeError::Unexpected { .. } => Failure::new(Exit::Other, error.to_string()),
    })?;
    output.note(if check.ready { "ready" } else { "alive" });
    Ok(())
}
