//! Entries as batches of the log.
//!
//! One entry is one batch of one record: the record's key is one byte, the entry's kind, its
//! value the entry's data. Index and term are the batch's offset and epoch.

use bytes::Bytes;
use raft::prelude::{Entry, EntryType};
use record::{Batch, BatchBuilder, Compression};
use types::{LeaderEpoch, Timestamp};

use super::error::{EntryError, RaftError};

/// The record format holds epochs as `i32`.
const MAX_TERM: u32 = i32::MAX as u32;

pub(super) fn entry_to_batch(entry: &Entry, now: Timestamp) -> Result<Batch, RaftError> {
    let kind = [match entry.get_entry_type() {
        EntryType::EntryNormal => 0,
        EntryType::EntryConfChange => 1,
        EntryType::EntryConfChangeV2 => 2,
    }];
    let mut builder = BatchBuilder::new(Compression::None);
    builder
        .push(now, Some(&kind), Some(&entry.data), &[])
        .and_then(|()| builder.build())
        .map_err(|error| RaftError::Entry { index: entry.index, source: error.into() })
}

pub(super) fn term_to_epoch(entry: &Entry) -> Result<LeaderEpoch, RaftError> {
    let term = u32::try_from(entry.term).ok().filter(|term| *term <= MAX_TERM);
    term.map(LeaderEpoch::new).ok_or(RaftError::Entry {
        index: entry.index,
        source: EntryError::Term { term: entry.term },
    })
}

pub(super) fn entry_from_batch(batch: &Batch) -> Result<Entry, RaftError> {
    let header = batch.header();
    let index = header.base_offset.get();
    // Every batch of a log is placed in an epoch.
    let epoch = header.leader_epoch.ok_or(RaftError::Entry { index, source: EntryError::Shape })?;
    let (kind, data) = only_record(batch).map_err(|source| RaftError::Entry { index, source })?;
    let mut entry = Entry::default();
    entry.set_entry_type(kind);
    entry.set_index(index);
    entry.set_term(u64::from(epoch.get()));
    entry.set_data(data);
    Ok(entry)
}

fn only_record(batch: &Batch) -> Result<(EntryType, Bytes), EntryError> {
    if batch.header().record_count != 1 {
        return Err(EntryError::Shape);
    }
    let record = batch.records()?.next().ok_or(EntryError::Shape)??;
    let kind = match record.key.as_deref() {
        Some([0]) => EntryType::EntryNormal,
        Some([1]) => EntryType::EntryConfChange,
        Some([2]) => EntryType::EntryConfChangeV2,
        Some(_) | None => return Err(EntryError::Shape),
    };
    Ok((kind, record.value.ok_or(EntryError::Shape)?))
}
