//! The journal of a data directory: a second copy of small appends in one place, so that one sync
//! makes appends to a thousand logs durable.
//!
//! ```text
//! <data>/journal/<number>.journal    entries, one behind the other, in files of a fixed length
//! entry:  crc32c  length  generation  sequence  log id  synced below  mark  batches…
//!         u32     u32     u64         u64       16      u64           16    as in the log's segment
//! ```
//!
//! A file is written from its start, and again once the [checkpoint](crate::checkpoint) says that
//! what it holds lies synced in the logs. Entries of an earlier use stay behind the new ones; their
//! sequence gives them away. An entry tells which ones had been synced when it was written, so that a
//! torn write, which nobody was promised, can be told from an entry that rotted: what is missing and
//! had been synced is missed. Replay is in [`replay`]: it only ever adds what lies beyond a log's
//! valid end, and never removes.

mod entry;
pub(crate) mod replay;
mod walk;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{Disk, DiskFile};
use types::LogId;

use crate::checkpoint::{JournalLife, JournalPosition};
use crate::config::JournalConfig;
use crate::duty::Duty;
use crate::error::{Action, StorageFault};
use crate::name::LogKey;

pub(crate) use entry::ENTRY_HEADER_LEN;
use entry::{EntryHeader, Proof};

const JOURNAL_FOLDER: &str = "journal";
const JOURNAL_FILE: &str = ".journal";
/// What one write fills with zeros while a file is prepared.
const PREPARE_BYTES: usize = 1 << 20;

/// Batches of one log on their way into the journal, in parts that lie one behind the other.
#[derive(Debug)]
pub(crate) struct JournalAppend<'a> {
    pub(crate) key: LogKey,
    pub(crate) log: LogId,
    pub(crate) parts: Vec<&'a [u8]>,
}

impl JournalAppend<'_> {
    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

/// The writer's side of the journal.
#[derive(Debug)]
pub(crate) struct Journal<D: Disk> {
    folder: PathBuf,
    config: Option<JournalConfig>,
    stage: JournalStage,
    /// Where the next entry goes.
    next: JournalPosition,
    life: JournalLife,
    files: Vec<JournalFile<D>>,
}

/// Whether entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalStage {
    /// What an earlier life wrote is kept: not all of it came to rest in the logs.
    Kept,
    /// Its generation is not on the disk yet, for want of room.
    Unannounced,
    /// Its files are not there yet, and nobody needed them so far.
    Unprepared,
    /// Appends ask for it: its files are to be made.
    Wanted,
    /// It takes entries.
    Ready,
}

#[derive(Debug)]
struct JournalFile<D: Disk> {
    path: PathBuf,
    file: Arc<D::File>,
    duty: Duty,
    /// Bytes that hold entries of this use.
    used: u64,
    /// First entry of this use.
    first: JournalPosition,
    /// Whose entries it holds.
    logs: BTreeSet<LogKey>,
    stage: FileStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileStage {
    Free,
    Active,
    Full,
}

/// Files made ready for entries: full of zeros, and durable.
#[derive(Debug)]
pub(crate) struct Prepared<D: Disk>(Vec<(PathBuf, D::File)>);

impl<D: Disk> Journal<D> {
    /// The journal of a life in which nothing is written yet.
    pub(crate) fn new(
        directory: &Path,
        config: Option<JournalConfig>,
        stage: JournalStage,
        life: JournalLife,
    ) -> Self {
        let (folder, next) = (folder_in(directory), life.floor);
        Self { folder, config, stage, next, life, files: Vec::new() }
    }

    /// Every entry written so far lies before this position, and every later one does not.
    pub(crate) fn position(&self) -> JournalPosition {
        match self.stage {
            // This life writes none.
            JournalStage::Kept => JournalPosition { sequence: u64::MAX, ..self.next },
            JournalStage::Unannounced
            | JournalStage::Unprepared
            | JournalStage::Wanted
            | JournalStage::Ready => self.next,
        }
    }

    /// The generation is on the disk: entries of it count.
    pub(crate) fn announced(&mut self) {
        if self.stage == JournalStage::Unannounced {
            self.stage = JournalStage::Unprepared;
        }
    }

    pub(crate) fn stage(&self) -> JournalStage {
        self.stage
    }

    /// Whether appends of `bytes` in all, to `logs` logs, had better be journalled than synced one
    /// by one. If only the files are missing, they are asked for.
    pub(crate) fn suits(&mut self, logs: usize, bytes: u64) -> bool {
        let Some(config) = self.config.filter(|config| logs >= config.few_logs.get()) else {
            return false;
        };
        match self.stage {
            JournalStage::Kept | JournalStage::Unannounced | JournalStage::Wanted => false,
            JournalStage::Unprepared => {
                self.stage = JournalStage::Wanted;
                false
            }
            JournalStage::Ready => self.make_room(&config, bytes),
        }
    }

    /// Whether an append is so large that writing it twice costs more than syncing its log.
    pub(crate) fn is_large(&self, bytes: u64) -> bool {
        self.config.is_none_or(|config| bytes >= config.large_append_bytes)
    }

    /// Makes sure that the active file takes `bytes`; false if all are full.
    fn make_room(&mut self, config: &JournalConfig, bytes: u64) -> bool {
        if config.file_bytes < bytes {
            return false;
        }
        if let Some(active) = self.active() {
            if active.used.saturating_add(bytes) <= config.file_bytes {
                return true;
            }
            active.stage = FileStage::Full;
        }
        let next = self.next;
        let free = self.files.iter_mut().find(|file| file.stage == FileStage::Free);
        let Some(file) = free else { return false };
        file.stage = FileStage::Active;
        file.first = next;
        true
    }

    fn active(&mut self) -> Option<&mut JournalFile<D>> {
        self.files.iter_mut().find(|file| file.stage == FileStage::Active)
    }

    /// Writes entries behind one another. Durable after [`Journal::sync`]; there is room if
    /// [`Journal::suits`] said so.
    ///
    /// # Errors
    /// What the disk reports. What is written then is not known, and nothing may follow it.
    pub(crate) fn append(&mut self, appends: &[JournalAppend<'_>]) -> Result<(), StorageFault> {
        let mut next = self.next;
        let mut headers = Vec::with_capacity(appends.len());
        // All before this step: it was not answered, nor did anything follow it, before its sync.
        let synced_below = next.sequence;
        let proof = self.life.mark.map(|mark| Proof { synced_below, mark });
        for append in appends {
            // A step takes far less than what this counts.
            let len = u32::try_from(append.len()).unwrap_or(u32::MAX);
            let header = EntryHeader { position: next, log: append.log, len, proof };
            headers.push(header.encode(append.parts.iter().copied()));
            next.sequence += 1;
        }
        let mut slices = Vec::new();
        for (header, append) in headers.iter().zip(appends) {
            slices.push(IoSlice::new(header));
            slices.extend(append.parts.iter().map(|part| IoSlice::new(part)));
        }
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        let Some(active) = self.active() else { return Ok(()) };
        active
            .file
            .write_all_vectored_at(&mut slices, active.used)
            .map_err(Action::Write.failed(&active.path))?;
        active.used = active.used.saturating_add(bytes as u64);
        active.logs.extend(appends.iter().map(|append| append.key));
        self.next = next;
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), StorageFault> {
        let active = self.files.iter().find(|file| file.stage == FileStage::Active);
        active.map_or(Ok(()), |active| active.duty.sync(&active.path, || active.file.sync_data()))
    }

    /// Whether a round of upkeep is due, which gives the journal room, or its files: once half of
    /// them are full. A round syncs every log that has entries in those, however few, so that fewer
    /// rounds are less work; the other half is what is appended until it is done.
    pub(crate) fn needs_upkeep(&self) -> bool {
        let full = self.files.iter().filter(|file| file.stage == FileStage::Full).count();
        self.stage == JournalStage::Wanted || full > 0 && self.files.len() / 2 <= full
    }

    /// The logs that have entries in full files: once they are synced, the files can be used again.
    pub(crate) fn logs_in_full_files(&self) -> BTreeSet<LogKey> {
        let full = self.files.iter().filter(|file| file.stage == FileStage::Full);
        full.flat_map(|file| file.logs.iter().copied()).collect()
    }

    /// Which entries count once the logs of all full files are synced.
    pub(crate) fn life_behind_full_files(&self) -> JournalLife {
        let active = self.files.iter().find(|file| file.stage == FileStage::Active);
        JournalLife { floor: active.map_or(self.next, |active| active.first), ..self.life }
    }

    /// The same once all logs are synced, to their ends: the other entries are a second copy then.
    pub(crate) fn life_behind_all(&self) -> JournalLife {
        let in_logs_below = self.life.in_logs_below.max(self.next.sequence);
        JournalLife { in_logs_below, ..self.life_behind_full_files() }
    }

    /// Which entries count as long as they are not.
    pub(crate) fn life(&self) -> JournalLife {
        let used = self.files.iter().filter(|file| file.stage != FileStage::Free);
        JournalLife { floor: used.map(|file| file.first).min().unwrap_or(self.next), ..self.life }
    }

    /// Takes note of what the checkpoint says now: the files all of whose entries lie before the first
    /// that counts are given back.
    pub(crate) fn is_checkpointed(&mut self, life: JournalLife) {
        let floor = life.floor;
        self.life = life;
        let full = self.files.iter_mut().filter(|file| file.stage == FileStage::Full);
        for file in full.filter(|file| file.first < floor) {
            file.stage = FileStage::Free;
            file.used = 0;
            file.logs.clear();
        }
    }

    /// What a round of upkeep is to prepare.
    pub(crate) fn preparation(&self) -> Option<Preparation> {
        let config = self.config.filter(|_| self.stage == JournalStage::Wanted)?;
        Some(Preparation { folder: self.folder.clone(), config })
    }

    /// Takes prepared files into use.
    pub(crate) fn take(&mut self, prepared: Prepared<D>) {
        let next = self.next;
        self.files = (prepared.0.into_iter())
            .map(|(path, file)| JournalFile {
                path,
                file: Arc::new(file),
                duty: Duty::default(),
                used: 0,
                first: next,
                logs: BTreeSet::new(),
                stage: FileStage::Free,
            })
            .collect();
        self.stage = JournalStage::Ready;
    }

    /// The files could not be prepared: asked for again when next needed.
    pub(crate) fn not_prepared(&mut self) {
        if self.stage == JournalStage::Wanted {
            self.stage = JournalStage::Unprepared;
        }
    }
}

/// Which files are to be made, and where.
#[derive(Clone, Debug)]
pub(crate) struct Preparation {
    folder: PathBuf,
    config: JournalConfig,
}

impl Preparation {
    /// Makes the files, filled and durable: what is written over later needs neither room nor new
    /// metadata. Files of an earlier life that are as long as they should be are kept as they are.
    pub(crate) fn prepare<D: Disk>(&self, disk: &D) -> Result<Prepared<D>, StorageFault> {
        let prepared = self.make_files(disk);
        if prepared.as_ref().is_err_and(StorageFault::is_out_of_space) {
            // What a full disk took so far is better used by logs. The next try begins anew.
            discard(disk, &self.folder)?;
        }
        prepared
    }

    fn make_files<D: Disk>(&self, disk: &D) -> Result<Prepared<D>, StorageFault> {
        let folder = &self.folder;
        match disk.create_dir(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Action::Create.failed(folder)(error)),
        }
        let mut prepared = Vec::with_capacity(self.config.files.get());
        for number in 0..self.config.files.get() {
            let path = folder.join(format!("{number}{JOURNAL_FILE}"));
            let file = prepare_file(disk, &path, self.config.file_bytes)?;
            prepared.push((path, file));
        }
        disk.sync_dir(folder).map_err(Action::Sync.failed(folder))?;
        let directory = folder.parent().unwrap_or(Path::new(""));
        disk.sync_dir(directory).map_err(Action::Sync.failed(directory))?;
        Ok(Prepared(prepared))
    }
}

fn prepare_file<D: Disk>(disk: &D, path: &Path, bytes: u64) -> Result<D::File, StorageFault> {
    let file = match disk.create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.open(path).map_err(Action::Open.failed(path))?
        }
        Err(error) => return Err(Action::Create.failed(path)(error)),
    };
    let mut len = file.len().map_err(Action::Read.failed(path))?;
    if len > bytes {
        file.set_len(bytes).map_err(Action::Cut.failed(path))?;
        len = bytes;
    }
    let zeros = vec![0; PREPARE_BYTES];
    while len < bytes {
        let some = usize::try_from(bytes - len).unwrap_or(usize::MAX).min(PREPARE_BYTES);
        let (some, _) = zeros.split_at_checked(some).unwrap_or_default();
        file.write_all_at(some, len).map_err(Action::Write.failed(path))?;
        len += some.len() as u64;
    }
    file.sync_data().map_err(Action::Sync.failed(path))?;
    Ok(file)
}

/// Removes all files of a journal of which nobody knows which entries count, durably.
pub(crate) fn forget<D: Disk>(disk: &D, folder: &Path) -> Result<(), StorageFault> {
    discard(disk, folder)?;
    match disk.sync_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(Action::Sync.failed(folder)),
    }
}

/// Removes all files of a journal that no longer counts.
pub(crate) fn discard<D: Disk>(disk: &D, folder: &Path) -> Result<(), StorageFault> {
    for path in files_in(disk, folder)? {
        disk.remove_file(&path).map_err(Action::Remove.failed(&path))?;
    }
    Ok(())
}

/// The files of a journal, in any order; none if there is no journal.
fn files_in<D: Disk>(disk: &D, folder: &Path) -> Result<Vec<PathBuf>, StorageFault> {
    let entries = match disk.list(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Action::List.failed(folder)(error)),
    };
    let paths = entries.into_iter().map(|entry| folder.join(entry.name));
    let extension = JOURNAL_FILE.strip_prefix('.').map(OsStr::new);
    Ok(paths.filter(|path| path.extension() == extension).collect())
}

/// Where the journal of a directory lies.
pub(crate) fn folder_in(directory: &Path) -> PathBuf {
    directory.join(JOURNAL_FOLDER)
}
