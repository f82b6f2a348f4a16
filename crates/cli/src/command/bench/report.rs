//! The figures of both sides, and what one is in terms of the other.

use std::time::Duration;

use serde::Serialize;

use super::cpu::CpuTime;
use super::latency::Percentiles;
use crate::output::{Show, Table};

/// One side's turn at full speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Records done, acknowledged where that applies.
    pub(super) records: u64,
    /// Bytes of their values.
    pub(super) bytes: u64,
    /// How long it took.
    pub(super) took: Duration,
    /// What it cost.
    pub(super) cpu: CpuTime,
}

/// A number over rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// One side over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Throughput {
    pub(super) records_per_second: Spread,
    /// Of values, in 10^6 bytes.
    pub(super) mb_per_second: Spread,
    /// For 10^9 bytes of values.
    pub(super) client_cpu_seconds_per_gb: Spread,
    /// For 10^9 bytes of values; `None` where it cannot be seen.
    pub(super) server_cpu_seconds_per_gb: Option<Spread>,
    /// Of both sides, as far as seen.
    pub(super) cpu_seconds_per_gb: Spread,
}

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
    /// Figures from rounds of our turn and theirs; `None` without any.
    pub(super) fn new(
        durability: &'static str,
        rounds: &[(Turn, Turn)],
        latency: Paced,
    ) -> Option<Self> {
        let (ours, plain): (Vec<Turn>, Vec<Turn>) = rounds.iter().copied().unzip();
        let seen = rounds
            .iter()
            .all(|(ours, plain)| ours.cpu.server.is_some() && plain.cpu.server.is_some());
        let over = |figure: fn(&Turn) -> f64| {
            Spread::of(rounds.iter().map(|(ours, plain)| quotient(figure(ours), figure(plain))))
        };
        Some(Self {
            durability,
            ours: Throughput::of(&ours)?,
            plain: Throughput::of(&plain)?,
            ratio: over(Turn::mb_per_second)?,
            cpu_ratio: over(Turn::cpu_seconds_per_gb).filter(|_| seen),
            latency,
        })
    }
}

impl Turn {
    fn records_per_second(&self) -> f64 {
        quotient(whole(self.records), self.took.as_secs_f64())
    }

    fn mb_per_second(&self) -> f64 {
        quotient(whole(self.bytes) / 1e6, self.took.as_secs_f64())
    }

    fn cpu_seconds_per_gb(&self) -> f64 {
        self.per_gb(self.cpu.total())
    }

    fn per_gb(&self, time: Duration) -> f64 {
        quotient(time.as_secs_f64(), whole(self.bytes) / 1e9)
    }
}

impl Throughput {
    fn of(turns: &[Turn]) -> Option<Self> {
        let over = |figure: fn(&Turn) -> f64| Spread::of(turns.iter().map(figure));
        let servers = turns.iter().filter_map(|turn| Some(turn.per_gb(turn.cpu.server?)));
        Some(Self {
            records_per_second: over(Turn::records_per_second)?,
            mb_per_second: over(Turn::mb_per_second)?,
            client_cpu_seconds_per_gb: over(|turn| turn.per_gb(turn.cpu.client))?,
            server_cpu_seconds_per_gb: Spread::of(servers),
            cpu_seconds_per_gb: over(Turn::cpu_seconds_per_gb)?,
        })
    }
}

impl Spread {
    /// `None` without any number. Of an even count, the median lies between the two in the middle.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let lower = if sorted.len().is_multiple_of(2) {
            *sorted.get(middle.checked_sub(1)?)?
        } else {
            upper
        };
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// 0 where there is nothing to divide by: such a turn did nothing.
fn quotient(above: f64, below: f64) -> f64 {
    if below > 0.0 { above / below } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53, and shown in three digits")]
fn whole(number: u64) -> f64 {
    number as f64
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
                    time(found.p50_us),
                    time(found.p99_us),
                    time(found.p999_us),
                    time(found.max_us),
                ]);
            }
        }
        vec![speed, latency]
    }
}

/// A time in three digits or so.
fn time(micros: f64) -> String {
    match micros {
        short if short < 1_000.0 => format!("{short:.0} us"),
        medium if medium < 100_000.0 => format!("{:.2} ms", medium / 1e3),
        long => format!("{:.0} ms", long / 1e3),
    }
}

/// Without digits behind the point, and with commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
