//! Both sides' figures for a single bench.

use measure::{Comparison, Percentiles, Spread, Throughput, grouped, micros};
use serde::Serialize;

use crate::output::{Show, Table};

/// Both sides at one rate.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Paced {
    pub(super) records_per_second: u32,
    pub(super) ours: Percentiles,
    pub(super) plain: Percentiles,
}

/// Both sides at one task.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) durability: &'static str,
    pub(super) ours: Throughput,
    pub(super) plain: Throughput,
    /// Our MB/s over theirs, round by round.
    pub(super) ratio: Spread,
    /// Our CPU-seconds for a GB over theirs; `None` where one cannot be seen in full.
    pub(super) cpu_ratio: Option<Spread>,
    pub(super) latency: Paced,
}

/// All of a bench.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) bench: &'static str,
    /// What ours is compared with.
    pub(super) plain: &'static str,
    pub(super) rounds: u32,
    pub(super) turn_seconds: u32,
    pub(super) value_bytes: u32,
    pub(super) batch_bytes: u32,
    pub(super) rows: Vec<Row>,
}

impl Row {
    /// Of both sides at full speed and at one rate.
    pub(super) fn new(durability: &'static str, compared: Comparison, latency: Paced) -> Self {
        let Comparison { ours, beside: plain, ratio, cpu_ratio } = compared;
        Self { durability, ours, plain, ratio, cpu_ratio, latency }
    }
}

impl Show for Report {
    fn tables(&self) -> Vec<Table> {
        let mut speed = Table::new([
            "stored in",
            "records/s",
            "MB/s",
            "plain MB/s",
            "ratio [min..max]",
            "cpu s/GB",
            "plain",
            "ratio",
        ]);
        let mut latency =
            Table::new(["latency at", "stored in", "side", "p50", "p99", "p99.9", "max"]);
        for row in &self.rows {
            speed.row([
                row.durability.to_owned(),
                grouped(row.ours.records_per_second.median),
                grouped(row.ours.mb_per_second.median),
                grouped(row.plain.mb_per_second.median),
                format!("{:.2} [{:.2}..{:.2}]", row.ratio.median, row.ratio.min, row.ratio.max),
                format!("{:.2}", row.ours.cpu_seconds_per_gb.median),
                format!("{:.2}", row.plain.cpu_seconds_per_gb.median),
                row.cpu_ratio.map_or("?".to_owned(), |ratio| format!("{:.2}", ratio.median)),
            ]);
            let rate = f64::from(row.latency.records_per_second);
            for (side, found) in [("dohle", &row.latency.ours), ("plain", &row.latency.plain)] {
                latency.row([
                    format!("{}/s", grouped(rate)),
                    row.durability.to_owned(),
                    side.to_owned(),
                    micros(found.p50_us),
                    micros(found.p99_us),
                    micros(found.p999_us),
                    micros(found.max_us),
                ]);
            }
        }
        vec![speed, latency]
    }
}

#[cfg(test)]
mod tests;
