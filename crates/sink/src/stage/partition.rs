use std::collections::BTreeMap;
use std::sync::Arc;

use lake::avro::unframe;
use lake::commit::{CommittedFile, PartitionCommit};
use lake::plan::PartitionPlan;
use record::Record;
use tokio::time::timeout;
use types::{Offset, SchemaId, TopicPartition};

use super::files::{Files, Slot, quarantine_schema};
use super::{Stage, TombstonePolicy};
use crate::error::RunError;
use crate::quarantine::{self, QuarantineReason, Refusal};
use crate::schemas::Writer;
use crate::source::{RecordReader, RecordSource, SchemaSource};
use crate::store::FileStore;

/// Confluent's serialisers can put the schema's id here instead of into the payload.
const SCHEMA_ID_HEADER: &[u8] = b"__value_schema_id";

/// What became of one partition's range.
#[derive(Debug)]
pub(crate) struct StagedPartition {
    pub(crate) moved: PartitionCommit,
    pub(crate) files: Vec<CommittedFile>,
    pub(crate) refused: BTreeMap<QuarantineReason, u64>,
    /// Time ran out before the end of the plan.
    pub(crate) cut_short: bool,
}

struct Staging<S: FileStore, C> {
    stage: Arc<Stage<S, C>>,
    partition: TopicPartition,
    files: Files<S, C>,
    /// Schemas by id: what the run's cache knows, without its lock.
    writers: BTreeMap<SchemaId, Arc<Writer>>,
    quarantine_schema: Arc<str>,
    quarantine_row: Vec<u8>,
    moved: PartitionCommit,
    refused: BTreeMap<QuarantineReason, u64>,
}

/// A record's fate.
enum Verdict<'a> {
    Row { slot: Slot, schema: Arc<str>, datum: &'a [u8] },
    LeftOut,
    Refused(Refusal),
}

/// Reads one partition's range into closed files in staging.
pub(crate) async fn stage_partition<S, R, C>(
    stage: Arc<Stage<S, C>>,
    source: R,
    plan: PartitionPlan,
) -> Result<StagedPartition, RunError>
where
    S: FileStore,
    R: RecordSource,
    C: SchemaSource,
{
    let PartitionPlan { partition, from, to, gap } = plan;
    let partition = TopicPartition::new(stage.paths.topic().clone(), partition);
    let files = Files::new(Arc::clone(&stage), partition.clone());
    let moved = PartitionCommit {
        partition: partition.partition,
        from,
        to,
        gap,
        rows: 0,
        quarantined: 0,
        tombstones: 0,
        holes: 0,
    };
    let mut staging = Staging {
        stage,
        partition,
        files,
        writers: BTreeMap::new(),
        quarantine_schema: quarantine_schema(),
        quarantine_row: Vec::new(),
        moved,
        refused: BTreeMap::new(),
    };
    let cut_short = if from < to { staging.read(&source).await? } else { false };
    let Staging { files, mut moved, refused, .. } = staging;
    // What the reader neither yielded nor can ever yield.
    moved.holes = moved.offsets().saturating_sub(moved.accounted());
    Ok(StagedPartition { moved, files: files.end().await?, refused, cut_short })
}

impl<S: FileStore, C: SchemaSource> Staging<S, C> {
    /// Reads to the end of the range, or until time runs out: then returns true, and the range ends
    /// where reading did.
    async fn read<R: RecordSource>(&mut self, source: &R) -> Result<bool, RunError> {
        let PartitionCommit { from, to, .. } = self.moved;
        let stop = self.stage.stop.clone();
        let mut reader = source.read(&self.partition, from, to).await?;
        let mut next = from;
        loop {
            let left = self.stage.read_until.checked_sub(self.stage.clock.monotonic());
            let Some(left) = left.filter(|left| !left.is_zero()) else {
                return Ok(self.cut_short(next));
            };
            let batch = tokio::select! {
                () = stop.cancelled() => return Err(RunError::Interrupted),
                batch = timeout(left, reader.next()) => batch,
            };
            let Ok(batch) = batch else {
                // It brought neither records nor an end. That must not hold the others up.
                return Ok(self.cut_short(next));
            };
            let Some(records) = batch? else { break };
            for record in &records {
                next = self.check(next, to, record)?;
                self.land(record).await?;
            }
            self.stage.progress.advance(u64::try_from(records.len()).unwrap_or(u64::MAX));
        }
        Ok(false)
    }

    /// Ends the range before its end, if `next` is.
    fn cut_short(&mut self, next: Offset) -> bool {
        let planned = std::mem::replace(&mut self.moved.to, next);
        next < planned
    }

    /// The lowest offset that may follow `record`, if `record` itself may come now.
    fn check(&self, expected: Offset, to: Offset, record: &Record) -> Result<Offset, RunError> {
        let found = record.offset;
        let after = found.checked_add(1).filter(|_| expected <= found && found < to);
        let partition = self.partition.clone();
        after.ok_or(RunError::Contradiction { partition, expected, to, found })
    }

    async fn land(&mut self, record: &Record) -> Result<(), RunError> {
        match self.judge(record).await? {
            Verdict::Row { slot, schema, datum } => {
                self.moved.rows += 1;
                self.files.push(slot, &schema, record.offset, datum).await
            }
            Verdict::LeftOut => {
                self.moved.tombstones += 1;
                Ok(())
            }
            Verdict::Refused(refusal) => {
                self.moved.quarantined += 1;
                *self.refused.entry(refusal.reason).or_default() += 1;
                self.quarantine_row.clear();
                let row = &mut self.quarantine_row;
                quarantine::encode(&self.partition, record, &refusal, row);
                let schema = &self.quarantine_schema;
                self.files.push(Slot::Quarantine, schema, record.offset, row).await
            }
        }
    }

    async fn judge<'a>(&mut self, record: &'a Record) -> Result<Verdict<'a>, RunError> {
        let refused = |refusal| Ok(Verdict::Refused(refusal));
        let refusal = |reason, detail, schema| Refusal { reason, detail, schema };
        let Some(payload) = record.value.as_deref() else {
            return match self.stage.tombstones {
                TombstonePolicy::Skip => Ok(Verdict::LeftOut),
                TombstonePolicy::Quarantine => {
                    let detail = "the record has no value".to_owned();
                    refused(refusal(QuarantineReason::Tombstone, detail, None))
                }
            };
        };
        if record.headers.iter().any(|header| header.key == SCHEMA_ID_HEADER) {
            let detail =
                "the header __value_schema_id names the schema; only ids in the payload are read";
            return refused(refusal(QuarantineReason::SchemaInHeader, detail.to_owned(), None));
        }
        let (id, datum) = match unframe(payload) {
            Ok(parts) => parts,
            Err(why) => return refused(Refusal::framing(why)),
        };
        let writer = self.writer(id).await?;
        let schema = match &*writer {
            Writer::Known(schema) => schema,
            Writer::Unknown => {
                let detail = format!("schema {id} is not registered");
                return refused(refusal(QuarantineReason::UnknownSchema, detail, Some(id)));
            }
            Writer::Unreadable(why) => {
                let reason = QuarantineReason::UnreadableSchema;
                return refused(refusal(reason, why.clone(), Some(id)));
            }
        };
        let partitioner = &self.stage.partitioner;
        let field = match schema.shape.walk(datum, partitioner.field()) {
            Ok(field) => field,
            Err(why) => return refused(Refusal::datum(id, why)),
        };
        match partitioner.bucket(record.timestamp, &field) {
            Ok(bucket) => {
                let (slot, schema) = (Slot::Data(bucket, id), Arc::clone(&schema.text));
                Ok(Verdict::Row { slot, schema, datum })
            }
            Err(why) => refused(Refusal::undated(id, partitioner.field(), &why)),
        }
    }

    async fn writer(&mut self, id: SchemaId) -> Result<Arc<Writer>, RunError> {
        if let Some(writer) = self.writers.get(&id) {
            return Ok(Arc::clone(writer));
        }
        let writer = self.stage.schemas.get(id).await?;
        self.writers.insert(id, Arc::clone(&writer));
        Ok(writer)
    }
}
