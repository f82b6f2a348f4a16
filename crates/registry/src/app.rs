use std::future::IntoFuture as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::serve::ListenerExt as _;
use daemon::config::ConfigError;
use kv_store::{KvError, KvStore, SledStore};
use thiserror::Error;
use tokio::runtime::{Handle, TryCurrentError};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use types::{Coded, Reason};

use crate::config::{Config, classic};
use crate::error::RegistryError;
use crate::http::{Service, router};
use crate::registry::Opening;
use crate::tree_store::{StoreHealth, TreeStore};

/// Beyond a request's own timeout, for the answer to leave.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// How long one request to the coordinators may take.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(5);

/// A registry that is bound to its address and can be run.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    router: tower_http::normalize_path::NormalizePath<axum::Router>,
    drain: Duration,
    /// The store, if it is in other processes, and what is seen of it.
    remote: Option<(TreeStore, Arc<StoreHealth>)>,
}

/// Why a registry could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] KvError),
    /// The store holds something else, or something that cannot be read.
    #[error("the store in {} is not one that this registry can read: {message}", dir.display())]
    Unreadable {
        /// The data directory.
        dir: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The address is taken, or not ours.
    #[error("cannot listen on {listen}: {source}; free it or choose another address")]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The coordinators can be asked from within a tokio runtime only.
    #[error("a registry on coordinators is built within a tokio runtime: {0}")]
    NoRuntime(#[from] TryCurrentError),
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A setting that cannot work.
    #[error("{key} must be at least 1")]
    TooSmall {
        /// The key.
        key: &'static str,
    },
}

impl Coded for BuildError {
    fn reason(&self) -> Reason {
        match self {
            Self::Store(error) => error.reason(),
            Self::Unreadable { .. } => Reason::StorageError,
            Self::NoRuntime(_) => Reason::UnknownServerError,
            Self::Listen { .. } | Self::Config(_) | Self::TooSmall { .. } => Reason::InvalidConfig,
        }
    }
}

/// Why a registry stopped serving.
#[derive(Debug, Error)]
#[error("the registry stopped serving: {0}")]
pub struct RunError(#[from] io::Error);

impl Coded for RunError {
    fn reason(&self) -> Reason {
        Reason::UnknownServerError
    }
}

impl Config {
    /// Reads the configuration as the command line and the environment ask.
    ///
    /// # Errors
    ///
    /// The file is missing, a key is unknown or a value does not fit.
    pub fn from_command_line() -> Result<Self, BuildError> {
        Ok(daemon::config::from_command_line(
            "dohle-registry",
            "DOHLE_REGISTRY_",
            classic::translate,
        )?)
    }

    /// Opens the store in the data directory, or names the coordinators as the store, and binds the
    /// address. Coordinators need not answer yet.
    ///
    /// # Errors
    ///
    /// The store is in use or damaged, or the address is not to be had.
    pub fn build(self) -> Result<App, BuildError> {
        if self.coordinators.is_empty() {
            let store = SledStore::open(&self.data_dir)?;
            return self.build_on(Arc::new(store));
        }
        if self.data_dir.exists() {
            let data_dir = self.data_dir.display();
            warn!(%data_dir, "schemas in the data directory are not read, for coordinators are named");
        }
        let runtime = Handle::try_current()?;
        let store = TreeStore::new(&self.coordinators, COORDINATOR_TIMEOUT, runtime);
        let registry = Opening::new(Arc::new(store.clone()), self.cache_bytes);
        let health = Arc::new(StoreHealth::unknown());
        let remote = Some((store, Arc::clone(&health)));
        Ok(App { remote, ..self.bind(registry, health)? })
    }

    /// Binds the address, and keeps the schemas in a store of the caller's.
    ///
    /// # Errors
    ///
    /// The store holds something else, or the address is not to be had.
    pub fn build_on(self, store: Arc<dyn KvStore>) -> Result<App, BuildError> {
        let registry = Opening::new(store, self.cache_bytes);
        if let Err(error) = registry.get() {
            if let RegistryError::Store(error) = error {
                return Err(BuildError::Store(error));
            }
            let (dir, message) = (self.data_dir, error.to_string());
            return Err(BuildError::Unreadable { dir, message });
        }
        self.bind(registry, Arc::default())
    }

    fn bind(self, registry: Opening, health: Arc<StoreHealth>) -> Result<App, BuildError> {
        for (key, number) in [
            ("max_requests", self.max_requests),
            ("store_threads", self.store_threads),
            ("max_body_bytes", self.max_body_bytes),
        ] {
            if number == 0 {
                return Err(BuildError::TooSmall { key });
            }
        }
        let (listener, address) = bind(self.listen)
            .map_err(|source| BuildError::Listen { listen: self.listen, source })?;
        let drain = Duration::from_millis(self.request_timeout_ms).saturating_add(DRAIN_GRACE);
        let router = router(Service::new(registry, health, &self), self.max_body_bytes);
        Ok(App { listener, address, router, drain, remote: None })
    }
}

fn bind(listen: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl App {
    /// Where it listens: the port is the real one, also if any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled, then finishes what it has begun.
    ///
    /// # Errors
    ///
    /// The listening socket fails.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let listener = listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                debug!(%error, "connection stayed slow");
            }
        });
        info!(service = "registry", address = %self.address, "listening");
        let service = axum::ServiceExt::<Request>::into_make_service(self.router);
        let serving = axum::serve(listener, service)
            .with_graceful_shutdown(shutdown.clone().cancelled_owned())
            .into_future();
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(self.drain).await;
        };
        let probing = async {
            match &self.remote {
                Some((store, health)) => store.probe(health).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            served = serving => served?,
            () = probing => {}
            // A connection on which nothing is asked would keep the process for ever.
            () = overdue => warn!("connections were cut at shutdown"),
        }
        if let Some((store, _)) = &self.remote {
            store.end();
        }
        Ok(())
    }
}

impl daemon::Service for App {
    type Error = RunError;

    async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        Self::run(self, shutdown).await
    }
}
