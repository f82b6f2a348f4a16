//! Confluent's REST interface: paths, shapes, content types and numbers.

mod compatibility;
mod error;
mod negotiation;
mod request;
mod schemas;
mod settings;
mod subjects;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use tokio::sync::Semaphore;
use tower::Layer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};

use crate::config::Config;
use crate::error::RegistryError;
use crate::registry::{Opening, Registry};
use crate::tree_store::StoreHealth;
use crate::vitals::{self, Answered, RegistryVitals};
use error::ApiError;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Service {
    registry: Arc<Opening>,
    health: Arc<StoreHealth>,
    /// One permit per thread that may read the store.
    readers: Arc<Semaphore>,
    /// One permit: changes take turns, so that they start over only on account of other
    /// registries, and wait without keeping readers from their threads.
    writer: Arc<Semaphore>,
    /// One permit per request in progress.
    requests: Arc<Semaphore>,
    timeout: Duration,
}

impl Service {
    pub(crate) fn new(registry: Opening, health: Arc<StoreHealth>, config: &Config) -> Self {
        Self {
            registry: Arc::new(registry),
            health,
            readers: Arc::new(Semaphore::new(config.store_threads)),
            writer: Arc::new(Semaphore::new(1)),
            requests: Arc::new(Semaphore::new(config.max_requests)),
            timeout: Duration::from_millis(config.request_timeout_ms),
        }
    }

    /// Asks the registry on a thread that may wait for the store.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.run(&self.readers, question).await
    }

    /// Has the registry change something, on a thread that may wait for the store.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.run(&self.writer, change).await
    }

    /// A request that times out leaves the thread to finish; its permit stays with it.
    async fn run<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        work: impl FnOnce(&Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(permits).acquire_owned().await;
        let permit = permit.map_err(|_closed| ApiError::interrupted())?;
        let registry = Arc::clone(&self.registry);
        let answer = tokio::task::spawn_blocking(move || {
            let answer = registry.get().and_then(work);
            drop(permit);
            answer
        });
        Ok(answer.await.map_err(|_panicked| ApiError::interrupted())??)
    }
}

/// Everything the registry answers, with trailing slashes as good as without.
pub(crate) fn router(service: Service, max_body_bytes: usize) -> NormalizePath<Router> {
    let answered = Arc::new(Answered::default());
    let vitals =
        RegistryVitals { answered: Arc::clone(&answered), health: Arc::clone(&service.health) };
    let routes = Router::new()
        .route("/", get(root).post(root))
        .route("/subjects", get(subjects::list))
        .route("/subjects/{subject}", post(subjects::look_up).delete(subjects::delete))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(subjects::version).delete(subjects::delete_version),
        )
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referrers))
        .route("/schemas", get(schemas::list))
        .route("/schemas/types", get(schemas::types))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects))
        .route("/schemas/ids/{id}/versions", get(schemas::versions))
        .route(
            "/config",
            get(settings::global).put(settings::set_global).delete(settings::clear_global),
        )
        .route(
            "/config/{subject}",
            get(settings::of_subject)
                .put(settings::set_of_subject)
                .delete(settings::clear_of_subject),
        )
        .route("/mode", get(settings::global_mode).put(settings::set_global_mode))
        .route(
            "/mode/{subject}",
            get(settings::mode_of_subject)
                .put(settings::set_mode_of_subject)
                .delete(settings::clear_mode_of_subject),
        )
        .route("/compatibility/subjects/{subject}/versions", post(compatibility::with_subject))
        .route(
            "/compatibility/subjects/{subject}/versions/{version}",
            post(compatibility::with_version),
        )
        .route_layer(from_fn(negotiation::check))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(from_fn_with_state(service.clone(), limits))
        .layer(from_fn(negotiation::label))
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(from_fn_with_state(Arc::clone(&answered), vitals::count))
        .with_state(service)
        .merge(daemon::http::routes("registry", Arc::new(vitals)));
    NormalizePathLayer::trim_trailing_slash().layer(routes)
}

/// Bounds how many requests there are and how long each takes.
async fn limits(
    axum::extract::State(service): axum::extract::State<Service>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let Ok(_permit) = service.requests.try_acquire() else {
        return ApiError::busy().into_response();
    };
    match tokio::time::timeout(service.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => ApiError::timed_out().into_response(),
    }
}

async fn root() -> Json<serde_json::Map<String, serde_json::Value>> {
    Json(serde_json::Map::new())
}

/// A body of JSON. The content type is set where all responses pass.
struct Json<T>(T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => body.into_response(),
            Err(_never) => ApiError::interrupted().into_response(),
        }
    }
}
