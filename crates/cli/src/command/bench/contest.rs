//! Two sides at one task, by turns: whatever the machine is busy with meanwhile meets both.

use super::cpu::{CpuTime, Server};
use super::latency::{Latencies, Schedule};
use super::load::{Bound, Work};
use super::report::{Paced, Row, Turn};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// One side of a contest.
pub(super) trait Contender {
    /// Whose CPU time is counted.
    fn server(&self) -> Server;

    /// Gets ready for a turn; this is not measured.
    async fn prepare(&mut self) -> Result<(), Failure>;

    /// Does as many records as the bound allows, as fast as it can, and says how many.
    async fn saturate(&mut self, bound: Bound) -> Result<u64, Failure>;

    /// Does one record whenever one is due.
    async fn pace(&mut self, schedule: Schedule) -> Result<Latencies, Failure>;

    /// Takes away what the turn has left; this is not measured.
    async fn clean_up(&mut self) -> Result<(), Failure>;
}

/// Lets both sides do the work, and compares.
///
/// # Errors
///
/// One side fails, or Ctrl-C comes.
pub(super) async fn compare(
    durability: &'static str,
    (ours, plain): (&mut impl Contender, &mut impl Contender),
    work: &Work,
    rounds: u32,
    output: &mut Output,
) -> Result<Row, Failure> {
    let mut turns = Vec::new();
    for round in 1..=rounds {
        progress(output, &format!("{durability}: full speed, round {round} of {rounds}"));
        // Who goes first may find the disk busy with what the other left.
        turns.push(if round % 2 == 0 {
            let first = full_speed(ours, work).await?;
            (first, full_speed(plain, work).await?)
        } else {
            let first = full_speed(plain, work).await?;
            (full_speed(ours, work).await?, first)
        });
    }
    let (mut ours_took, mut plain_took) = (Latencies::new(), Latencies::new());
    for round in 1..=rounds {
        progress(output, &format!("{durability}: latency, round {round} of {rounds}"));
        plain_took.add(&at_rate(plain, work).await?);
        ours_took.add(&at_rate(ours, work).await?);
    }
    let latency = Paced {
        records_per_second: work.schedule().rate,
        ours: ours_took.percentiles(),
        plain: plain_took.percentiles(),
    };
    Row::new(durability, &turns, latency)
        .ok_or_else(|| Failure::new(Exit::Other, "nothing was measured"))
}

async fn full_speed(side: &mut impl Contender, work: &Work) -> Result<Turn, Failure> {
    side.prepare().await?;
    let turn = measured(side, work).await;
    // Whatever came of it: a running cluster keeps nothing of ours.
    side.clean_up().await?;
    go_on(work)?;
    turn
}

async fn measured(side: &mut impl Contender, work: &Work) -> Result<Turn, Failure> {
    let cpu = CpuTime::read(&side.server())?;
    let start = work.clock().monotonic();
    let records = side.saturate(work.bound()).await?;
    let took = work.clock().monotonic().saturating_sub(start);
    let cpu = CpuTime::read(&side.server())? - cpu;
    Ok(Turn { records, bytes: records * work.value.len() as u64, took, cpu })
}

async fn at_rate(side: &mut impl Contender, work: &Work) -> Result<Latencies, Failure> {
    side.prepare().await?;
    let latencies = side.pace(work.schedule()).await;
    side.clean_up().await?;
    go_on(work)?;
    latencies
}

fn go_on(work: &Work) -> Result<(), Failure> {
    if work.is_interrupted() { Err(Failure::Told(Exit::Interrupted)) } else { Ok(()) }
}

fn progress(output: &mut Output, text: &str) {
    if output.is_watched() {
        output.note(text);
    }
}
