//! What a process answers over HTTP, for probes and for Prometheus.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the process works through requests |
//! | `/readyz` | 200 if the service can be used, else 503; JSON with the reasons |
//! | `/metrics` | figures, so few that they can be kept for years |
//! | `/metrics/detail` | those of every partition, too |

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustix::io::Errno;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::vitals::{Detail, Readiness, Vitals};

/// How far behind a service's port that of its probes lies: 9192 has 9292.
const BEHIND: u16 = 100;

/// Where the probes of a service that listens at `service` are unless it is told otherwise: on the
/// same host, its port and 100, or any free port where the service takes any.
pub fn beside(service: SocketAddr) -> SocketAddr {
    let port = service.port();
    let behind = if port == 0 { 0 } else { port.checked_add(BEHIND).unwrap_or(0) };
    SocketAddr::new(service.ip(), behind)
}

/// Connections at once: probes are few, and each takes a descriptor that a log may want.
const CONNECTIONS: usize = 64;
/// How long a connection may take, from its beginning to the end of its one answer: so however many
/// come and say nothing, a probe waits no longer.
const ANSWER: Duration = Duration::from_secs(10);
/// Before another connection is taken when one could not be.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a later connection may well be taken: the client was gone, or files are short.
fn is_passing(error: &io::Error) -> bool {
    let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    let short_of_files = [Errno::NFILE, Errno::MFILE];
    let errno = Errno::from_io_error(error);
    gone.contains(&error.kind()) || errno.is_some_and(|errno| short_of_files.contains(&errno))
}

/// A port that is taken and not served yet.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// It is taken by another, or the address is not this host's.
    pub fn bind(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`. Whoever is connected then is cut off.
    ///
    /// # Errors
    ///
    /// The socket fails.
    pub async fn serve(
        self,
        service: &'static str,
        vitals: Arc<dyn Vitals>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let service = TowerToHyperService::new(routes(service, vitals));
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        // Dropped at the end, and all connections with it.
        let mut connections = JoinSet::new();
        let accepting = async {
            loop {
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
                while connections.try_join_next().is_some() {}
                let stream = match listener.accept().await {
                    Ok((stream, _from)) => stream,
                    Err(error) if is_passing(&error) => {
                        sleep(PAUSE).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let service = service.clone();
                connections.spawn(async move {
                    let mut http = auto::Builder::new(TokioExecutor::new());
                    http.http1().keep_alive(false);
                    let answering = http.serve_connection(TokioIo::new(stream), service);
                    // Whoever asks too slowly, or hangs up, gets no answer.
                    timeout(ANSWER, answering).await.ok();
                    drop(permit);
                });
            }
        };
        tokio::select! {
            ended = accepting => ended,
            () = shutdown.cancelled() => Ok(()),
        }
    }
}

/// The paths, for a service that has an HTTP port of its own.
pub fn routes(service: &'static str, vitals: Arc<dyn Vitals>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(async |told| figures(told, Detail::Low)))
        .route("/metrics/detail", get(async |told| figures(told, Detail::High)))
        .with_state(Told { service, vitals })
}

#[derive(Clone)]
struct Told {
    service: &'static str,
    vitals: Arc<dyn Vitals>,
}

async fn readyz(State(told): State<Told>) -> Response {
    let (status, is_ready, reasons) = match told.vitals.readiness() {
        Readiness::Ready => (StatusCode::OK, true, Vec::new()),
        Readiness::NotReady { reasons } => (StatusCode::SERVICE_UNAVAILABLE, false, reasons),
    };
    let body = json!({ "service": told.service, "ready": is_ready, "reasons": reasons });
    (status, axum::Json(body)).into_response()
}

fn figures(State(told): State<Told>, detail: Detail) -> Response {
    match metrics::text(told.service, &told.vitals, detail) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn probes_lie_beside_their_service() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert_eq!(beside(at(9192)), at(9292));
        assert_eq!(beside(at(0)), at(0));
        assert_eq!(beside(at(65_500)), at(0));
    }
}
