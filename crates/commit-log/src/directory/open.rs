use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use disk::{Disk, DiskFile, EntryKind, replace_atomically};
use types::{DirectoryId, Timestamp};

use super::Directory;
use super::fence::{Fence, lift_fence, read_fence};
use super::logs::Logs;
use super::upkeep::{UpkeepStage, side_by_side, weigh};
use crate::ballast::Ballast;
use crate::checkpoint::{CHECKPOINT_FILE, Checkpoint, Found, JournalPosition};
use crate::checksum::crc32c;
use crate::config::{DirectoryConfig, WriteBufferConfig};
use crate::error::{Action, DirectoryError, Fenced, StorageFault};
use crate::journal::replay::{Replay, newest_life};
use crate::journal::{Journal, JournalStage, discard, folder_in, forget};
use crate::log::{Log, Past, Recovered, RecoveredLog, Unrecovered, recover, sweep};
use crate::name::Folder;
use crate::room::Room;
use crate::write_behind::WriteBuffers;

const LOCK_FILE: &str = "lock";
const IDENTITY_FILE: &str = "directory.meta";
const IDENTITY_MAGIC: [u8; 4] = *b"DLD1";
const IDENTITY_LEN: usize = 4 + 16 + 4;

/// What became of a log's folder, and the log if it can be used.
type Taken<D> = (RecoveredLog, Option<Log<D>>);

impl<D: Disk> Directory<D> {
    /// Takes a directory: creates it if it is not there, gives it `fresh_id` (16 random bytes) if
    /// it has none, and recovers every log in it. What the logs then hold is durable.
    ///
    /// # Errors
    /// [`DirectoryError::InUse`] if another process works in it; [`DirectoryError::Fenced`] if a
    /// sync ever failed in it; [`DirectoryError::Unidentified`] if it holds logs but no identity;
    /// [`DirectoryError::Checkpoint`] if that file is not valid;
    /// [`DirectoryError::Storage`] for what the disk reports. A damaged log is no error here:
    /// [`Directory::recovered`] tells.
    pub fn open(
        disk: D,
        path: &Path,
        config: DirectoryConfig,
        fresh_id: DirectoryId,
        now: Timestamp,
    ) -> Result<Self, DirectoryError> {
        let failed = DirectoryError::of(path);
        create_with_parents(&disk, path).map_err(&failed)?;
        let lock = disk
            .lock(&path.join(LOCK_FILE))
            .map_err(|error| DirectoryError::from_lock(error, path))?;
        if let Some(cause) = read_fence(&disk, path).map_err(&failed)? {
            let id = read_identity(&disk, path).map_err(&failed)?;
            if id.is_none() || id != config.trusted {
                return Err(DirectoryError::Fenced { path: path.to_path_buf(), id, cause });
            }
            lift_fence(&disk, path).map_err(&failed)?;
        }
        let space = disk.space(path).map_err(Action::Read.failed(path)).map_err(&failed)?;
        let ballast = Ballast::new(&disk, path, config.ballast.of(space.total));
        let missing = ballast.missing().map_err(&failed)?;
        if space.free < ballast.bytes() {
            // Recovery writes a little before it can free anything.
            ballast.release().map_err(&failed)?;
        }
        let room = room_at_start(space.free, ballast.bytes(), missing);
        let folders = folders(&disk, path).map_err(&failed)?;
        let id = identify(&disk, path, &folders, fresh_id)?;
        let checkpoint = match Checkpoint::read(&disk, path).map_err(&failed)? {
            Found::Some(checkpoint) => Some(checkpoint),
            Found::None => None,
            Found::Damaged => {
                return Err(DirectoryError::Checkpoint { file: path.join(CHECKPOINT_FILE) });
            }
        };
        let floor = match &checkpoint {
            Some(checkpoint) => checkpoint.journal_floor,
            None => newest_life(&disk, path).map_err(&failed)?.unwrap_or_default(),
        };
        let replay = Replay::read(&disk, path, floor).map_err(&failed)?;
        let journal = Journal::new(path, config.journal, JournalStage::Kept, floor);
        let write_buffers = write_buffers(&config, ballast.bytes());
        let past = Past { checkpoint: checkpoint.clone(), floor, replay };
        let mut directory = Self {
            disk,
            path: path.to_path_buf(),
            id,
            config,
            logs: Logs::new(),
            recovered: Vec::new(),
            journal_found: JournalFound::of(&past),
            damaged: BTreeSet::new(),
            journal,
            checkpoint: checkpoint.unwrap_or_default(),
            points_of_damaged: BTreeMap::new(),
            upkeep: UpkeepStage::Idle,
            write_buffers: Arc::new(WriteBuffers::new(write_buffers)),
            ballast: Arc::new(ballast),
            room,
            fence: Fence::default(),
            leftovers: Vec::new(),
            moved: BTreeMap::new(),
            unmade: BTreeSet::new(),
            lock,
        };
        let recovered = directory.take_in_all(folders, &past, now);
        match recovered.and_then(|()| directory.begin_journal(&past)) {
            Ok(()) => Ok(directory),
            Err(fault) if fault.is_final() => {
                let Fenced { path, cause } = directory.fence(&fault);
                Err(DirectoryError::Fenced { path, id: Some(id), cause })
            }
            Err(fault) => Err(failed(fault)),
        }
    }

    fn take_in_all(
        &mut self,
        folders: Vec<(String, Folder)>,
        past: &Past<D>,
        now: Timestamp,
    ) -> Result<(), StorageFault> {
        let (disk, path, log) = (&self.disk, &self.path, &self.config.log);
        let fence = &self.fence;
        let take_in = |(name, folder): (String, Folder)| {
            let folder_path = path.join(name);
            let taken = match folder {
                Folder::Log(key) => match recover(disk, &folder_path, key, (log, now), past) {
                    Ok((log, report)) => Ok(Some((report, Some(log)))),
                    Err(Unrecovered::Damaged(damage)) => {
                        let outcome = Recovered::Damaged(damage);
                        Ok(Some((RecoveredLog { log: key, outcome }, None)))
                    }
                    Err(Unrecovered::Storage(fault)) => Err(fault),
                },
                Folder::Leftover => sweep(disk, &folder_path).map(|()| None),
                Folder::Foreign => Ok(None),
            };
            if let Some(fault) = taken.as_ref().err().filter(|fault| fault.is_final()) {
                // Now: the others may take long, and the process may be killed meanwhile.
                fence.set_in_background(disk, path, fault);
            }
            taken
        };
        let threads = self.config.sync_threads.get();
        let mut outcomes: Vec<Option<Taken<D>>> = Vec::with_capacity(folders.len());
        let mut fault = None;
        for taken in side_by_side(folders, threads, take_in) {
            match taken {
                Ok(outcome) => outcomes.push(outcome),
                Err(found) => weigh(&mut fault, Some(found)),
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        for (report, log) in outcomes.into_iter().flatten() {
            match log {
                Some(log) => {
                    self.logs.insert(report.log, log);
                }
                None => {
                    self.damaged.insert(report.log);
                }
            }
            self.recovered.push(report);
        }
        self.recovered.sort_by_key(|report| report.log);
        // An earlier life may have made or moved folders without living to sync that.
        self.sync_names()
    }

    /// Begins a new generation of the journal, now that all logs are synced: no entry of an earlier
    /// one counts from here on. A damaged log may yet need them, so then they are kept, and this
    /// life goes without a journal.
    fn begin_journal(&mut self, past: &Past<D>) -> Result<(), StorageFault> {
        if !self.damaged.is_empty() {
            let mut points = self.checkpoint.points.clone();
            points.retain(|id, _| !self.logs.values().any(|log| log.id() == *id));
            self.points_of_damaged = points;
        }
        let floor = past.floor;
        let journal_floor = if self.damaged.is_empty() || past.replay.entries() == 0 {
            if past.checkpoint.is_none() {
                // A checkpoint that was lost had counted generations, and an entry that is left
                // from then could pass for one of this life.
                forget(&self.disk, &folder_in(&self.path))?;
            }
            // A log that was cut in a life of which the journal holds nothing knows it, too: behind
            // that, or the log would take what is to come for void.
            let of_logs = self.logs.values().map(|log| log.void_below().generation).max();
            let last = floor.generation.max(of_logs.unwrap_or_default());
            let generation = last.saturating_add(1);
            let next = JournalPosition { generation, sequence: 0 };
            let config = self.config.journal;
            self.journal = Journal::new(&self.path, config, JournalStage::Unannounced, next);
            next
        } else {
            floor
        };
        let checkpoint = Checkpoint { journal_floor, points: self.points() };
        match checkpoint.write(&self.disk, &self.path) {
            Ok(()) => {
                self.checkpoint = checkpoint;
                self.journal.announced();
            }
            // The logs are synced all the same, and the old entries harmless: upkeep tries again.
            Err(fault) if fault.is_out_of_space() => return Ok(()),
            Err(fault) => return Err(fault),
        }
        if self.config.journal.is_none() && self.journal.stage() != JournalStage::Kept {
            discard(&self.disk, &folder_in(&self.path))?;
        }
        Ok(())
    }
}

/// What the journal of an earlier life held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalFound {
    /// Entries that were read, whether or not their logs needed them.
    pub entries: u64,
    /// Whether one is missing although later ones are there. Logs that needed it are damaged. Not
    /// known without a checkpoint: files that were used again leave gaps that harm nobody.
    pub is_damaged: bool,
}

impl JournalFound {
    fn of<D: Disk>(past: &Past<D>) -> Self {
        let is_damaged = past.checkpoint.is_some() && past.replay.missing().is_some();
        Self { entries: past.replay.entries(), is_damaged }
    }
}

/// How much room there is before anybody has told: what the ballast gives up, now or before, is for what
/// deletes, and is not there to be used by the first round of upkeep.
fn room_at_start(free: u64, ballast_bytes: u64, missing: u64) -> Room {
    let needed = ballast_bytes.saturating_add(missing);
    if free < needed { Room::Critical { free, needed } } else { Room::Ample }
}

/// How much may wait in memory: no more than the ballast gives back, so that the start after a crash
/// finds room for what the journal alone holds, on a disk that was full.
fn write_buffers(config: &DirectoryConfig, ballast_bytes: u64) -> WriteBufferConfig {
    let asked = config.journal.map_or(WriteBufferConfig::NONE, |journal| journal.write_buffers);
    let ballast_bytes = usize::try_from(ballast_bytes).unwrap_or(usize::MAX);
    WriteBufferConfig { bytes: asked.bytes.min(ballast_bytes), ..asked }
}

fn create_with_parents<D: Disk>(disk: &D, path: &Path) -> Result<(), StorageFault> {
    match disk.list(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Action::List.failed(path)(error)),
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    if !parent.as_os_str().is_empty() {
        create_with_parents(disk, parent)?;
    }
    disk.create_dir(path).map_err(Action::Create.failed(path))?;
    disk.sync_dir(parent).map_err(Action::Sync.failed(parent))
}

fn folders<D: Disk>(disk: &D, path: &Path) -> Result<Vec<(String, Folder)>, StorageFault> {
    let entries = disk.list(path).map_err(Action::List.failed(path))?;
    let folders = entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
    let names = folders.filter_map(|entry| entry.name.into_string().ok());
    Ok(names
        .map(|name| (Folder::parse(&name), name))
        .map(|(folder, name)| (name, folder))
        .collect())
}

/// Which directory this is, if it says so.
fn read_identity<D: Disk>(disk: &D, path: &Path) -> Result<Option<DirectoryId>, StorageFault> {
    let file_path = path.join(IDENTITY_FILE);
    let mut bytes = [0; IDENTITY_LEN];
    match disk.open(&file_path).and_then(|file| file.read_exact_at(&mut bytes, 0)) {
        Ok(()) => Ok(decode_identity(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(Action::Read.failed(&file_path)(error)),
    }
}

/// Reads which directory this is, or writes it.
fn identify<D: Disk>(
    disk: &D,
    path: &Path,
    folders: &[(String, Folder)],
    fresh_id: DirectoryId,
) -> Result<DirectoryId, DirectoryError> {
    let file_path = path.join(IDENTITY_FILE);
    let failed = DirectoryError::of(path);
    if let Some(id) = read_identity(disk, path).map_err(&failed)? {
        return Ok(id);
    }
    if folders.iter().any(|(_, folder)| matches!(folder, Folder::Log(_))) {
        return Err(DirectoryError::Unidentified { path: path.to_path_buf(), file: IDENTITY_FILE });
    }
    replace_atomically(disk, &file_path, &encode_identity(fresh_id))
        .map_err(|error| failed(Action::Write.failed(&file_path)(error)))?;
    Ok(fresh_id)
}

fn encode_identity(id: DirectoryId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(IDENTITY_LEN);
    bytes.extend(IDENTITY_MAGIC);
    bytes.extend(id.to_bytes());
    bytes.extend(crc32c(&bytes).to_be_bytes());
    bytes
}

fn decode_identity(bytes: [u8; IDENTITY_LEN]) -> Option<DirectoryId> {
    let (fields, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c(fields) != u32::from_be_bytes(*crc) {
        return None;
    }
    fields.strip_prefix(&IDENTITY_MAGIC)?.first_chunk().map(|id| DirectoryId::from_bytes(*id))
}
