//! `partition.meta`: the few numbers of a log that its segments cannot tell.

use std::path::Path;

use disk::{Disk, DiskFile};
use types::{LeaderEpoch, LogId, Offset};

use crate::checkpoint::{JournalPosition, was_counted};
use crate::checksum::crc32c;
use crate::error::{Action, StorageFault};

pub(crate) const META_FILE: &str = "partition.meta";

const MAGIC: [u8; 4] = *b"DLM2";
const SLOT_LEN: usize = 96;
/// Slots lie a block apart, so that a torn write of one cannot reach the other.
const SLOT_STRIDE: u64 = 4096;
const SLOTS: u64 = 2;
const NO_EPOCH: u32 = u32::MAX;

/// The few numbers of a log that its segments cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) log_id: LogId,
    /// First offset that readers may have. Never behind what deletion removed.
    pub(crate) log_start: Offset,
    /// Everything below it was made durable by syncing files: whatever is wrong there is damage,
    /// not a torn tail. The directory's checkpoint may know a later one.
    pub(crate) recovery_point: Offset,
    /// Epoch of the last record below the first segment, if the log ever removed one.
    pub(crate) start_epoch: Option<LeaderEpoch>,
    pub(crate) stage: Stage,
    /// How often the log was cut or emptied: a checkpoint knows which shape it speaks of.
    pub(crate) cuts: u64,
    /// Entries of the journal before it are void: their log was cut or emptied since, after all of
    /// it had been synced.
    pub(crate) void_below: JournalPosition,
}

/// Whether the segments in the folder count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// They are the log.
    Live,
    /// They are being dropped: the log is empty at its start.
    Resetting,
}

/// The file: two slots, written in turn, the valid one with the higher sequence counts. Both are
/// there from the beginning: on a full disk, too, the numbers must change before anything can go.
///
/// It is open only while it is read or written, which is seldom: of ten thousand logs each would
/// hold a descriptor of what a process may have open.
#[derive(Debug)]
pub(crate) struct MetaFile<D: Disk> {
    disk: D,
    current: Meta,
    sequence: u64,
}

impl<D: Disk> MetaFile<D> {
    /// Makes the file, durable but for its name.
    pub(crate) fn create(disk: &D, folder: &Path, meta: Meta) -> Result<Self, StorageFault> {
        let path = folder.join(META_FILE);
        let file = disk.create_new(&path).map_err(Action::Create.failed(&path))?;
        let sequence = SLOTS;
        for written in 1..=sequence {
            file.write_all_at(&encode(written, meta), position_of(written))
                .map_err(Action::Write.failed(&path))?;
        }
        file.sync_data().map_err(Action::Sync.failed(&path))?;
        Ok(Self { disk: disk.clone(), current: meta, sequence })
    }

    /// Reads the file; `None` if it is not there, or neither slot is valid.
    pub(crate) fn open(disk: &D, folder: &Path) -> Result<Option<Self>, StorageFault> {
        let path = folder.join(META_FILE);
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Action::Open.failed(&path)(error)),
        };
        let mut newest: Option<(u64, Meta)> = None;
        for slot in 0..SLOTS {
            let mut bytes = [0; SLOT_LEN];
            match file.read_exact_at(&mut bytes, slot * SLOT_STRIDE) {
                Ok(()) => {}
                // Its making was broken off.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(Action::Read.failed(&path)(error)),
            }
            let newer = decode(&bytes).filter(|(sequence, _)| {
                newest.is_none_or(|(newest_sequence, _)| newest_sequence < *sequence)
            });
            newest = newer.or(newest);
        }
        let disk = disk.clone();
        Ok(newest.map(|(sequence, current)| Self { disk, current, sequence }))
    }

    pub(crate) fn current(&self) -> Meta {
        self.current
    }

    /// Replaces the numbers, durably. After an error either the old or the new ones stand.
    pub(crate) fn write(&mut self, folder: &Path, meta: Meta) -> Result<(), StorageFault> {
        let sequence = self.sequence + 1;
        let position = position_of(sequence);
        let path = folder.join(META_FILE);
        let file = self.disk.open(&path).map_err(Action::Open.failed(&path))?;
        file.write_all_at(&encode(sequence, meta), position)
            .map_err(Action::Write.failed(&path))?;
        file.sync_data().map_err(Action::Sync.failed(&path))?;
        self.sequence = sequence;
        self.current = meta;
        Ok(())
    }
}

/// Where the numbers of that sequence lie.
fn position_of(sequence: u64) -> u64 {
    sequence.checked_rem(SLOTS).unwrap_or_default() * SLOT_STRIDE
}

fn encode(sequence: u64, meta: Meta) -> [u8; SLOT_LEN] {
    let stage: u32 = match meta.stage {
        Stage::Live => 0,
        Stage::Resetting => 1,
    };
    let mut fields = Vec::with_capacity(SLOT_LEN);
    fields.extend(MAGIC);
    fields.extend(stage.to_be_bytes());
    fields.extend(sequence.to_be_bytes());
    fields.extend(meta.log_id.to_bytes());
    fields.extend(meta.log_start.get().to_be_bytes());
    fields.extend(meta.recovery_point.get().to_be_bytes());
    fields.extend(meta.start_epoch.map_or(NO_EPOCH, LeaderEpoch::get).to_be_bytes());
    fields.extend(meta.cuts.to_be_bytes());
    fields.extend(meta.void_below.generation.to_be_bytes());
    fields.extend(meta.void_below.sequence.to_be_bytes());
    fields.resize(SLOT_LEN - 4, 0);
    fields.extend(crc32c(&fields).to_be_bytes());
    let mut slot = [0; SLOT_LEN];
    for (target, byte) in slot.iter_mut().zip(fields) {
        *target = byte;
    }
    slot
}

fn decode(slot: &[u8; SLOT_LEN]) -> Option<(u64, Meta)> {
    let (fields, crc) = slot.split_last_chunk::<4>()?;
    if crc32c(fields) != u32::from_be_bytes(*crc) {
        return None;
    }
    let fields = fields.strip_prefix(&MAGIC)?;
    let (stage, fields) = fields.split_first_chunk::<4>()?;
    let (sequence, fields) = fields.split_first_chunk::<8>()?;
    let (log_id, fields) = fields.split_first_chunk::<16>()?;
    let (log_start, fields) = fields.split_first_chunk::<8>()?;
    let (recovery_point, fields) = fields.split_first_chunk::<8>()?;
    let (start_epoch, fields) = fields.split_first_chunk::<4>()?;
    let (cuts, fields) = fields.split_first_chunk::<8>()?;
    let (void_generation, fields) = fields.split_first_chunk::<8>()?;
    let (void_sequence, _unused) = fields.split_first_chunk::<8>()?;
    let start_epoch = u32::from_be_bytes(*start_epoch);
    let (sequence, cuts) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*cuts));
    let void_below = JournalPosition {
        generation: u64::from_be_bytes(*void_generation),
        sequence: u64::from_be_bytes(*void_sequence),
    };
    // Of the journal's entries a whole generation may be void, up to the last number there is.
    if ![sequence, cuts, void_below.generation].into_iter().all(was_counted) {
        return None;
    }
    let meta = Meta {
        log_id: LogId::from_bytes(*log_id),
        log_start: Offset::ZERO.checked_add(u64::from_be_bytes(*log_start))?,
        recovery_point: Offset::ZERO.checked_add(u64::from_be_bytes(*recovery_point))?,
        start_epoch: (start_epoch != NO_EPOCH).then(|| LeaderEpoch::new(start_epoch)),
        stage: match u32::from_be_bytes(*stage) {
            0 => Stage::Live,
            1 => Stage::Resetting,
            _ => return None,
        },
        cuts,
        void_below,
    };
    Some((sequence, meta))
}

#[cfg(test)]
mod tests {
    use disk::FaultyDisk;

    use super::*;

    fn meta(log_start: u64) -> Meta {
        Meta {
            log_id: LogId::from_bytes([3; 16]),
            log_start: Offset::new(log_start),
            recovery_point: Offset::new(log_start + 5),
            start_epoch: (log_start > 1).then_some(LeaderEpoch::new(9)),
            stage: if log_start == 2 { Stage::Resetting } else { Stage::Live },
            cuts: log_start * 3,
            void_below: JournalPosition { generation: log_start, sequence: 70 + log_start },
        }
    }

    #[test]
    fn numbers_read_back() {
        for log_start in 0..4 {
            assert_eq!(decode(&encode(7, meta(log_start))), Some((7, meta(log_start))));
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        for bit in 0..SLOT_LEN * 8 {
            let mut slot = encode(7, meta(3));
            slot[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&slot), None, "bit {bit}");
        }
    }

    #[test]
    fn numbers_that_nobody_came_to_are_none_of_ours() {
        let far = 1 << 63;
        let void_below = JournalPosition { generation: far, sequence: 0 };
        assert_eq!(decode(&encode(far, meta(3))), None);
        assert_eq!(decode(&encode(1, Meta { cuts: far, ..meta(3) })), None);
        assert_eq!(decode(&encode(1, Meta { void_below, ..meta(3) })), None);
    }

    #[test]
    fn a_loss_of_power_while_writing_leaves_the_old_or_the_new_numbers() {
        for seed in 0..200 {
            let disk = FaultyDisk::new(seed);
            let root = Path::new("/");
            let mut file = MetaFile::create(&disk, root, meta(0)).unwrap();
            disk.sync_dir(root).unwrap();
            file.write(root, meta(1)).unwrap();
            disk.cut_power_after((seed % 2) as u32);
            file.write(root, meta(2)).unwrap_err();
            disk.lose_power();
            let found = MetaFile::open(&disk, root).unwrap().unwrap().current();
            assert!(found == meta(1) || found == meta(2));
        }
    }
}
