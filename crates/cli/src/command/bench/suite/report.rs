//! All rows with their gates.

use measure::{Comparison, Latencies, Percentiles, Score, Task, Unit, Verdict, micros};
use serde::Serialize;

use super::super::contest::unmeasured;
use crate::args::bench::All;
use crate::exit::Failure;
use crate::output::{Show, Table};

/// What was measured so far.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SuiteReport {
    rounds: u32,
    turn_ms: u128,
    /// In the log that is not empty.
    data_bytes: u64,
    pub(super) rows: Vec<Score>,
    latencies: Vec<LatencyLine>,
}

/// Of one side, over all rounds.
#[derive(Clone, Debug, Serialize)]
struct LatencyLine {
    row: &'static str,
    side: &'static str,
    #[serde(flatten)]
    found: Percentiles,
}

impl SuiteReport {
    pub(super) fn new(all: &All) -> Self {
        Self {
            rounds: all.rounds,
            turn_ms: all.turn().as_millis(),
            data_bytes: all.data(),
            rows: Vec::new(),
            latencies: Vec::new(),
        }
    }

    /// One comparison for each task.
    pub(super) fn add(&mut self, tasks: &[Task], unit: Unit, compared: &[Comparison]) {
        let scores = tasks.iter().zip(compared);
        self.rows.extend(scores.map(|(task, compared)| Score::of_speed(task, unit, compared)));
    }

    /// The p50 and the p99 of every round, for a task each, and all of it together.
    ///
    /// # Errors
    ///
    /// There was no round.
    pub(super) fn add_latencies(
        &mut self,
        tasks: &[Task],
        rounds: &[(Latencies, Latencies)],
    ) -> Result<(), Failure> {
        for (task, figure) in tasks.iter().zip(JUDGED) {
            let of = |latencies: &Latencies| figure(&latencies.percentiles());
            let times: Vec<_> = rounds.iter().map(|(ours, echo)| (of(ours), of(echo))).collect();
            self.rows.push(Score::of_times(task, &times).ok_or_else(unmeasured)?);
        }
        let row = tasks.first().map_or("", |task| task.name.trim_end_matches("-p50"));
        let (mut ours, mut echo) = (Latencies::new(), Latencies::new());
        for (by_ours, by_echo) in rounds {
            ours.add(by_ours);
            echo.add(by_echo);
        }
        for (side, latencies) in [("dohle", ours), ("echo", echo)] {
            self.latencies.push(LatencyLine { row, side, found: latencies.percentiles() });
        }
        Ok(())
    }

    /// The rows that are.
    pub(super) fn below_gate(&self) -> Vec<&'static str> {
        let below = self.rows.iter().filter(|score| score.verdict == Verdict::BelowGate);
        below.map(|score| score.row).collect()
    }
}

/// What of a latency is held to a gate.
const JUDGED: [fn(&Percentiles) -> f64; 2] = [|found| found.p50_us, |found| found.p99_us];

impl Show for SuiteReport {
    fn tables(&self) -> Vec<Table> {
        let mut scores = Table::new(Score::HEAD);
        for score in &self.rows {
            scores.row(score.cells());
        }
        if self.latencies.is_empty() {
            return vec![scores];
        }
        let mut latencies =
            Table::new(["1 KiB at 1,000/s", "side", "samples", "p50", "p99", "p99.9", "max"]);
        for LatencyLine { row, side, found } in &self.latencies {
            latencies.row([
                (*row).to_owned(),
                (*side).to_owned(),
                found.samples.to_string(),
                micros(found.p50_us),
                micros(found.p99_us),
                micros(found.p999_us),
                micros(found.max_us),
            ]);
        }
        vec![scores, latencies]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use measure::Condition;

    use super::*;

    fn report() -> SuiteReport {
        let (rows, latencies) = (Vec::new(), Vec::new());
        SuiteReport { rounds: 5, turn_ms: 1000, data_bytes: 1, rows, latencies }
    }

    fn latencies(micros: &[u64]) -> Latencies {
        let mut latencies = Latencies::new();
        for micros in micros {
            latencies.record(Duration::ZERO, Duration::from_micros(*micros));
        }
        latencies
    }

    const TASKS: [Task; 2] = [
        Task {
            name: "ack-p50",
            beside: "echo",
            gate: &[Condition::RatioAtMost(4.0)],
            moonshot: &[],
        },
        Task {
            name: "ack-p99",
            beside: "echo",
            gate: &[Condition::RatioAtMost(4.0)],
            moonshot: &[],
        },
    ];

    #[test]
    fn the_tail_is_judged_apart_from_the_middle() {
        let mut report = report();
        let rounds = [(latencies(&[100, 100, 900]), latencies(&[100, 100, 200]))];
        report.add_latencies(&TASKS, &rounds).unwrap();
        assert_eq!(report.below_gate(), ["ack-p99"]);
        let text: String = report.tables().iter().map(ToString::to_string).collect();
        assert!(text.contains("BELOW GATE") && text.contains("PASS"), "{text}");
        assert!(text.contains("ack               echo   3        100 us  200 us"), "{text}");
    }

    #[test]
    fn nothing_measured_is_no_pass() {
        assert!(report().add_latencies(&TASKS, &[]).is_err());
    }
}
