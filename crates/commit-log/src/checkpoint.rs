//! `checkpoint`: how far the files of all logs are known to be synced, and which entries of the
//! journal still count.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use disk::{Disk, DiskFile};
use types::{LogId, Offset};

use crate::checksum::crc32c;
use crate::error::{Action, StorageFault};
use crate::segment::replace;

pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";

const MAGIC: [u8; 4] = *b"DLC2";
/// Of early builds, which had no mark.
const OLD_MAGIC: [u8; 4] = *b"DLC1";
const HEADER_LEN: usize = 4 + LIFE_LEN + 4 + 8 + 8;
/// Of the journal's life, but for where it begins.
const LIFE_LEN: usize = JournalMark::LEN + 4 * 8;
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

/// Random bytes that every entry of one life of the journal bears, and nobody outside of it knows:
/// what lies behind damage is believed by them. Records are anybody's bytes, and could hold what looks
/// like an entry in all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalMark([u8; Self::LEN]);

impl JournalMark {
    pub(crate) const LEN: usize = 16;

    /// A mark of random bytes.
    pub(crate) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }
}

/// Whether a number can have been come to by counting one by one from 0, as generations, sequences
/// and cuts are. Of one that cannot, others might not follow: where they did not, old entries
/// would count again.
pub(crate) fn was_counted(number: u64) -> bool {
    // Of generations the highest bit is stored with another meaning, and all ones must not pass, for
    // there is no next.
    number < 1 << 62
}

/// Which entries of the journal count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalLife {
    /// The first. What lies before it is in the logs' files.
    pub(crate) floor: JournalPosition,
    /// What all of its generation bear; `None` if that is not known, or they bear none. Without it
    /// nothing is looked for behind damage, nor missed.
    pub(crate) mark: Option<JournalMark>,
    /// What lies before this sequence is in the logs' files as well: nobody misses it.
    pub(crate) in_logs_below: u64,
    /// What is missing, and was put up with.
    pub(crate) accepted: Option<LostEntries>,
}

/// Entries of one life that had been synced, as others prove, and are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostEntries {
    /// Sequence of the first.
    pub(crate) first: u64,
    /// Sequence of the last.
    pub(crate) last: u64,
    /// How many, at least one.
    pub(crate) count: u64,
}

impl LostEntries {
    /// Whether the others are among these, as far as can be told.
    pub(crate) fn covers(self, others: Self) -> bool {
        self.first <= others.first && others.last <= self.last && others.count <= self.count
    }
}

impl fmt::Display for LostEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, count } = self;
        write!(
            f,
            "{count} of the entries {first} to {last} of its journal are not there any more, although \
             they had been synced: records that were acknowledged may be gone"
        )
    }
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
    pub(crate) journal: JournalLife,
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

/// Stands for no mark. One of random bytes is another.
const NO_MARK: [u8; JournalMark::LEN] = [0; JournalMark::LEN];
/// Stands for nothing put up with.
const NOTHING: LostEntries = LostEntries { first: 0, last: 0, count: 0 };

fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let Checkpoint { journal, points } = checkpoint;
    let JournalLife { floor, mark, in_logs_below, accepted } = *journal;
    let mut bytes = Vec::with_capacity(HEADER_LEN + points.len() * POINT_LEN + CRC_LEN);
    bytes.extend(MAGIC);
    bytes.extend(mark.map_or(NO_MARK, JournalMark::to_bytes));
    bytes.extend(in_logs_below.to_be_bytes());
    let LostEntries { first, last, count } = accepted.unwrap_or(NOTHING);
    for number in [first, last, count] {
        bytes.extend(number.to_be_bytes());
    }
    // A directory holds far fewer logs than this counts.
    bytes.extend(u32::try_from(points.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(floor.generation.to_be_bytes());
    bytes.extend(floor.sequence.to_be_bytes());
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
    let (life, fields) = match fields.strip_prefix(&OLD_MAGIC) {
        Some(fields) => (&[0; LIFE_LEN], fields),
        None => fields.strip_prefix(&MAGIC)?.split_first_chunk::<LIFE_LEN>()?,
    };
    let (count, fields) = fields.split_first_chunk::<4>()?;
    let (generation, fields) = fields.split_first_chunk::<8>()?;
    let (sequence, fields) = fields.split_first_chunk::<8>()?;
    let floor = JournalPosition {
        generation: u64::from_be_bytes(*generation),
        sequence: u64::from_be_bytes(*sequence),
    };
    if !floor.was_counted() {
        return None;
    }
    let (points, rest) = fields.as_chunks::<POINT_LEN>();
    if !rest.is_empty() || points.len() != usize::try_from(u32::from_be_bytes(*count)).ok()? {
        return None;
    }
    let points = points.iter().map(decode_point).collect::<Option<_>>()?;
    Some(Checkpoint { journal: decode_life(floor, life)?, points })
}

fn decode_life(floor: JournalPosition, life: &[u8; LIFE_LEN]) -> Option<JournalLife> {
    let (mark, numbers) = life.split_first_chunk::<{ JournalMark::LEN }>()?;
    let (numbers, _none) = numbers.as_chunks::<8>();
    let [in_logs_below, first, last, count] = *numbers.as_array()?;
    let accepted = LostEntries {
        first: u64::from_be_bytes(first),
        last: u64::from_be_bytes(last),
        count: u64::from_be_bytes(count),
    };
    Some(JournalLife {
        floor,
        mark: (*mark != NO_MARK).then_some(JournalMark(*mark)),
        in_logs_below: u64::from_be_bytes(in_logs_below),
        accepted: (0 < accepted.count).then_some(accepted),
    })
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
            journal: JournalLife {
                floor: JournalPosition { generation: 3, sequence: 17 },
                mark: Some(JournalMark::from_bytes([5; 16])),
                in_logs_below: 18,
                accepted: Some(LostEntries { first: 19, last: 23, count: 2 }),
            },
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
    fn one_of_an_early_build_is_read() {
        let mut bytes = encode(&checkpoint());
        bytes.truncate(bytes.len() - CRC_LEN);
        bytes.splice(..MAGIC.len() + LIFE_LEN, OLD_MAGIC);
        bytes.extend(crc32c(&bytes).to_be_bytes());
        let journal = JournalLife { floor: checkpoint().journal.floor, ..Default::default() };
        assert_eq!(decode(&bytes), Some(Checkpoint { journal, ..checkpoint() }));
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
            let floor = JournalPosition { generation, sequence };
            let journal = JournalLife { floor, ..checkpoint().journal };
            assert_eq!(decode(&encode(&Checkpoint { journal, ..checkpoint() })), None);
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
