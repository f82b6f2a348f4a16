//! What a service tells of itself: whether it can be used, and figures.

use std::fmt::Debug;

/// Whether a service can do what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot yet, or no more.
    NotReady {
        /// Why, each a sentence that says what is missing.
        reasons: Vec<String>,
    },
}

impl Readiness {
    /// Ready unless something stands in the way.
    pub fn unless(reasons: Vec<String>) -> Self {
        if reasons.is_empty() { Self::Ready } else { Self::NotReady { reasons } }
    }
}

/// How a figure moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Up only, from 0 at the start of the process. Its name is given without `_total`.
    Counter,
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A number of figures that does not grow with topics or clients.
    Low,
    /// Those of every partition, too.
    High,
}

/// A metric with its values at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// As Prometheus names it: `dohle_broker_led_partitions`.
    pub name: &'static str,
    /// What it is, and its unit.
    pub help: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// A value for each combination of labels; one without labels where there are none.
    pub samples: Vec<Sample>,
}

/// One value of a [`Figure`].
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values of its labels.
    pub labels: Vec<(&'static str, String)>,
    /// Integers up to 2^53 are exact.
    pub value: f64,
}

impl Figure {
    /// A gauge without labels.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        let samples = vec![Sample { labels: Vec::new(), value }];
        Self { name, help, kind: Kind::Gauge, samples }
    }

    /// A counter without labels.
    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { kind: Kind::Counter, ..Self::gauge(name, help, value) }
    }
}

/// What is asked of a service while it runs. Answers come from memory, at once.
pub trait Vitals: Debug + Send + Sync + 'static {
    /// Whether it can be used.
    fn readiness(&self) -> Readiness;

    /// Its figures.
    fn figures(&self, detail: Detail) -> Vec<Figure>;
}
