use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lake::avro::{BlockEncoder, SyncMarker};
use lake::commit::CommittedFile;
use lake::partitioner::Bucket;
use lake::{FileIdentity, FileKind, LakePath};
use tokio::task::{JoinError, JoinSet};
use types::{Offset, SchemaId, TopicPartition};

use super::Stage;
use super::row_file::{HeaderText, RowFile};
use crate::error::RunError;
use crate::quarantine;
use crate::store::{FileStore, FileWriter, Operation, StoreError};

/// What a file in the making takes beside its bytes, and what its place in the commit will: so
/// that a great many tiny files count too.
const FILE_OVERHEAD: usize = 1024;

/// Where a row goes: one file at a time for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    /// The partition's quarantine.
    Quarantine,
    /// A bucket's file of one writer schema. Payloads of two versions that take turns fill two
    /// files side by side, instead of ending a file at every turn.
    Data(Bucket, SchemaId),
}

/// The files of one partition, within a budget of memory and of open files.
///
/// A file is held in memory until it is complete and then written at once, so thousands of small
/// ones take no file handle each. When memory runs short the largest go first: some are opened and
/// written as they grow, and beyond the allowed number of open files they end where they are, and
/// later rows begin another.
pub(super) struct Files<S: FileStore, C> {
    stage: Arc<Stage<S, C>>,
    partition: TopicPartition,
    encoder: BlockEncoder,
    growing: BTreeMap<Slot, Growing<S::Writer>>,
    memory: usize,
    open: usize,
    made: u64,
    closing: JoinSet<Result<CommittedFile, StoreError>>,
    closed: Vec<CommittedFile>,
}

struct Growing<W> {
    file: RowFile,
    schema: Arc<str>,
    writer: Option<W>,
}

impl<S: FileStore, C: Send + Sync + 'static> Files<S, C> {
    pub(super) fn new(stage: Arc<Stage<S, C>>, partition: TopicPartition) -> Self {
        let encoder = BlockEncoder::new(stage.files.codec);
        Self {
            stage,
            partition,
            encoder,
            growing: BTreeMap::new(),
            memory: 0,
            open: 0,
            made: 0,
            closing: JoinSet::new(),
            closed: Vec::new(),
        }
    }

    /// Appends a row.
    pub(super) async fn push(
        &mut self,
        slot: Slot,
        schema: &Arc<str>,
        offset: Offset,
        datum: &[u8],
    ) -> Result<(), RunError> {
        let settings = self.stage.files;
        if !self.growing.contains_key(&slot) {
            let file = self.begin(slot, offset)?;
            let growing = Growing { file, schema: Arc::clone(schema), writer: None };
            self.growing.insert(slot, growing);
            self.memory += FILE_OVERHEAD;
        }
        let Some(growing) = self.growing.get_mut(&slot) else { return Ok(()) };
        growing.file.push(offset, datum);
        self.memory += datum.len();
        if settings.block_bytes <= growing.file.open_bytes() {
            self.close_block(slot);
        }
        if self.growing.get(&slot).is_some_and(|it| settings.file_bytes <= it.file.len) {
            self.finish(slot).await?;
        }
        if settings.memory_bytes < self.memory {
            self.relieve().await?;
        }
        Ok(())
    }

    /// Ends every file and waits until all are closed.
    pub(super) async fn end(mut self) -> Result<Vec<CommittedFile>, RunError> {
        let slots: Vec<Slot> = self.growing.keys().copied().collect();
        for slot in slots {
            self.finish(slot).await?;
        }
        while let Some(closed) = self.closing.join_next().await {
            self.closed.push(joined(closed, &self.stage.directory)?);
        }
        self.closed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self.closed)
    }

    fn begin(&mut self, slot: Slot, first: Offset) -> Result<RowFile, RunError> {
        self.made += 1;
        let name = format!("{}-{:06}.avro", self.partition.partition, self.made);
        let stage = LakePath::new(&name).map_err(|source| RunError::ReservedTopic { source })?;
        let kind = match slot {
            Slot::Quarantine => FileKind::Quarantine,
            Slot::Data(_, schema) => FileKind::Data(schema),
        };
        let unique = format!("{}/{}/{name}", self.partition.topic, self.stage.run_id);
        Ok(RowFile::new(stage, kind, first, SyncMarker::of_file(&unique)))
    }

    fn close_block(&mut self, slot: Slot) {
        let Some(Growing { file, schema, .. }) = self.growing.get_mut(&slot) else { return };
        let before = file.memory();
        let mut metadata = vec![
            ("dohle.topic", self.partition.topic.to_string()),
            ("dohle.topic.id", self.stage.topic_id.to_string()),
            ("dohle.partition", self.partition.partition.to_string()),
            ("dohle.first.offset", file.first.to_string()),
            ("dohle.run.id", self.stage.run_id.to_string()),
            ("dohle.writer", concat!("dohle-sink ", env!("CARGO_PKG_VERSION")).to_owned()),
        ];
        if let FileKind::Data(schema) = file.kind {
            metadata.push(("dohle.schema.id", schema.to_string()));
        }
        let header = HeaderText { schema, metadata: &metadata };
        file.close_block(&mut self.encoder, &header);
        self.memory = (self.memory + file.memory()).saturating_sub(before);
    }

    /// Frees half of the memory budget, the largest files first.
    async fn relieve(&mut self) -> Result<(), RunError> {
        let mut largest: Vec<(Reverse<usize>, Slot)> =
            self.growing.iter().map(|(slot, it)| (Reverse(it.file.memory()), *slot)).collect();
        largest.sort_unstable();
        for (_, slot) in largest {
            if self.memory <= self.stage.files.memory_bytes / 2 {
                break;
            }
            self.close_block(slot);
            let is_open = self.growing.get(&slot).is_some_and(|it| it.writer.is_some());
            if is_open || self.open < self.stage.files.open_files {
                self.write_out(slot).await?;
            } else {
                self.finish(slot).await?;
            }
        }
        Ok(())
    }

    /// Writes what there is of a file, and keeps it open.
    async fn write_out(&mut self, slot: Slot) -> Result<(), RunError> {
        let Some(growing) = self.growing.get_mut(&slot) else { return Ok(()) };
        let writer = match &mut growing.writer {
            Some(writer) => writer,
            vacant @ None => {
                let path = self.stage.directory.below(&growing.file.stage);
                self.open += 1;
                vacant.insert(self.stage.store.create(&path).await?)
            }
        };
        let bytes = growing.file.take_encoded();
        self.memory = self.memory.saturating_sub(bytes.len());
        writer.write(bytes).await?;
        Ok(())
    }

    /// Ends a file: its rest is written and closed by a task of its own.
    async fn finish(&mut self, slot: Slot) -> Result<(), RunError> {
        self.close_block(slot);
        let Some(Growing { mut file, writer, .. }) = self.growing.remove(&slot) else {
            return Ok(());
        };
        self.memory = self.memory.saturating_sub(file.memory() + FILE_OVERHEAD);
        self.open -= usize::from(writer.is_some());
        let bytes = file.take_encoded();
        let committed = self.committed(slot, &file);
        let stage = Arc::clone(&self.stage);
        // Waiting here bounds the memory and the handles of files that are on their way out.
        let permit = Arc::clone(&stage.writes).acquire_owned().await;
        while let Some(closed) = self.closing.try_join_next() {
            self.closed.push(joined(closed, &stage.directory)?);
        }
        self.closing.spawn(async move {
            let _held_until_closed = permit;
            match writer {
                Some(writer) => {
                    close(writer, bytes).await?;
                    Ok(committed)
                }
                None => write_whole(&stage.store, &stage.directory, committed, bytes).await,
            }
        });
        Ok(())
    }

    fn committed(&self, slot: Slot, file: &RowFile) -> CommittedFile {
        let paths = &self.stage.paths;
        let name = paths.file_name(&FileIdentity {
            topic_id: self.stage.topic_id,
            partition: self.partition.partition,
            first: file.first,
            last: file.last,
            rows: file.rows,
            kind: file.kind,
        });
        let directory = match slot {
            Slot::Quarantine => paths.quarantine().clone(),
            Slot::Data(bucket, _) => paths.data().below(&self.stage.partitioner.directory(bucket)),
        };
        CommittedFile {
            stage: file.stage.clone(),
            path: directory.below(&name),
            len: file.len,
            rows: file.rows,
            sha256: file.sha256(),
            partition: self.partition.partition,
            first: file.first,
            last: file.last,
            kind: file.kind,
        }
    }
}

async fn close<W: FileWriter>(mut writer: W, rest: Bytes) -> Result<(), StoreError> {
    if !rest.is_empty() {
        writer.write(rest).await?;
    }
    writer.close().await
}

/// Writes a file that is in memory as a whole, under another name if the first gets no answer, or
/// none that helps: a file whose close is in doubt is worth nothing.
async fn write_whole<S: FileStore>(
    store: &S,
    directory: &LakePath,
    mut file: CommittedFile,
    bytes: Bytes,
) -> Result<CommittedFile, StoreError> {
    const TRIES: u32 = 4;
    let name = file.stage.clone();
    let mut tries = 0;
    loop {
        tries += 1;
        let path = directory.below(&file.stage);
        let written = crate::commit_log::write_file(store, &path, bytes.clone()).await;
        match written {
            Ok(()) => return Ok(file),
            Err(StoreError::Unknown { .. }) if tries < TRIES => {}
            // A storage node may be back in some seconds.
            Err(StoreError::Unavailable { .. }) if tries < TRIES => {
                tokio::time::sleep(Duration::from_secs(1 << tries)).await;
            }
            Err(error) => return Err(error),
        }
        file.stage = LakePath::new(&format!("{name}.{tries}")).unwrap_or(name.clone());
    }
}

fn joined(
    result: Result<Result<CommittedFile, StoreError>, JoinError>,
    directory: &LakePath,
) -> Result<CommittedFile, RunError> {
    match result {
        Ok(closed) => Ok(closed?),
        Err(source) => {
            let path = directory.clone();
            let operation = Operation::Write;
            Err(StoreError::Failed { operation, path, source: Box::new(source) }.into())
        }
    }
}

/// The schema of quarantine files.
pub(super) fn quarantine_schema() -> Arc<str> {
    Arc::from(quarantine::SCHEMA)
}
