//! What a figure is held to.

use serde::Serialize;

use crate::text::{grouped, micros};
use crate::turn::{Comparison, Spread};

/// Something that medians must be for a goal to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Ours over theirs, where more is better.
    RatioAtLeast(f64),
    /// Ours over theirs, where less is better.
    RatioAtMost(f64),
    /// Our CPU time over theirs. Not reached where it cannot be seen.
    CpuRatioAtMost(f64),
    /// Our own figure, in its unit, whatever theirs is.
    OursBelow(f64),
}

/// Conditions, all of which must hold.
pub type Goal = &'static [Condition];

/// What a task is called, and what it is held to.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Its name, on the command line as in the table.
    pub name: &'static str,
    /// What ours is compared with.
    pub beside: &'static str,
    /// Below this it is not done. Empty: it is measured to explain others.
    pub gate: Goal,
    /// How far it might be driven. Empty: nobody has said.
    pub moonshot: Goal,
}

/// In what a figure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// 10^6 bytes of values a second.
    #[serde(rename = "MB/s")]
    Megabytes,
    /// Records a second.
    #[serde(rename = "records/s")]
    Records,
    /// A time in microseconds.
    #[serde(rename = "us")]
    Micros,
}

/// What came of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// No good.
    #[serde(rename = "BELOW GATE")]
    BelowGate,
    /// Good enough.
    #[serde(rename = "PASS")]
    Pass,
    /// As good as it may get.
    #[serde(rename = "MOONSHOT")]
    Moonshot,
    /// There is no gate.
    #[serde(rename = "-")]
    Ungated,
}

/// CPU time of both sides, in seconds for 10^9 bytes of values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cpu {
    /// Ours, client and server.
    pub ours: Spread,
    /// Theirs.
    pub beside: Spread,
    /// Ours over theirs, round by round; `None` where one cannot be seen in full.
    pub ratio: Option<Spread>,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The task's name.
    pub row: &'static str,
    /// What ours is compared with.
    pub compared_with: &'static str,
    /// Of the two figures.
    pub unit: Unit,
    /// Our figure.
    pub ours: Spread,
    /// Theirs.
    pub beside: Spread,
    /// Ours over theirs, round by round.
    pub ratio: Spread,
    /// What it cost; `None` where only time counts.
    pub cpu: Option<Cpu>,
    /// What must be reached.
    pub gate: Goal,
    /// What may be.
    pub moonshot: Goal,
    /// What was.
    pub verdict: Verdict,
}

impl Score {
    /// The titles of [`cells`](Self::cells).
    pub const HEAD: [&'static str; 10] = [
        "row",
        "unit",
        "ours",
        "beside",
        "ratio [min..max]",
        "cpu s/GB",
        "beside",
        "gate",
        "moonshot",
        "verdict",
    ];

    /// Of two sides at full speed, told in `unit`.
    pub fn of_speed(task: &Task, unit: Unit, compared: &Comparison) -> Self {
        let (ours, beside) = (&compared.ours, &compared.beside);
        let cpu = Cpu {
            ours: ours.cpu_seconds_per_gb,
            beside: beside.cpu_seconds_per_gb,
            ratio: compared.cpu_ratio,
        };
        let figures = match unit {
            Unit::Records => (ours.records_per_second, beside.records_per_second),
            Unit::Megabytes | Unit::Micros => (ours.mb_per_second, beside.mb_per_second),
        };
        Self::new(task, unit, figures, compared.ratio, Some(cpu))
    }

    /// Of times that both sides took, in microseconds, round by round; `None` without any.
    pub fn of_times(task: &Task, rounds: &[(f64, f64)]) -> Option<Self> {
        let figures = (
            Spread::of(rounds.iter().map(|(ours, _)| *ours))?,
            Spread::of(rounds.iter().map(|(_, beside)| *beside))?,
        );
        let ratio = Spread::of_ratios(rounds.iter().copied())?;
        Some(Self::new(task, Unit::Micros, figures, ratio, None))
    }

    fn new(
        task: &Task,
        unit: Unit,
        (ours, beside): (Spread, Spread),
        ratio: Spread,
        cpu: Option<Cpu>,
    ) -> Self {
        let mut score = Self {
            row: task.name,
            compared_with: task.beside,
            unit,
            ours,
            beside,
            ratio,
            cpu,
            gate: task.gate,
            moonshot: task.moonshot,
            verdict: Verdict::Ungated,
        };
        score.verdict = score.judged();
        score
    }

    fn judged(&self) -> Verdict {
        if !self.reaches(self.gate) {
            Verdict::BelowGate
        } else if !self.moonshot.is_empty() && self.reaches(self.moonshot) {
            Verdict::Moonshot
        } else if self.gate.is_empty() {
            Verdict::Ungated
        } else {
            Verdict::Pass
        }
    }

    fn reaches(&self, goal: Goal) -> bool {
        let cpu = self.cpu.and_then(|cpu| cpu.ratio);
        goal.iter().all(|condition| match condition {
            Condition::RatioAtLeast(least) => *least <= self.ratio.median,
            Condition::RatioAtMost(most) => self.ratio.median <= *most,
            Condition::CpuRatioAtMost(most) => cpu.is_some_and(|cpu| cpu.median <= *most),
            Condition::OursBelow(limit) => self.ours.median < *limit,
        })
    }

    /// The line as people read it; medians, where nothing else is said.
    pub fn cells(&self) -> [String; 10] {
        let figure = |of: Spread| match self.unit {
            Unit::Micros => micros(of.median),
            Unit::Megabytes | Unit::Records => grouped(of.median),
        };
        let unit = match self.unit {
            Unit::Megabytes => "MB/s",
            Unit::Records => "records/s",
            Unit::Micros => "time",
        };
        let Spread { median, min, max } = self.ratio;
        let cpu = |of: fn(Cpu) -> Spread| {
            self.cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{:.2}", of(cpu).median))
        };
        [
            self.row.to_owned(),
            unit.to_owned(),
            figure(self.ours),
            figure(self.beside),
            format!("{median:.2} [{min:.2}..{max:.2}]"),
            cpu(|cpu| cpu.ours),
            cpu(|cpu| cpu.beside),
            self.words(self.gate),
            self.words(self.moonshot),
            self.verdict.word().to_owned(),
        ]
    }

    fn words(&self, goal: Goal) -> String {
        if goal.is_empty() {
            return "-".to_owned();
        }
        let words = goal.iter().map(|condition| match condition {
            Condition::RatioAtLeast(least) => format!(">= {least}"),
            Condition::RatioAtMost(most) => format!("<= {most}"),
            Condition::CpuRatioAtMost(most) => format!("cpu <= {most}x"),
            Condition::OursBelow(limit) => match self.unit {
                Unit::Micros => format!("< {}", micros(*limit)),
                Unit::Megabytes | Unit::Records => format!("< {}", grouped(*limit)),
            },
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

impl Verdict {
    /// As the table has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BelowGate => "BELOW GATE",
            Self::Pass => "PASS",
            Self::Moonshot => "MOONSHOT",
            Self::Ungated => "-",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{CpuTime, Turn};

    const TASK: Task = Task {
        name: "produce-1m",
        beside: "a copy",
        gate: &[Condition::RatioAtLeast(0.55)],
        moonshot: &[Condition::RatioAtLeast(0.85), Condition::CpuRatioAtMost(1.1)],
    };

    fn turn(bytes: u64, cpu: Option<u64>) -> Turn {
        let cpu = CpuTime { client: Duration::ZERO, server: cpu.map(Duration::from_millis) };
        Turn { records: bytes / 1000, bytes, took: Duration::from_secs(1), cpu }
    }

    fn score(ours: u64, cpu: Option<u64>) -> Score {
        let rounds = [(turn(ours, cpu), turn(1_000_000_000, Some(1000)))];
        Score::of_speed(&TASK, Unit::Megabytes, &Comparison::of(&rounds).unwrap())
    }

    #[test]
    fn below_its_gate_a_row_fails_and_at_it_passes() {
        assert_eq!(score(549_000_000, Some(1)).verdict, Verdict::BelowGate);
        assert_eq!(score(550_000_000, Some(1)).verdict, Verdict::Pass);
    }

    #[test]
    fn a_moonshot_takes_all_its_conditions() {
        assert_eq!(score(1_000_000_000, Some(1100)).verdict, Verdict::Moonshot);
        assert_eq!(score(1_000_000_000, Some(1101)).verdict, Verdict::Pass);
        assert_eq!(score(1_000_000_000, None).verdict, Verdict::Pass, "unseen is not reached");
    }

    #[test]
    fn the_median_of_the_rounds_is_judged_and_not_the_best() {
        let (slow, fast) = (turn(1, Some(1)), turn(2_000_000_000, Some(1)));
        let beside = turn(1_000_000_000, Some(1));
        let rounds = [(slow, beside), (fast, beside), (slow, beside)];
        let score = Score::of_speed(&TASK, Unit::Megabytes, &Comparison::of(&rounds).unwrap());
        assert_eq!(score.verdict, Verdict::BelowGate);
    }

    #[test]
    fn of_times_less_is_better() {
        let task = Task {
            gate: &[Condition::RatioAtMost(4.0)],
            moonshot: &[Condition::OursBelow(1000.0)],
            ..TASK
        };
        let verdict = |ours, beside| Score::of_times(&task, &[(ours, beside)]).unwrap().verdict;
        assert_eq!(verdict(401.0, 100.0), Verdict::BelowGate);
        assert_eq!(verdict(1000.0, 250.0), Verdict::Pass);
        assert_eq!(verdict(999.0, 250.0), Verdict::Moonshot);
        assert_eq!(Score::of_times(&task, &[]), None);
    }

    #[test]
    fn without_a_gate_nothing_can_fail() {
        let task = Task { gate: &[], moonshot: &[], ..TASK };
        let score = Score::of_times(&task, &[(9.0, 1.0)]).unwrap();
        assert_eq!(score.verdict, Verdict::Ungated);
    }

    #[test]
    fn a_line_tells_gate_and_moonshot_beside_the_figures() {
        assert_eq!(
            score(500_000_000, Some(1000)).cells(),
            [
                "produce-1m",
                "MB/s",
                "500",
                "1,000",
                "0.50 [0.50..0.50]",
                "2.00",
                "1.00",
                ">= 0.55",
                ">= 0.85, cpu <= 1.1x",
                "BELOW GATE"
            ]
        );
    }
}
