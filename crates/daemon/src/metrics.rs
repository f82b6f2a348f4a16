//! Figures in the text format that Prometheus reads (`OpenMetrics` 1.0).

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::process;
use crate::vitals::{Detail, Figure, Kind, Vitals};

/// What the text is, for HTTP.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All figures of a process that runs one service.
pub(crate) fn text(
    service: &'static str,
    vitals: &Arc<dyn Vitals>,
    detail: Detail,
) -> Result<String, fmt::Error> {
    let mut figures = process::figures(service);
    figures.extend(vitals.figures(detail));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Told(figures)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Told(Vec<Figure>);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Figure { name, help, kind, samples } in &self.0 {
            let metric_type = match kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut family = encoder.encode_descriptor(name, help, None, metric_type)?;
            for sample in samples {
                let of_sample = family.encode_family(&sample.labels)?;
                match kind {
                    Kind::Gauge => ConstGauge::new(sample.value).encode(of_sample)?,
                    Kind::Counter => ConstCounter::new(sample.value).encode(of_sample)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::{Readiness, Sample};

    #[derive(Debug)]
    struct Example;

    impl Vitals for Example {
        fn readiness(&self) -> Readiness {
            Readiness::Ready
        }

        fn figures(&self, detail: Detail) -> Vec<Figure> {
            let labels = vec![("topic", "a \"b\"".to_owned())];
            let samples = vec![Sample { labels, value: 3.0 }];
            let of_topics = Figure {
                name: "kafka_topic_partitions",
                help: "Partitions",
                kind: Kind::Gauge,
                samples,
            };
            let mut figures = vec![Figure::counter("dohle_reads", "Reads", 7.0)];
            if detail == Detail::High {
                figures.push(of_topics);
            }
            figures
        }
    }

    #[test]
    fn figures_are_told_as_prometheus_reads_them() {
        let vitals: Arc<dyn Vitals> = Arc::new(Example);
        let low = text("broker", &vitals, Detail::Low).unwrap();
        assert!(low.contains("# TYPE dohle_reads counter\ndohle_reads_total 7.0\n"), "{low}");
        assert!(low.contains("dohle_build_info{service=\"broker\",version="), "{low}");
        assert!(!low.contains("kafka_topic"), "{low}");
        let high = text("broker", &vitals, Detail::High).unwrap();
        assert!(high.contains("kafka_topic_partitions{topic=\"a \\\"b\\\"\"} 3.0\n"), "{high}");
        assert!(high.ends_with("# EOF\n"), "{high}");
    }
}
