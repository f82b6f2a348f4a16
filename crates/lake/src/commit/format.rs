//! Version 1 of the commit record, as JSON.

use serde::{Deserialize, Serialize};
use types::{Offset, PartitionId, SchemaId, Timestamp, TopicId, TopicName};

use super::{CommitRecord, CommittedFile, Gap, InvalidRecord, PartitionCommit, Sha256Hash};
use crate::names::FileKind;
use crate::path::LakePath;
use crate::run_id::RunId;

const VERSION: u32 = 1;

/// Read first: what follows depends on it.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    topic: String,
    topic_id: String,
    seq: u64,
    run_id: String,
    committed_at_ms: i64,
    partitions: Vec<Moved>,
    positions: Vec<Position>,
    files: Vec<File>,
}

#[derive(Serialize, Deserialize)]
struct Moved {
    partition: u32,
    from: u64,
    to: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap: Option<Span>,
    rows: u64,
    quarantined: u64,
    tombstones: u64,
    holes: u64,
}

#[derive(Serialize, Deserialize)]
struct Span {
    from: u64,
    to: u64,
}

#[derive(Serialize, Deserialize)]
struct Position {
    partition: u32,
    next: u64,
}

#[derive(Serialize, Deserialize)]
struct File {
    stage: String,
    path: String,
    len: u64,
    rows: u64,
    sha256: String,
    partition: u32,
    first: u64,
    last: u64,
    /// Absent for quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema_id: Option<u32>,
}

pub(super) fn encode(record: &CommitRecord) -> Vec<u8> {
    let positions = record.positions.iter();
    let wire = Record {
        version: VERSION,
        topic: record.topic.to_string(),
        topic_id: record.topic_id.to_string(),
        seq: record.seq,
        run_id: record.run_id.to_string(),
        committed_at_ms: record.committed_at.as_millis(),
        partitions: record.partitions.iter().map(partition).collect(),
        positions: positions
            .map(|(partition, next)| Position { partition: partition.get(), next: next.get() })
            .collect(),
        files: record.files.iter().map(file).collect(),
    };
    #[expect(clippy::expect_used, reason = "numbers and texts always have a JSON form")]
    let mut bytes = serde_json::to_vec(&wire).expect("a record is representable");
    bytes.push(b'\n');
    bytes
}

fn partition(moved: &PartitionCommit) -> Moved {
    Moved {
        partition: moved.partition.get(),
        from: moved.from.get(),
        to: moved.to.get(),
        gap: moved.gap.map(|gap| Span { from: gap.from.get(), to: gap.to.get() }),
        rows: moved.rows,
        quarantined: moved.quarantined,
        tombstones: moved.tombstones,
        holes: moved.holes,
    }
}

fn file(file: &CommittedFile) -> File {
    File {
        stage: file.stage.as_str().to_owned(),
        path: file.path.as_str().to_owned(),
        len: file.len,
        rows: file.rows,
        sha256: file.sha256.to_string(),
        partition: file.partition.get(),
        first: file.first.get(),
        last: file.last.get(),
        schema_id: match file.kind {
            FileKind::Data(schema) => Some(schema.get()),
            FileKind::Quarantine => None,
        },
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<CommitRecord, InvalidRecord> {
    let malformed = |source| InvalidRecord::Malformed { source };
    let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
    if version != VERSION {
        return Err(InvalidRecord::Version { found: version });
    }
    let wire: Record = serde_json::from_slice(bytes).map_err(malformed)?;
    let positions = wire.positions.iter();
    Ok(CommitRecord {
        topic: TopicName::new(&wire.topic).map_err(|_broken| field("topic", &wire.topic))?,
        topic_id: TopicId::parse(&wire.topic_id)
            .ok_or_else(|| field("topic_id", &wire.topic_id))?,
        seq: wire.seq,
        run_id: RunId::parse(&wire.run_id).map_err(|_broken| field("run_id", &wire.run_id))?,
        committed_at: Timestamp::from_millis(wire.committed_at_ms),
        partitions: wire.partitions.iter().map(read_partition).collect(),
        positions: positions
            .map(|at| (PartitionId::new(at.partition), Offset::new(at.next)))
            .collect(),
        files: wire.files.iter().map(read_file).collect::<Result<_, _>>()?,
    })
}

fn read_partition(wire: &Moved) -> PartitionCommit {
    let gap = wire.gap.as_ref();
    PartitionCommit {
        partition: PartitionId::new(wire.partition),
        from: Offset::new(wire.from),
        to: Offset::new(wire.to),
        gap: gap.map(|gap| Gap { from: Offset::new(gap.from), to: Offset::new(gap.to) }),
        rows: wire.rows,
        quarantined: wire.quarantined,
        tombstones: wire.tombstones,
        holes: wire.holes,
    }
}

fn read_file(wire: &File) -> Result<CommittedFile, InvalidRecord> {
    let path =
        |name, text: &str| LakePath::new(text).map_err(|_outside_the_lake| field(name, text));
    Ok(CommittedFile {
        stage: path("stage", &wire.stage)?,
        path: path("path", &wire.path)?,
        len: wire.len,
        rows: wire.rows,
        sha256: Sha256Hash::parse(&wire.sha256).ok_or_else(|| field("sha256", &wire.sha256))?,
        partition: PartitionId::new(wire.partition),
        first: Offset::new(wire.first),
        last: Offset::new(wire.last),
        kind: match wire.schema_id {
            Some(schema) => FileKind::Data(SchemaId::new(schema)),
            None => FileKind::Quarantine,
        },
    })
}

fn field(field: &'static str, found: &str) -> InvalidRecord {
    InvalidRecord::Field { field, found: found.to_owned() }
}
