//! Asking a service over HTTP whether it works.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use thiserror::Error;

/// Longest answer that is looked at.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the process works through requests (`/healthz`).
    Alive,
    /// Whether the service can be used (`/readyz`).
    Ready,
}

/// Why a service is not as it should be.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// It does not answer in time.
    #[error("{url} does not answer: {source}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What stood in the way.
        source: reqwest::Error,
    },
    /// It answers that it cannot be used.
    #[error("{url} is not ready: {}", reasons.join("; "))]
    NotReady {
        /// What was asked for.
        url: String,
        /// What it says is missing.
        reasons: Vec<String>,
    },
    /// Something else answers there.
    #[error("{url} answers with status {status}: is it a service of Dohle?")]
    Unexpected {
        /// What was asked for.
        url: String,
        /// What came.
        status: StatusCode,
    },
}

#[derive(Deserialize)]
struct Readiness {
    reasons: Vec<String>,
}

/// Asks the service whose HTTP port is `base` (`http://host:port`).
///
/// # Errors
///
/// [`ProbeError`]: the answer is no, or none within `limit`.
pub async fn probe(base: &str, question: Question, limit: Duration) -> Result<(), ProbeError> {
    let path = match question {
        Question::Alive => "healthz",
        Question::Ready => "readyz",
    };
    let url = format!("{}/{path}", base.trim_end_matches('/'));
    let unreachable = |source| ProbeError::Unreachable { url: url.clone(), source };
    // A probe of one's own host must not take the way of a proxy that the environment names.
    let client = Client::builder().timeout(limit).no_proxy().build().map_err(unreachable)?;
    let mut answer = client.get(&url).send().await.map_err(unreachable)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if MAX_ANSWER_BYTES < body.len().saturating_add(chunk.len()) {
            return Err(ProbeError::Unexpected { url, status });
        }
        body.extend_from_slice(&chunk);
    }
    match serde_json::from_slice(&body) {
        Ok(Readiness { reasons }) if status == StatusCode::SERVICE_UNAVAILABLE => {
            Err(ProbeError::NotReady { url, reasons })
        }
        Ok(_) | Err(_) => Err(ProbeError::Unexpected { url, status }),
    }
}
