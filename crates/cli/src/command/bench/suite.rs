//! `dohle bench all`: every row that has a gate, beside its baseline, and whether it passes.

mod report;
mod rows;

use std::path::Path;

use measure::{Comparison, Latencies, Unit};
use types::Durability;

use self::report::SuiteReport;
use self::rows::{
    DiskLoad, FULL_BATCH, GROUP_BATCH, Kind, LATENCY_RECORD, Row, SMALL_BATCH, Until, chosen,
};
use super::append::{Appending, AppendingPlainly, SinkSpec};
use super::consume::{Consuming, ConsumingPlainly, filled};
use super::contest::{
    Pace, Rounds, Saturate, at_full_speed, at_one_rate, compared, first_of, unmeasured,
};
use super::dirt::Dirt;
use super::durable::{Clients, Durable, Waiting};
use super::echo::Echoing;
use super::group::RawGroup;
use super::load::{Shape, Work};
use super::produce::{Producing, ProducingPlainly};
use super::stage::{Folder, Stage};
use super::topic::Topic;
use crate::args::bench::{All, Cluster};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::Session;

/// Measures, shows, and fails if a row is below its gate.
///
/// # Errors
///
/// No row has such a name, one cannot be measured, one is below its gate, or Ctrl-C. What was
/// measured until then is shown.
pub(super) async fn run(all: &All, session: &Session, output: &mut Output) -> Result<(), Failure> {
    let rows = chosen(&all.rows).map_err(|unknown| {
        Failure::usage(format!("no row's name begins with {unknown:?}")).next("bench all --quick")
    })?;
    let folder = Folder::new(&all.dir)?;
    let stage = Stage::new(&Cluster::default(), session, &folder).await?;
    let mut suite = Suite { all, session, folder: folder.path(), stage: &stage, output };
    let mut report = SuiteReport::new(all);
    let mut measured = Ok(());
    for row in rows {
        measured = suite.measure(&row, &mut report).await;
        if measured.is_err() {
            break;
        }
    }
    let ended = stage.end().await;
    if !report.rows.is_empty() {
        output.show(&report)?;
    }
    measured.and(ended)?;
    match report.below_gate().as_slice() {
        [] => Ok(()),
        below => Err(Failure::new(Exit::Other, format!("below its gate: {}", below.join(", ")))),
    }
}

/// What all rows share.
struct Suite<'a> {
    all: &'a All,
    session: &'a Session,
    folder: &'a Path,
    stage: &'a Stage,
    output: &'a mut Output,
}

impl<'a> Suite<'a> {
    async fn measure(&mut self, row: &Row, report: &mut SuiteReport) -> Result<(), Failure> {
        for task in row.tasks {
            self.output.note(&format!("{}: beside {}", task.name, task.beside));
        }
        match row.kind {
            Kind::Produce { batch_bytes } => {
                let compared = self.produce(row, batch_bytes).await?;
                report.add(row.tasks, Unit::Megabytes, &[compared]);
            }
            Kind::Fetch { batch_bytes } => {
                let compared = self.fetch(row, batch_bytes).await?;
                report.add(row.tasks, Unit::Megabytes, &[compared]);
            }
            Kind::Append { partitions, disk } => {
                let dirt = self.dirt(disk)?;
                let compared = self.append(row, partitions).await;
                report.add(row.tasks, Unit::Records, &[without(dirt, compared).await?]);
            }
            Kind::Durable { partitions, disk } => {
                let dirt = self.dirt(disk)?;
                let compared = self.durable(row, partitions).await;
                report.add(row.tasks, Unit::Records, &[without(dirt, compared).await?]);
            }
            Kind::Group { producers, of } => {
                let compared = self.group(row, producers, of).await?;
                report.add(row.tasks, Unit::Records, &[compared]);
            }
            Kind::Latency { until, durability } => {
                let rounds = self.latency(row, until, durability).await?;
                report.add_latencies(row.tasks, &rounds)?;
            }
            Kind::Full => {
                let compared = self.full(row).await?;
                report.add(row.tasks, Unit::Megabytes, &compared);
            }
        }
        Ok(())
    }

    fn work(&self, shape: Shape) -> Result<Work, Failure> {
        Work::new(shape, self.session.clock, self.session.interrupted.clone())
    }

    fn work_in_batches(&self, batch_bytes: u32) -> Result<Work, Failure> {
        self.work(Shape::of_batches(batch_bytes, self.all.turn())?)
    }

    async fn contest(
        &mut self,
        row: &Row,
        sides: (&mut impl Saturate, &mut impl Saturate),
        work: &Work,
    ) -> Result<Comparison, Failure> {
        let rounds =
            Rounds { count: self.all.rounds, label: row.label(), settled: self.settled(row.kind) };
        compared(&at_full_speed(sides, work, &rounds, self.output).await?)
    }

    /// What has nothing left to write back before a turn: where a sync is what is measured, unless
    /// the disk is kept busy.
    const fn settled(&self, kind: Kind) -> Option<&'a Path> {
        match kind {
            Kind::Append { disk: DiskLoad::Quiet, .. }
            | Kind::Durable { disk: DiskLoad::Quiet, .. }
            | Kind::Group { .. }
            | Kind::Full => Some(self.folder),
            Kind::Append { disk: DiskLoad::Busy, .. }
            | Kind::Durable { disk: DiskLoad::Busy, .. }
            | Kind::Produce { .. }
            | Kind::Fetch { .. }
            | Kind::Latency { .. } => None,
        }
    }

    async fn produce(&mut self, row: &Row, batch_bytes: u32) -> Result<Comparison, Failure> {
        let (stage, durability) = (self.stage, Durability::PageCache);
        let work = self.work_in_batches(batch_bytes)?;
        let mut ours = Producing::new(work.clone(), stage, durability);
        let mut beside = ProducingPlainly::new(work.clone(), stage, durability);
        self.contest(row, (&mut ours, &mut beside), &work).await
    }

    async fn fetch(&mut self, row: &Row, batch_bytes: u32) -> Result<Comparison, Failure> {
        let (stage, durability) = (self.stage, Durability::PageCache);
        let work = self.work_in_batches(batch_bytes)?;
        let mut ours = Consuming::new(work.clone(), stage, durability).await?;
        let mut beside = ConsumingPlainly::new(work.clone(), stage, durability).await?;
        let compared = self.contest(row, (&mut ours, &mut beside), &work).await;
        let ended = ours.end().await;
        first_of(compared, ended)
    }

    fn dirt(&self, disk: DiskLoad) -> Result<Option<Dirt>, Failure> {
        match disk {
            DiskLoad::Quiet => Ok(None),
            DiskLoad::Busy => Dirt::begin(self.folder).map(Some),
        }
    }

    async fn append(&mut self, row: &Row, partitions: u32) -> Result<Comparison, Failure> {
        let work = self.work_in_batches(SMALL_BATCH)?;
        let mut ours = Appending::new(work.clone(), self.spec(partitions));
        let mut beside = AppendingPlainly::new(work.clone(), self.spec(partitions));
        let compared = self.contest(row, (&mut ours, &mut beside), &work).await;
        let ended = ours.end().await.and(beside.end().await);
        first_of(compared, ended)
    }

    async fn durable(&mut self, row: &Row, partitions: u32) -> Result<Comparison, Failure> {
        let work = self.work_in_batches(SMALL_BATCH)?;
        let mut beside = AppendingPlainly::lasting(work.clone(), self.spec(partitions));
        let waiting = Waiting::Partitions(partitions);
        let mut ours = Durable::new(work.clone(), self.stage, waiting).await?;
        let compared = self.contest(row, (&mut ours, &mut beside), &work).await;
        let ended = ours.end().await.and(beside.end().await);
        first_of(compared, ended)
    }

    fn spec(&self, partitions: u32) -> SinkSpec {
        SinkSpec { folder: self.folder.to_owned(), partitions, durability: Durability::Fsync }
    }

    async fn group(
        &mut self,
        row: &Row,
        producers: u32,
        of: Clients,
    ) -> Result<Comparison, Failure> {
        let work = self.work_in_batches(GROUP_BATCH)?;
        let mut beside = RawGroup::new(work.clone(), self.folder, producers)?;
        let waiting = Waiting::Producers { count: producers, of };
        let mut ours = Durable::new(work.clone(), self.stage, waiting).await?;
        let compared = self.contest(row, (&mut ours, &mut beside), &work).await;
        let ended = ours.end().await.and(beside.end());
        first_of(compared, ended)
    }

    async fn latency(
        &mut self,
        row: &Row,
        until: Until,
        durability: Durability,
    ) -> Result<Vec<(Latencies, Latencies)>, Failure> {
        let stage = self.stage;
        let work = self.work(Shape::of_records(LATENCY_RECORD, 2 * self.all.turn()))?;
        let mut beside = Echoing::new(work.clone(), stage, durability);
        match until {
            Until::Acknowledged => {
                let mut ours = Producing::new(work.clone(), stage, durability);
                self.answers(row, (&mut ours, &mut beside), &work).await
            }
            Until::Consumed => {
                let mut ours = Consuming::from_empty(work.clone(), stage, durability).await?;
                let rounds = self.answers(row, (&mut ours, &mut beside), &work).await;
                let ended = ours.end().await;
                first_of(rounds, ended)
            }
        }
    }

    async fn full(&mut self, row: &Row) -> Result<[Comparison; 2], Failure> {
        let stage = self.stage;
        let work = self.work_in_batches(FULL_BATCH)?;
        let records = self.all.data() / work.value.len() as u64;
        let full = filled(work.clone(), stage, Durability::PageCache, records).await?;
        let compared = self.full_beside_empty(row, &full, &work).await;
        let removed = stage.remove(full).await;
        first_of(compared, removed)
    }

    async fn full_beside_empty(
        &mut self,
        row: &Row,
        full: &Topic,
        work: &Work,
    ) -> Result<[Comparison; 2], Failure> {
        let (stage, durability) = (self.stage, Durability::PageCache);
        let mut much = Consuming::end_of(full.clone(), work.clone(), stage).await?;
        let mut little = Consuming::new(work.clone(), stage, durability).await?;
        let fetched = self.fetch_both(row, (&mut much, &mut little), work).await;
        let ended = little.end().await;
        let fetched = first_of(fetched, ended)?;
        let mut much = Producing::behind(full.clone(), work.clone(), stage);
        let mut none = Producing::keeping(work.clone(), stage, durability);
        let produced = self.contest(row, (&mut much, &mut none), work).await;
        let ended = none.end().await;
        Ok([first_of(produced, ended)?, fetched])
    }

    /// Once to have both in the page cache, and then to measure.
    async fn fetch_both(
        &mut self,
        row: &Row,
        (much, little): (&mut Consuming<'_>, &mut Consuming<'_>),
        work: &Work,
    ) -> Result<Comparison, Failure> {
        let warm_up = Rounds { count: 1, label: row.label(), settled: None };
        at_full_speed((&mut *much, &mut *little), work, &warm_up, self.output).await?;
        self.contest(row, (much, little), work).await
    }

    async fn answers(
        &mut self,
        row: &Row,
        sides: (&mut impl Pace, &mut impl Pace),
        work: &Work,
    ) -> Result<Vec<(Latencies, Latencies)>, Failure> {
        let rounds = Rounds { count: self.all.rounds, label: row.label(), settled: None };
        let rounds = at_one_rate(sides, work, &rounds, self.output).await?;
        if rounds.is_empty() { Err(unmeasured()) } else { Ok(rounds) }
    }
}

/// Ends whoever dirtied the disk. If that one had ended before, nothing was measured.
async fn without<T>(dirt: Option<Dirt>, measured: Result<T, Failure>) -> Result<T, Failure> {
    if let Some(dirt) = dirt {
        let ended = dirt.end().await;
        return first_of(measured, ended);
    }
    measured
}
