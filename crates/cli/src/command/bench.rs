//! `dohle bench`: how fast it is here, beside the plainest thing that does the same.
//!
//! A figure by itself says more about the machine than about the software. So each is taken by
//! turns with a plain program at the same task ([`plain`], [`raw`], [`group`]), and the result is
//! the ratio within a round. [`contest`] holds the turns, [`load`] what both are given, [`suite`]
//! the rows that have a gate; the crate `measure` has the arithmetic.

mod append;
mod consume;
mod contest;
mod dirt;
mod durable;
mod echo;
mod group;
mod load;
mod logs;
mod partitions;
mod plain;
mod produce;
mod program;
mod raw;
mod report;
mod stage;
mod suite;
mod topic;

use types::Durability;

use self::append::{Appending, AppendingPlainly, SinkSpec};
use self::consume::{Consuming, ConsumingPlainly};
use self::contest::compare;
use self::load::{Shape, Work};
use self::produce::{Producing, ProducingPlainly};
use self::report::Report;
use self::stage::{Folder, Stage};
use crate::args::bench::{Appended, DurabilityArg, Load, Networked, Verb};
use crate::exit::Failure;
use crate::output::Output;
use crate::session::Session;

const PLAIN_FILE: &str = "the same bytes appended to files; where ours syncs, with fdatasync of the \
                          one file, or of one more that takes the bytes of all";
const PLAIN_COPY: &str = "a TCP copy in tokio that checks the same CRC32C, appends to a file (with \
                          fdatasync where ours syncs) and acknowledges";
const PLAIN_READ: &str = "a TCP server in tokio that reads its file into the socket; for latency, \
                          what the plain producer has just appended to it";

/// Measures, and shows both sides.
///
/// # Errors
///
/// The directory cannot be written to, the cluster cannot be reached, something is below its gate,
/// or Ctrl-C.
pub(crate) async fn run(verb: Verb, session: &Session, output: &mut Output) -> Result<(), Failure> {
    match verb {
        Verb::All(all) => suite::run(&all, session, output).await,
        Verb::Append(appended) => append(&appended, session, output).await,
        Verb::Produce(over) => produce(&over, session, output).await,
        Verb::Consume(over) => consume(&over, session, output).await,
        Verb::Partitions(many) => partitions::run(&many, session, output).await,
    }
}

async fn append(
    appended: &Appended,
    session: &Session,
    output: &mut Output,
) -> Result<(), Failure> {
    let load = &appended.load;
    let (mut report, work, folder) = begin("append", PLAIN_FILE, load, session, output)?;
    for durability in durabilities(load, &[DurabilityArg::PageCache, DurabilityArg::Fsync]) {
        let spec = SinkSpec {
            folder: folder.path().to_owned(),
            partitions: appended.partitions,
            durability,
        };
        let mut ours = Appending::new(work.clone(), spec.clone());
        let mut plain = AppendingPlainly::new(work.clone(), spec);
        let sides = (&mut ours, &mut plain);
        report.rows.push(compare(name(durability), sides, &work, load.rounds, output).await?);
        ours.end().await?;
        plain.end().await?;
    }
    Ok(output.show(&report)?)
}

async fn produce(over: &Networked, session: &Session, output: &mut Output) -> Result<(), Failure> {
    let load = &over.load;
    let (mut report, work, folder) = begin("produce", PLAIN_COPY, load, session, output)?;
    let stage = Stage::new(&over.cluster, session, &folder).await?;
    let measuring = async {
        for durability in durabilities(load, &[DurabilityArg::PageCache, DurabilityArg::Fsync]) {
            let mut ours = Producing::new(work.clone(), &stage, durability);
            let mut plain = ProducingPlainly::new(work.clone(), &stage, durability);
            let sides = (&mut ours, &mut plain);
            report.rows.push(compare(name(durability), sides, &work, load.rounds, output).await?);
        }
        Ok(())
    };
    let measured: Result<(), Failure> = measuring.await;
    measured.and(stage.end().await)?;
    Ok(output.show(&report)?)
}

async fn consume(over: &Networked, session: &Session, output: &mut Output) -> Result<(), Failure> {
    let load = &over.load;
    let (mut report, work, folder) = begin("consume", PLAIN_READ, load, session, output)?;
    let stage = Stage::new(&over.cluster, session, &folder).await?;
    let measuring = async {
        for durability in durabilities(load, &[DurabilityArg::PageCache]) {
            let mut ours = Consuming::new(work.clone(), &stage, durability).await?;
            let mut plain = ConsumingPlainly::new(work.clone(), &stage, durability).await?;
            let sides = (&mut ours, &mut plain);
            let row = compare(name(durability), sides, &work, load.rounds, output).await;
            // Topics of a running cluster are not left behind, whatever came in between.
            let removed = ours.end().await;
            report.rows.push(row?);
            removed?;
        }
        Ok(())
    };
    let measured: Result<(), Failure> = measuring.await;
    measured.and(stage.end().await)?;
    Ok(output.show(&report)?)
}

/// What every bench begins with.
fn begin(
    bench: &'static str,
    plain: &'static str,
    load: &Load,
    session: &Session,
    output: &mut Output,
) -> Result<(Report, Work, Folder), Failure> {
    output.note(&format!("plain: {plain}"));
    output.note(RATIO);
    let work = Work::new(Shape::from(load), session.clock, session.interrupted.clone())?;
    let report = Report {
        bench,
        plain,
        rounds: load.rounds,
        turn_seconds: load.seconds,
        value_bytes: load.size,
        batch_bytes: load.batch_bytes,
        rows: Vec::new(),
    };
    Ok((report, work, Folder::new(&load.dir)?))
}

const RATIO: &str =
    "ratio: ours over plain, in the same round; MB and GB: 10^6 and 10^9 bytes of values";

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
