//! What the runs came to, for probes and Prometheus.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::vitals::{Detail, Figure, Kind, Readiness, Sample, Vitals};
use types::{Timestamp, TopicName};

use crate::report::Report;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ended {
    Landed,
    NothingNew,
    /// Another run committed the same records first.
    Fenced,
    Failed,
}

impl Ended {
    const ALL: [Self; 4] = [Self::Landed, Self::NothingNew, Self::Fenced, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Landed => "landed",
            Self::NothingNew => "nothing_new",
            Self::Fenced => "fenced",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Default)]
struct OfTopic {
    runs: BTreeMap<Ended, u64>,
    rows: u64,
    quarantined: u64,
    bytes: u64,
    last_took: Duration,
    last_success: Option<Timestamp>,
    /// Why the last run failed, if it did.
    failure: Option<String>,
}

/// Sums over the runs of this process, by topic.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<TopicName, OfTopic>>);

impl Tally {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicName, OfTopic>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a run that came to its end.
    pub(super) fn done(&self, report: &Report, now: Timestamp, took: Duration) -> Ended {
        let mut topics = self.lock();
        let topic = topics.entry(report.topic.clone()).or_default();
        let ended = match &report.committed {
            Some(committed) => {
                let totals = committed.totals();
                topic.rows += totals.rows;
                topic.quarantined += totals.quarantined;
                topic.bytes += committed.bytes;
                Ended::Landed
            }
            None => Ended::NothingNew,
        };
        *topic.runs.entry(ended).or_default() += 1;
        topic.last_took = took;
        topic.last_success = Some(now);
        topic.failure = None;
        ended
    }

    /// Notes a run that did not.
    pub(super) fn failed(&self, topic: &TopicName, ended: Ended, why: String, took: Duration) {
        let mut topics = self.lock();
        let topic = topics.entry(topic.clone()).or_default();
        *topic.runs.entry(ended).or_default() += 1;
        topic.last_took = took;
        // Whoever was first has landed what there was.
        topic.failure = (ended == Ended::Failed).then_some(why);
    }
}

impl Vitals for Tally {
    /// Not while the last run over a topic has failed.
    fn readiness(&self) -> Readiness {
        let topics = self.lock();
        let failed = topics.iter().filter_map(|(topic, of_topic)| {
            let why = of_topic.failure.as_ref()?;
            Some(format!("the last run over {topic} failed: {why}"))
        });
        Readiness::unless(failed.collect())
    }

    #[expect(clippy::cast_precision_loss, reason = "sums of a process stay far below 2^53")]
    fn figures(&self, _detail: Detail) -> Vec<Figure> {
        let topics = self.lock();
        let labels = |topic: &TopicName| vec![("topic", topic.to_string())];
        let each = |value: &dyn Fn(&OfTopic) -> Option<f64>| -> Vec<Sample> {
            let samples = topics.iter().filter_map(|(topic, of_topic)| {
                Some(Sample { labels: labels(topic), value: value(of_topic)? })
            });
            samples.collect()
        };
        let runs = topics.iter().flat_map(|(topic, of_topic)| {
            Ended::ALL.into_iter().map(move |ended| {
                let mut labels = labels(topic);
                labels.push(("result", ended.name().to_owned()));
                let count = of_topic.runs.get(&ended).copied().unwrap_or_default();
                Sample { labels, value: count as f64 }
            })
        });
        let records = topics.iter().flat_map(|(topic, of_topic)| {
            let kinds = [("landed", of_topic.rows), ("quarantined", of_topic.quarantined)];
            kinds.into_iter().map(move |(kind, count)| {
                let mut labels = labels(topic);
                labels.push(("kind", kind.to_owned()));
                Sample { labels, value: count as f64 }
            })
        });
        let counter = |name, help, samples| Figure { name, help, kind: Kind::Counter, samples };
        let gauge = |name, help, samples| Figure { name, help, kind: Kind::Gauge, samples };
        vec![
            counter("dohle_sink_runs", "Runs over a topic, by how they ended", runs.collect()),
            counter("dohle_sink_records", "Records of committed runs", records.collect()),
            counter(
                "dohle_sink_bytes",
                "Bytes of the files of committed runs",
                each(&|of_topic| Some(of_topic.bytes as f64)),
            ),
            gauge(
                "dohle_sink_run_seconds",
                "How long the last run took",
                each(&|of_topic| Some(of_topic.last_took.as_secs_f64())),
            ),
            gauge(
                "dohle_sink_last_success_timestamp_seconds",
                "When a run last came to its end, in seconds since 1970",
                each(&|of_topic| Some(of_topic.last_success?.as_millis() as f64 / 1000.0)),
            ),
        ]
    }
}
