//! What a registry tells of itself over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use daemon::vitals::{Detail, Figure, Kind, Readiness, Sample, Vitals};

use crate::tree_store::StoreHealth;

/// Names of the classes of an answer's status, from 200 on.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Answers since the start, by class of their status.
#[derive(Debug, Default)]
pub(crate) struct Answered([AtomicU64; CLASSES.len()]);

impl Answered {
    fn note(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).checked_sub(2);
        if let Some(count) = class.and_then(|class| self.0.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Counts what the service within answers.
pub(crate) async fn count(
    State(answered): State<Arc<Answered>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    answered.note(response.status());
    response
}

/// Where it looks when it is asked.
#[derive(Debug)]
pub(crate) struct RegistryVitals {
    pub(crate) answered: Arc<Answered>,
    pub(crate) health: Arc<StoreHealth>,
}

impl Vitals for RegistryVitals {
    /// It needs nothing but its store.
    fn readiness(&self) -> Readiness {
        Readiness::unless(self.health.trouble().into_iter().collect())
    }

    #[expect(clippy::cast_precision_loss, reason = "requests stay far below 2^53")]
    fn figures(&self, _detail: Detail) -> Vec<Figure> {
        let samples = CLASSES.iter().zip(&self.answered.0).map(|(class, count)| Sample {
            labels: vec![("status", (*class).to_owned())],
            value: count.load(Ordering::Relaxed) as f64,
        });
        vec![Figure {
            name: "dohle_registry_requests",
            help: "Requests answered, by class of their status",
            kind: Kind::Counter,
            samples: samples.collect(),
        }]
    }
}
