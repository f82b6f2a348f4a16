//! What the journal of an earlier life holds for each log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use disk::{Disk, DiskFile};
use record::{Batch, BatchHeader};
use types::{LeaderEpoch, LogId, Offset};

use super::entry::{ENTRY_HEADER_LEN, EntryHeader, is_intact};
use super::{files_in, folder_in};
use crate::checkpoint::JournalPosition;
use crate::error::{Action, StorageFault};
use crate::scan::Window;

/// Where a batch lies in the journal, and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Journalled {
    pub(crate) position: JournalPosition,
    pub(crate) base: Offset,
    /// Behind its last record.
    pub(crate) end: Offset,
    pub(crate) epoch: LeaderEpoch,
    file: usize,
    at: u64,
    len: usize,
}

/// What the journal of an earlier life holds.
#[derive(Debug)]
pub(crate) struct Replay<D: Disk> {
    files: Vec<(PathBuf, D::File)>,
    batches: BTreeMap<LogId, Vec<Journalled>>,
    /// Entries that count, and that were read.
    entries: u64,
    /// An entry that is missing although later ones are there.
    missing: Option<JournalPosition>,
}

/// Where the entries begin that the newest life of the journal left, as the files themselves tell:
/// for when nothing else does. `None` if there are no entries.
///
/// Of them some may lie synced in their logs already, and some of these be gone. Replay adds only
/// what lies beyond a log's end, and a log that was cut knows which entries are void: to look at
/// them once more brings nothing back that went.
///
/// # Errors
/// What the disk reports.
pub(crate) fn newest_life<D: Disk>(
    disk: &D,
    directory: &Path,
) -> Result<Option<JournalPosition>, StorageFault> {
    let mut newest: Option<JournalPosition> = None;
    for path in files_in(disk, &folder_in(directory))? {
        let file = disk.open(&path).map_err(Action::Open.failed(&path))?;
        // A life writes its files from the start, each time it uses them.
        let Some(first) = first_entry(&file).map_err(Action::Read.failed(&path))? else { continue };
        newest = Some(match newest {
            Some(other) if other.generation == first.generation => other.min(first),
            Some(other) => other.max(first),
            None => first,
        });
    }
    Ok(newest)
}

fn first_entry<F: DiskFile>(file: &F) -> std::io::Result<Option<JournalPosition>> {
    let mut window = Window::new(file, file.len()?);
    let header = window.get(0, ENTRY_HEADER_LEN)?;
    let Some(header) = EntryHeader::decode(&header) else { return Ok(None) };
    let entry = window.get(0, header.total_len())?;
    let is_whole = entry.len() == header.total_len() && is_intact(&entry);
    Ok(is_whole.then_some(header.position))
}

impl<D: Disk> Replay<D> {
    /// Reads the entries from `floor` on, to the first that is not whole. Those of other
    /// generations do not count: all logs were synced in between.
    ///
    /// # Errors
    /// What the disk reports.
    pub(crate) fn read(
        disk: &D,
        directory: &Path,
        floor: JournalPosition,
    ) -> Result<Self, StorageFault> {
        let mut files = Vec::new();
        for path in files_in(disk, &folder_in(directory))? {
            let file = disk.open(&path).map_err(Action::Open.failed(&path))?;
            files.push((path, file));
        }
        let mut entries: BTreeMap<JournalPosition, (LogId, Vec<Journalled>)> = BTreeMap::new();
        for (number, (path, file)) in files.iter().enumerate() {
            let read = read_file(number, file, floor, &mut entries);
            read.map_err(Action::Read.failed(path))?;
        }
        let count = entries.len() as u64;
        let mut missing = None;
        let mut batches: BTreeMap<LogId, Vec<Journalled>> = BTreeMap::new();
        for ((position, (log, found)), expected) in entries.into_iter().zip(floor.sequence..) {
            if position.sequence != expected && missing.is_none() {
                missing = Some(JournalPosition { sequence: expected, ..floor });
            }
            batches.entry(log).or_default().extend(found);
        }
        Ok(Self { files, batches, entries: count, missing })
    }

    /// The batches of one life of a log from `void_below` on, in the order written.
    pub(crate) fn of(
        &self,
        log: LogId,
        void_below: JournalPosition,
    ) -> impl Iterator<Item = &Journalled> {
        let batches = self.batches.get(&log).map(Vec::as_slice).unwrap_or_default();
        batches.iter().filter(move |batch| void_below <= batch.position)
    }

    /// Reads a batch.
    ///
    /// # Errors
    /// What the disk reports, a batch that is no longer what it was included.
    pub(crate) fn fetch(&self, batch: &Journalled) -> Result<Batch, StorageFault> {
        let Some((path, file)) = self.files.get(batch.file) else {
            let error = std::io::ErrorKind::NotFound.into();
            return Err(Action::Open.failed(Path::new(super::JOURNAL_FOLDER))(error));
        };
        let bytes = file.read_vec_at(batch.len, batch.at);
        bytes
            .and_then(|bytes| Batch::verify(Bytes::from(bytes)).map_err(std::io::Error::other))
            .map_err(Action::Read.failed(path))
    }

    /// How many entries count.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// The first entry that is missing although later ones are there: writing it was finished once.
    pub(crate) fn missing(&self) -> Option<JournalPosition> {
        self.missing
    }
}

/// Notes the entries of one file that count. Ends at the first that is not whole, and where an
/// earlier use of the file shines through.
fn read_file<F: DiskFile>(
    number: usize,
    file: &F,
    floor: JournalPosition,
    entries: &mut BTreeMap<JournalPosition, (LogId, Vec<Journalled>)>,
) -> std::io::Result<()> {
    let mut window = Window::new(file, file.len()?);
    let mut at = 0;
    let mut expected: Option<JournalPosition> = None;
    loop {
        let header = window.get(at, ENTRY_HEADER_LEN)?;
        let Some(header) = EntryHeader::decode(&header) else { return Ok(()) };
        let follows = expected.is_none_or(|expected| expected == header.position);
        if header.position.generation != floor.generation || !follows {
            return Ok(());
        }
        let entry = window.get(at, header.total_len())?;
        if entry.len() < header.total_len() || !is_intact(&entry) {
            return Ok(());
        }
        if floor <= header.position {
            let batches = entry.slice(ENTRY_HEADER_LEN..);
            let place = Place { file: number, at: at + ENTRY_HEADER_LEN as u64 };
            entries.insert(header.position, (header.log, place.locate(header.position, &batches)));
        }
        let sequence = header.position.sequence.saturating_add(1);
        expected = Some(JournalPosition { sequence, ..header.position });
        at = at.saturating_add(header.total_len() as u64);
    }
}

struct Place {
    file: usize,
    at: u64,
}

impl Place {
    /// The batches in an entry, whose checksum vouches for them.
    fn locate(mut self, position: JournalPosition, mut bytes: &[u8]) -> Vec<Journalled> {
        let mut found = Vec::new();
        while let Ok(header) = BatchHeader::parse(bytes)
            && let Some(epoch) = header.leader_epoch
            && let Some((_, rest)) = bytes.split_at_checked(header.total_len())
        {
            let len = header.total_len();
            let (base, end) = (header.base_offset, header.end_offset());
            found.push(Journalled {
                position,
                base,
                end,
                epoch,
                file: self.file,
                at: self.at,
                len,
            });
            self.at = self.at.saturating_add(len as u64);
            bytes = rest;
        }
        found
    }
}
