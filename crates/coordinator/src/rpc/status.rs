use std::time::Duration;

use tokio::time::timeout;

use crate::request::RequestError;

/// An answer, or [`RequestError::TimedOut`].
pub(super) async fn answer_within<T>(
    deadline: Duration,
    asked: impl Future<Output = Result<T, RequestError>>,
) -> Result<T, RequestError> {
    timeout(deadline, asked).await.unwrap_or(Err(RequestError::TimedOut))
}
