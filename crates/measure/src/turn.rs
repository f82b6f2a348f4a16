//! The figures of both sides, and what one is in terms of the other.

use std::time::Duration;

use serde::Serialize;

use crate::cpu::CpuTime;

/// One side's turn at full speed.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Records done, acknowledged where that applies.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// What it cost.
    pub cpu: CpuTime,
}

/// A number over rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the rounds are below, half above.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// One side over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Throughput {
    /// Records done.
    pub records_per_second: Spread,
    /// Of values, in 10^6 bytes.
    pub mb_per_second: Spread,
    /// For 10^9 bytes of values.
    pub client_cpu_seconds_per_gb: Spread,
    /// For 10^9 bytes of values; `None` where it cannot be seen.
    pub server_cpu_seconds_per_gb: Option<Spread>,
    /// Of both sides, as far as seen.
    pub cpu_seconds_per_gb: Spread,
}

/// Both sides at one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What is measured.
    pub ours: Throughput,
    /// What it is measured by.
    pub beside: Throughput,
    /// Our MB/s over theirs, round by round.
    pub ratio: Spread,
    /// Our CPU-seconds for a GB over theirs; `None` where one cannot be seen in full.
    pub cpu_ratio: Option<Spread>,
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

impl Comparison {
    /// Figures from rounds of our turn and theirs; `None` without any.
    pub fn of(rounds: &[(Turn, Turn)]) -> Option<Self> {
        let (ours, beside): (Vec<Turn>, Vec<Turn>) = rounds.iter().copied().unzip();
        let seen = rounds
            .iter()
            .all(|(ours, beside)| ours.cpu.server.is_some() && beside.cpu.server.is_some());
        let over = |figure: fn(&Turn) -> f64| {
            Spread::of(rounds.iter().map(|(ours, beside)| quotient(figure(ours), figure(beside))))
        };
        Some(Self {
            ours: Throughput::of(&ours)?,
            beside: Throughput::of(&beside)?,
            ratio: over(Turn::mb_per_second)?,
            cpu_ratio: over(Turn::cpu_seconds_per_gb).filter(|_| seen),
        })
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
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
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

    /// Of one number over another, pair by pair; `None` without any.
    pub fn of_ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        Self::of(pairs.into_iter().map(|(above, below)| quotient(above, below)))
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn turn(bytes: u64, took: Duration, cpu: Duration) -> Turn {
        let cpu = CpuTime { client: cpu / 4, server: Some(cpu / 4 * 3) };
        Turn { records: bytes / 1000, bytes, took, cpu }
    }

    #[track_caller]
    fn check(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn the_median_lies_in_the_middle_and_the_ends_are_told() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_megabyte_has_a_million_bytes() {
        let half_a_second = turn(500_000_000, SECOND / 2, 2 * SECOND);
        check(half_a_second.mb_per_second(), 1000.0);
        check(half_a_second.records_per_second(), 1_000_000.0);
        check(half_a_second.cpu_seconds_per_gb(), 4.0);
    }

    #[test]
    fn sides_are_compared_within_a_round_and_not_across_rounds() {
        // The machine was twice as fast in the second round, for both.
        let slow = (turn(100, SECOND, SECOND), turn(200, SECOND, SECOND));
        let fast = (turn(200, SECOND, SECOND), turn(400, SECOND, SECOND));
        let compared = Comparison::of(&[slow, fast, fast]).unwrap();
        assert_eq!(compared.ratio, Spread { median: 0.5, min: 0.5, max: 0.5 });
        check(compared.cpu_ratio.unwrap().median, 2.0);
    }

    #[test]
    fn cpu_is_not_compared_where_half_of_it_is_out_of_sight() {
        let mut ours = turn(100, SECOND, SECOND);
        ours.cpu.server = None;
        let compared = Comparison::of(&[(ours, turn(100, SECOND, SECOND))]).unwrap();
        assert_eq!(compared.cpu_ratio, None);
        assert_eq!(compared.ours.server_cpu_seconds_per_gb, None);
    }

    #[test]
    fn a_turn_in_which_nothing_was_done_is_no_infinity() {
        let nothing = turn(0, Duration::ZERO, SECOND);
        let compared = Comparison::of(&[(nothing, nothing)]).unwrap();
        check(compared.ratio.median, 0.0);
        check(compared.ours.cpu_seconds_per_gb.median, 0.0);
    }
}
