//! `dohle bench`: how fast it is here, beside the plainest thing that does the same.
//!
//! A figure by itself says more about the machine than about the software. So each is taken by
//! turns with a plain program at the same task ([`plain`]), and the result is the ratio within a
//! round. [`contest`] holds the turns, [`load`] what both are given, [`report`] the arithmetic.

mod append;
mod consume;
mod contest;
mod cpu;
mod latency;
mod load;
mod plain;
mod produce;
mod report;
mod stage;
mod topic;

use types::Durability;

use self::append::{Appending, AppendingPlainly};
use self::consume::{Consuming, ConsumingPlainly};
use self::contest::compare;
use self::load::Work;
use self::produce::{Producing, ProducingPlainly};
use self::report::Report;
use self::stage::{Folder, Stage};
use crate::args::bench::{DurabilityArg, Load, Networked, Verb};
use crate::exit::Failure;
use crate::output::Output;
use crate::session::Session;

const PLAIN_FILE: &str = "the same bytes appended to a file, with fdatasync where ours syncs";
const PLAIN_COPY: &str = "a TCP copy in tokio that checks the same CRC32C, appends to a file (with \
                          fdatasync where ours syncs) and acknowledges";
const PLAIN_READ: &str = "a TCP server in tokio that reads its file into the socket; for latency, \
                          what the plain producer has just appended to it";

/// Measures, and shows both sides.
///
/// # Errors
///
/// The directory cannot be written to, the cluster cannot be reached, or Ctrl-C.
pub(crate) async fn run(verb: Verb, session: &Session, output: &mut Output) -> Result<(), Failure> {
    let (mut report, load) = match &verb {
        Verb::Append(load) => (empty("append", PLAIN_FILE, load), load),
        Verb::Produce(over) => (empty("produce", PLAIN_COPY, &over.load), &over.load),
        Verb::Consume(over) => (empty("consume", PLAIN_READ, &over.load), &over.load),
    };
    output.note(&format!("plain: {}", report.plain));
    output.note(
        "ratio: ours over plain, in the same round; MB and GB: 10^6 and 10^9 bytes of values",
    );
    let work = Work::new(load, session.clock, session.interrupted.clone())?;
    let folder = Folder::new(&load.dir)?;
    match &verb {
        Verb::Append(load) => append(load, &work, &folder, &mut report, output).await?,
        Verb::Produce(over) | Verb::Consume(over) => {
            let stage = Stage::new(over, session, &folder).await?;
            let measured = over_network(&verb, over, &work, &stage, (&mut report, output)).await;
            let ended = stage.end().await;
            measured.and(ended)?;
        }
    }
    Ok(output.show(&report)?)
}

async fn append(
    load: &Load,
    work: &Work,
    folder: &Folder,
    report: &mut Report,
    output: &mut Output,
) -> Result<(), Failure> {
    for durability in durabilities(load, &[DurabilityArg::PageCache, DurabilityArg::Fsync]) {
        let mut ours = Appending::new(work.clone(), folder.path(), durability);
        let mut plain = AppendingPlainly::new(work.clone(), folder.path(), durability);
        let sides = (&mut ours, &mut plain);
        report.rows.push(compare(name(durability), sides, work, load.rounds, output).await?);
    }
    Ok(())
}

async fn over_network(
    verb: &Verb,
    over: &Networked,
    work: &Work,
    stage: &Stage,
    (report, output): (&mut Report, &mut Output),
) -> Result<(), Failure> {
    let load = &over.load;
    if let Verb::Consume(_) = verb {
        for durability in durabilities(load, &[DurabilityArg::PageCache]) {
            let mut ours = Consuming::new(work.clone(), stage, durability).await?;
            let mut plain = ConsumingPlainly::new(work.clone(), stage, durability).await?;
            let sides = (&mut ours, &mut plain);
            let row = compare(name(durability), sides, work, load.rounds, output).await;
            // Topics of a running cluster are not left behind, whatever came in between.
            let removed = ours.end().await;
            report.rows.push(row?);
            removed?;
        }
        return Ok(());
    }
    for durability in durabilities(load, &[DurabilityArg::PageCache, DurabilityArg::Fsync]) {
        let mut ours = Producing::new(work.clone(), stage, durability);
        let mut plain = ProducingPlainly::new(work.clone(), stage, durability);
        let sides = (&mut ours, &mut plain);
        report.rows.push(compare(name(durability), sides, work, load.rounds, output).await?);
    }
    Ok(())
}

fn empty(bench: &'static str, plain: &'static str, load: &Load) -> Report {
    Report {
        bench,
        plain,
        rounds: load.rounds,
        turn_seconds: load.seconds,
        value_bytes: load.size,
        batch_bytes: load.batch_bytes,
        rows: Vec::new(),
    }
}

fn durabilities(load: &Load, otherwise: &[DurabilityArg]) -> Vec<Durability> {
    let asked = load.durability.as_ref().map_or(otherwise, std::slice::from_ref);
    let durability = |asked: &DurabilityArg| match asked {
        DurabilityArg::PageCache => Durability::PageCache,
        DurabilityArg::Fsync => Durability::Fsync,
    };
    asked.iter().map(durability).collect()
}

/// As topics are configured with.
const fn name(durability: Durability) -> &'static str {
    match durability {
        Durability::PageCache => "page-cache",
        Durability::Fsync => "fsync",
    }
}
