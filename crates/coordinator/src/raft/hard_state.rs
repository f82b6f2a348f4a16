//! Raft id, term, vote and commit index, in a file of two slots.
//!
//! A write goes to the older slot and is synced; a crash in it leaves the newer one. A slot is
//! `magic, version, sequence, raft id, term, vote, commit, crc32c`, little-endian; the slot with
//! the higher sequence counts.

use std::io;
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, checksum};
use disk::{Disk, DiskFile, replace_atomically};

use super::error::RaftError;

const MAGIC: &[u8; 4] = b"DHHS";
const VERSION: u32 = 1;
const RECORD_LEN: usize = 4 + 4 + 5 * 8 + 4;
/// Slots lie in pages of their own, so that no write touches both.
const SLOT_LEN: usize = 4096;

/// What a member must never forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HardState {
    /// Who it is in the quorum: drawn when the directory was formatted, never 0.
    pub(super) raft_id: u64,
    /// The last term it knows of.
    pub(super) term: u64,
    /// Whom it voted for in that term; 0 for nobody.
    pub(super) vote: u64,
    /// An index that is certain. The real one may be higher.
    pub(super) commit: u64,
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct HardStateFile<D: Disk> {
    file: D::File,
    path: PathBuf,
    sequence: u64,
    saved: HardState,
}

impl<D: Disk> HardStateFile<D> {
    /// Makes the file. Its existence marks the directory as formatted.
    pub(super) fn create(disk: &D, path: &Path, state: HardState) -> Result<Self, RaftError> {
        let mut content = [0; 2 * SLOT_LEN];
        for (slot, sequence) in content.chunks_exact_mut(SLOT_LEN).zip(0..) {
            if let Some(record) = slot.first_chunk_mut() {
                *record = encode(sequence, state);
            }
        }
        replace_atomically(disk, path, &content).map_err(failed("create", path))?;
        Self::open(disk, path)?.ok_or_else(|| RaftError::HardStateMissing { path: path.to_owned() })
    }

    /// Opens the file; none if there is none.
    pub(super) fn open(disk: &D, path: &Path) -> Result<Option<Self>, RaftError> {
        let file = match disk.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", path)(error)),
        };
        let mut newest = None;
        for position in [0, SLOT_LEN as u64] {
            let mut record = [0; RECORD_LEN];
            match file.read_exact_at(&mut record, position) {
                Ok(()) => newest = newest.max(decode(&record)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(failed("read", path)(error)),
            }
        }
        let Slot { sequence, state } =
            newest.ok_or_else(|| RaftError::HardStateDamaged { path: path.to_owned() })?;
        Ok(Some(Self { file, path: path.to_owned(), sequence, saved: state }))
    }

    pub(super) fn saved(&self) -> HardState {
        self.saved
    }

    /// Durable when it returns. After an error nothing may be written any more.
    pub(super) fn save(&mut self, state: HardState) -> Result<(), RaftError> {
        let sequence = self.sequence + 1;
        let position = if sequence.is_multiple_of(2) { 0 } else { SLOT_LEN as u64 };
        self.file
            .write_all_at(&encode(sequence, state), position)
            .map_err(failed("write", &self.path))?;
        self.file.sync_data().map_err(failed("sync", &self.path))?;
        self.sequence = sequence;
        self.saved = state;
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    sequence: u64,
    state: HardState,
}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sequence.cmp(&other.sequence)
    }
}

fn encode(sequence: u64, state: HardState) -> [u8; RECORD_LEN] {
    let mut record = Vec::with_capacity(RECORD_LEN);
    record.extend_from_slice(MAGIC);
    record.extend_from_slice(&VERSION.to_le_bytes());
    for number in [sequence, state.raft_id, state.term, state.vote, state.commit] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    let crc = crc32c(&record);
    record.extend_from_slice(&crc.to_le_bytes());
    record.first_chunk().copied().unwrap_or([0; RECORD_LEN])
}

fn decode(record: &[u8; RECORD_LEN]) -> Option<Slot> {
    let (checked, crc) = record.split_last_chunk::<4>()?;
    let rest = checked.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
    if crc32c(checked) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut numbers = rest.chunks_exact(8).filter_map(|chunk| chunk.first_chunk().copied());
    let mut next = || numbers.next().map(u64::from_le_bytes);
    let sequence = next()?;
    let state = HardState { raft_id: next()?, term: next()?, vote: next()?, commit: next()? };
    Some(Slot { sequence, state })
}

#[expect(clippy::cast_possible_truncation, reason = "a CRC of 32 bits in the u64 of the library")]
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RaftError + 'a {
    move |source| RaftError::HardState { action, path: path.to_owned(), source }
}
