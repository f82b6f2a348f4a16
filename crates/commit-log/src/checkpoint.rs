//! `checkpoint`: how far the files of all logs are known to be synced, and which entries of the
//! journal still count.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use disk::{Disk, DiskFile};
use types::{LogId, Offset};

use crate::checksum::crc32c;
use crate::error::{Action, StorageFault};
use crate::segment::replace;

pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";

const MAGIC: [u8; 4] = *b"DLC1";
const HEADER_LEN: usize = 4 + 4 + 8 + 8;
const POINT_LEN: usize = 16 + 8 + 8;
const CRC_LEN: usize = 4;

/// Place of an entry in the journal of one data directory, over all its lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JournalPosition {
    /// Life of the journal: each start of the directory begins a new one once all logs are synced.
    pub(crate) generation: u64,
    /// Number of the entry within it, from 0.
    pub(crate) sequence: u64,
}

impl JournalPosition {
    /// See [`was_counted`].
    pub(crate) fn was_counted(self) -> bool {
        was_counted(self.generation) && was_counted(self.sequence)
    }
}

/// Whether a number can have been come to by counting one by one from 0, as generations, sequences
/// and cuts are. Of one that cannot, others might not follow: where they did not, old entries
/// would count again.
pub(crate) fn was_counted(number: u64) -> bool {
    number < 1 << 63
}

/// How far the files of one log are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecoveryPoint {
    /// Of which shape of the log this was said: a log that was cut since does not know it.
    pub(crate) cuts: u64,
    /// Everything below it was made durable by syncing files (exclusive).
    pub(crate) end: Offset,
}

/// One file for all logs: moving a thousand recovery points costs one sync instead of a thousand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// First entry of the journal that counts. What lies before it is in the logs' files.
    pub(crate) journal_floor: JournalPosition,
    pub(crate) points: BTreeMap<LogId, RecoveryPoint>,
}

/// What a directory says about its checkpoint.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is none: nothing was checkpointed yet.
    None,
    /// It is not valid, although it is only ever replaced as a whole.
    Damaged,
    /// This is it.
    Some(Checkpoint),
}

impl Checkpoint {
    /// How far a log's files are known to be synced, if that was noted since it was last cut.
    pub(crate) fn point(&self, log: LogId, cuts: u64) -> Option<Offset> {
        self.points.get(&log).filter(|point| point.cuts == cuts).map(|point| point.end)
    }

    pub(crate) fn read<D: Disk>(disk: &D, folder: &Path) -> Result<Found, StorageFault> {
        let path = folder.join(CHECKPOINT_FILE);
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::None),
            Err(error) => return Err(Action::Open.failed(&path)(error)),
        };
        let failed = Action::Read.failed(&path);
        let bytes = file
            .len()
            .and_then(|len| usize::try_from(len).map_err(io::Error::other))
            .and_then(|len| file.read_vec_at(len, 0))
            .map_err(failed)?;
        Ok(decode(&bytes).map_or(Found::Damaged, Found::Some))
    }

    /// Replaces the file, durably. After an error either the old or the new one stands.
    pub(crate) fn write<D: Disk>(&self, disk: &D, folder: &Path) -> Result<(), StorageFault> {
        let path = folder.join(CHECKPOINT_FILE);
        replace(disk, &path, &encode(self))
    }
}

fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let Checkpoint { journal_floor, points } = checkpoint;
    let mut bytes = Vec::with_capacity(HEADER_LEN + points.len() * POINT_LEN + CRC_LEN);
    bytes.extend(MAGIC);
    // A directory holds far fewer logs than this counts.
    bytes.extend(u32::try_from(points.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(journal_floor.generation.to_be_bytes());
    bytes.extend(journal_floor.sequence.to_be_bytes());
    for (log, point) in points {
        bytes.extend(log.to_bytes());
        bytes.extend(point.cuts.to_be_bytes());
        bytes.extend(point.end.get().to_be_bytes());
    }
    bytes.extend(crc32c(&bytes).to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    let (fields, crc) = bytes.split_last_chunk::<CRC_LEN>()?;
    if crc32c(fields) != u32::from_be_bytes(*crc) {
        return None;
    }
    let fields = fields.strip_prefix(&MAGIC)?;
    let (count, fields) = fields.split_first_chunk::<4>()?;
    let (generation, fields) = fields.split_first_chunk::<8>()?;
    let (sequence, fields) = fields.split_first_chunk::<8>()?;
    let journal_floor = JournalPosition {
        generation: u64::from_be_bytes(*generation),
        sequence: u64::from_be_bytes(*sequence),
    };
    if !journal_floor.was_counted() {
        return None;
    }
    let (points, rest) = fields.as_chunks::<POINT_LEN>();
    if !rest.is_empty() || points.len() != usize::try_from(u32::from_be_bytes(*count)).ok()? {
        return None;
    }
    let points = points.iter().map(decode_point).collect::<Option<_>>()?;
    Some(Checkpoint { journal_floor, points })
}

fn decode_point(point: &[u8; POINT_LEN]) -> Option<(LogId, RecoveryPoint)> {
    let (log, fields) = point.split_first_chunk::<16>()?;
    let (cuts, fields) = fields.split_first_chunk::<8>()?;
    let (end, _none) = fields.split_first_chunk::<8>()?;
    let end = Offset::ZERO.checked_add(u64::from_be_bytes(*end))?;
    Some((LogId::from_bytes(*log), RecoveryPoint { cuts: u64::from_be_bytes(*cuts), end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let point = |number: u8| {
            let (cuts, end) = (u64::from(number), Offset::new(100 + u64::from(number)));
            (LogId::from_bytes([number; 16]), RecoveryPoint { cuts, end })
        };
        Checkpoint {
            journal_floor: JournalPosition { generation: 3, sequence: 17 },
            points: (0..3).map(point).collect(),
        }
    }

    #[test]
    fn it_reads_back() {
        for checkpoint in [Checkpoint::default(), checkpoint()] {
            assert_eq!(decode(&encode(&checkpoint)), Some(checkpoint));
        }
    }

    #[test]
    fn a_flipped_bit_or_a_missing_byte_is_noticed() {
        let whole = encode(&checkpoint());
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes), None, "bit {bit}");
        }
        for len in 0..whole.len() {
            assert_eq!(decode(&whole[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn a_position_that_nobody_came_to_is_none_of_ours() {
        for (generation, sequence) in [(1 << 63, 0), (0, 1 << 63)] {
            let journal_floor = JournalPosition { generation, sequence };
            assert_eq!(decode(&encode(&Checkpoint { journal_floor, ..checkpoint() })), None);
        }
    }

    #[test]
    fn a_log_that_was_cut_since_does_not_know_its_point() {
        let checkpoint = checkpoint();
        let log = LogId::from_bytes([2; 16]);
        assert_eq!(checkpoint.point(log, 2), Some(Offset::new(102)));
        assert_eq!(checkpoint.point(log, 3), None);
    }
}
