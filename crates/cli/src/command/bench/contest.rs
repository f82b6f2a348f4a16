//! Two sides at one task, by turns: whatever the machine is busy with meanwhile meets both.

use std::fs::File;
use std::io;
use std::path::Path;

use measure::{Comparison, CpuTime, Latencies, Server, Turn};
use rustix::fs::syncfs;

use super::append::blocking;
use super::load::{Bound, Work};
use super::report::{Paced, Row};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// One side of a contest.
pub(super) trait Contender {
    /// Whose CPU time is counted.
    fn server(&self) -> Server;

    /// Gets ready for a turn; this is not measured.
    async fn prepare(&mut self) -> Result<(), Failure>;

    /// Takes away what the turn has left; this is not measured.
    async fn clean_up(&mut self) -> Result<(), Failure>;
}

/// One that can be driven to its limit.
pub(super) trait Saturate: Contender {
    /// Does as many records as the bound allows, as fast as it can, and says how many.
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure>;
}

/// One that answers record by record.
pub(super) trait Pace: Contender {
    /// Does one record whenever one is due, by the work's schedule, which begins when it is ready.
    async fn pace(&mut self) -> Result<Latencies, Failure>;
}

/// How often, and what is shown meanwhile.
pub(super) struct Rounds<'a> {
    pub(super) count: u32,
    /// What is being measured, for whoever watches.
    pub(super) label: &'a str,
    /// The file system that has nothing left to write back when a turn begins; `None` where both sides
    /// remove what they wrote after each turn, or the disk is kept busy anyhow.
    pub(super) settled: Option<&'a Path>,
}

impl Rounds<'_> {
    /// What one side left to be written back shall not hold up the other.
    async fn settle(&self) -> Result<(), Failure> {
        let Some(path) = self.settled.map(Path::to_owned) else { return Ok(()) };
        blocking(move || Ok(syncfs(File::open(path)?).map_err(io::Error::from)?)).await
    }
}

/// Lets both sides do the work at full speed and at one rate, and compares.
///
/// # Errors
///
/// One side fails, or Ctrl-C comes.
pub(super) async fn compare<O: Saturate + Pace, P: Saturate + Pace>(
    durability: &'static str,
    sides: (&mut O, &mut P),
    work: &Work,
    rounds: u32,
    output: &mut Output,
) -> Result<Row, Failure> {
    let (ours, plain) = sides;
    let rounds = Rounds { count: rounds, label: durability, settled: None };
    let turns = at_full_speed((&mut *ours, &mut *plain), work, &rounds, output).await?;
    let (mut ours_took, mut plain_took) = (Latencies::new(), Latencies::new());
    for (by_ours, by_plain) in at_one_rate((ours, plain), work, &rounds, output).await? {
        ours_took.add(&by_ours);
        plain_took.add(&by_plain);
    }
    let latency = Paced {
        records_per_second: work.rate(),
        ours: ours_took.percentiles(),
        plain: plain_took.percentiles(),
    };
    Ok(Row::new(durability, compared(&turns)?, latency))
}

/// Figures from rounds, of which there is one at least.
///
/// # Errors
///
/// There is none.
pub(super) fn compared(rounds: &[(Turn, Turn)]) -> Result<Comparison, Failure> {
    Comparison::of(rounds).ok_or_else(unmeasured)
}

pub(super) fn unmeasured() -> Failure {
    Failure::new(Exit::Other, "nothing was measured")
}

/// Turns of ours and of the other side, round by round.
///
/// # Errors
///
/// One side fails, or Ctrl-C comes.
pub(super) async fn at_full_speed(
    (ours, beside): (&mut impl Saturate, &mut impl Saturate),
    work: &Work,
    rounds: &Rounds<'_>,
    output: &mut Output,
) -> Result<Vec<(Turn, Turn)>, Failure> {
    let mut turns = Vec::new();
    for round in 1..=rounds.count {
        progress(output, rounds, "full speed", round);
        // Who goes first may find the disk busy with what the other left.
        turns.push(if round % 2 == 0 {
            let first = full_speed(ours, work, rounds).await?;
            (first, full_speed(beside, work, rounds).await?)
        } else {
            let first = full_speed(beside, work, rounds).await?;
            (full_speed(ours, work, rounds).await?, first)
        });
    }
    Ok(turns)
}

/// Latencies of ours and of the other side at the work's rate, round by round.
///
/// # Errors
///
/// One side fails, or Ctrl-C comes.
pub(super) async fn at_one_rate(
    (ours, beside): (&mut impl Pace, &mut impl Pace),
    work: &Work,
    rounds: &Rounds<'_>,
    output: &mut Output,
) -> Result<Vec<(Latencies, Latencies)>, Failure> {
    let mut latencies = Vec::new();
    for round in 1..=rounds.count {
        progress(output, rounds, "latency", round);
        latencies.push(if round % 2 == 0 {
            let first = paced(ours, work).await?;
            (first, paced(beside, work).await?)
        } else {
            let first = paced(beside, work).await?;
            (paced(ours, work).await?, first)
        });
    }
    Ok(latencies)
}

async fn full_speed(
    side: &mut impl Saturate,
    work: &Work,
    rounds: &Rounds<'_>,
) -> Result<Turn, Failure> {
    side.prepare().await?;
    let turn = async {
        rounds.settle().await?;
        measured(side, work).await
    };
    let turn = turn.await;
    // Whatever came of it: a running cluster keeps nothing of ours.
    let cleaned = side.clean_up().await;
    go_on(work)?;
    first_of(turn, cleaned)
}

/// What was measured, if nothing failed; or what failed first, which the rest may be due to.
pub(super) fn first_of<T>(
    measured: Result<T, Failure>,
    cleaned: Result<(), Failure>,
) -> Result<T, Failure> {
    measured.and_then(|measured| cleaned.map(|()| measured))
}

async fn measured(side: &mut impl Saturate, work: &Work) -> Result<Turn, Failure> {
    let cpu = CpuTime::read(&side.server())?;
    let start = work.clock().monotonic();
    let records = side.saturate(work.bound()).await?;
    let took = work.clock().monotonic().saturating_sub(start);
    let cpu = CpuTime::read(&side.server())? - cpu;
    Ok(Turn { records, bytes: records * work.value.len() as u64, took, cpu })
}

async fn paced(side: &mut impl Pace, work: &Work) -> Result<Latencies, Failure> {
    side.prepare().await?;
    let latencies = side.pace().await;
    let cleaned = side.clean_up().await;
    go_on(work)?;
    first_of(latencies, cleaned)
}

fn go_on(work: &Work) -> Result<(), Failure> {
    if work.is_interrupted() { Err(Failure::Told(Exit::Interrupted)) } else { Ok(()) }
}

fn progress(output: &mut Output, rounds: &Rounds<'_>, what: &str, round: u32) {
    if output.is_watched() {
        output.note(&format!("{}: {what}, round {round} of {}", rounds.label, rounds.count));
    }
}
