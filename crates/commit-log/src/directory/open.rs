use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use disk::{Disk, DiskFile, EntryKind, replace_atomically};
use types::{DirectoryId, Timestamp};

use super::Directory;
use super::fence::{Fence, forget_cached, lift_fence, mark, read_fence};
use super::logs::Logs;
use super::upkeep::{UpkeepStage, side_by_side, weigh};
use crate::ballast::Ballast;
use crate::checkpoint::{
    CHECKPOINT_FILE, Checkpoint, Found, JournalLife, JournalMark, JournalPosition, LostEntries,
};
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

/// What a start needs that nobody can foresee.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// Which directory it is, if it does not say.
    directory: DirectoryId,
    /// What the entries of the journal bear that are written from now on.
    journal: JournalMark,
}

impl Fresh {
    /// Random bytes, new for each start: for the directory's id, and for what tells the entries of its
    /// journal from anything that records may hold.
    pub const fn from_random([directory, journal]: [[u8; 16]; 2]) -> Self {
        Self {
            directory: DirectoryId::from_bytes(directory),
            journal: JournalMark::from_bytes(journal),
        }
    }
}

/// Whether a fenced directory is to be used for what its disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It is not fenced.
    NotAskedFor,
    /// It is, and trusted by name.
    AsItIs,
}

/// What became of a log's folder, and the log if it can be used.
type Taken<D> = (RecoveredLog, Option<Log<D>>);

impl<D: Disk> Directory<D> {
    /// Takes a directory: creates it if it is not there, gives it the `fresh` id if it has none, and
    /// recovers every log in it. What the logs then hold is durable.
    ///
    /// # Errors
    /// [`DirectoryError::InUse`] if another process works in it; [`DirectoryError::Fenced`] if a
    /// sync ever failed in it, or its journal lost what a sync had made durable;
    /// [`DirectoryError::Unidentified`] if it holds logs but no identity;
    /// [`DirectoryError::Checkpoint`] if that file is not valid, or older than the journal;
    /// [`DirectoryError::Storage`] for what the disk reports. A damaged log is no error here:
    /// [`Directory::recovered`] tells.
    pub fn open(
        disk: D,
        path: &Path,
        config: DirectoryConfig,
        fresh: Fresh,
        now: Timestamp,
    ) -> Result<Self, DirectoryError> {
        let failed = DirectoryError::of(path);
        create_with_parents(&disk, path).map_err(&failed)?;
        let lock = disk
            .lock(&path.join(LOCK_FILE))
            .map_err(|error| DirectoryError::from_lock(error, path))?;
        let trust = pass_fence(&disk, path, &config)?;
        let space = disk.space(path).map_err(Action::Read.failed(path)).map_err(&failed)?;
        let ballast = Ballast::new(&disk, path, config.ballast.of(space.total));
        let missing = ballast.missing().map_err(&failed)?;
        if space.free < ballast.bytes() {
            // Recovery writes a little before it can free anything.
            ballast.release().map_err(&failed)?;
        }
        let room = room_at_start(space.free, ballast.bytes(), missing);
        let folders = folders(&disk, path).map_err(&failed)?;
        let id = identify(&disk, path, &folders, fresh.directory)?;
        let past = remember(&disk, path, (id, trust), &config)?;
        let journal = Journal::new(path, config.journal, JournalStage::Kept, past.life);
        let write_buffers = write_buffers(&config, ballast.bytes());
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
            checkpoint: past.checkpoint.clone().unwrap_or_default(),
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
        let begun = recovered.and_then(|()| directory.begin_journal(&past, fresh.journal));
        let lifted = begun.and_then(|()| match directory.config.trusted {
            // A mark that was not made whole included.
            Some(trusted) if trusted == id => lift_fence(&directory.disk, path),
            Some(_) | None => Ok(()),
        });
        match lifted {
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
    fn begin_journal(&mut self, past: &Past<D>, mark: JournalMark) -> Result<(), StorageFault> {
        if !self.damaged.is_empty() {
            let mut points = self.checkpoint.points.clone();
            points.retain(|id, _| !self.logs.values().any(|log| log.id() == *id));
            self.points_of_damaged = points;
        }
        let floor = past.life.floor;
        let life = if self.damaged.is_empty() || past.replay.entries() == 0 {
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
            let life = JournalLife { floor: next, mark: Some(mark), ..JournalLife::default() };
            self.journal = Journal::new(&self.path, config, JournalStage::Unannounced, life);
            life
        } else {
            past.life
        };
        let checkpoint = Checkpoint { journal: life, points: self.points() };
        match checkpoint.write(&self.disk, &self.path) {
            Ok(()) => {
                self.checkpoint = checkpoint;
                self.journal.announced();
            }
            // The logs are synced all the same, and the old entries harmless: upkeep tries again.
            Err(fault) if fault.is_out_of_space() && past.replay.lost().is_none() => return Ok(()),
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
    /// How many are missing that had been synced, in a directory that was trusted all the same: logs
    /// that needed them end before them.
    pub lost: u64,
}

impl JournalFound {
    fn of<D: Disk>(past: &Past<D>) -> Self {
        let lost = past.replay.lost().map_or(0, |lost| lost.count);
        Self { entries: past.replay.entries(), lost }
    }
}

/// Reads what a directory remembers of its logs beyond their folders. Fences it if its journal lost
/// what had been synced, unless it is trusted, or that was put up with before.
fn remember<D: Disk>(
    disk: &D,
    path: &Path,
    (id, trust): (DirectoryId, Trust),
    config: &DirectoryConfig,
) -> Result<Past<D>, DirectoryError> {
    let failed = DirectoryError::of(path);
    let is_wrong = || DirectoryError::Checkpoint { file: path.join(CHECKPOINT_FILE) };
    let checkpoint = match Checkpoint::read(disk, path).map_err(&failed)? {
        Found::Some(checkpoint) => Some(checkpoint),
        Found::None => None,
        Found::Damaged => return Err(is_wrong()),
    };
    let newest = newest_life(disk, path);
    let life = if let Some(checkpoint) = &checkpoint {
        let newest = newest.ok().flatten().map(|newest| newest.generation);
        if Some(checkpoint.journal.floor.generation) < newest {
            // One is written before the first entry of a life: it is a copy from an earlier one.
            return Err(is_wrong());
        }
        checkpoint.journal
    } else {
        let floor = newest.map_err(&failed)?.unwrap_or_default();
        JournalLife { floor, ..JournalLife::default() }
    };
    let replay = Replay::read(disk, path, life).map_err(&failed)?;
    let is_accepted =
        |lost: &LostEntries| life.accepted.is_some_and(|accepted| accepted.covers(*lost));
    let unknown = replay.lost().filter(|lost| !is_accepted(lost));
    if let Some(lost) = unknown.filter(|_| trust == Trust::NotAskedFor) {
        let cause = lost.to_string();
        let marked = mark(disk, path, &cause);
        // On a disk that takes no mark the operator's word counts without one.
        if marked.is_ok() || config.trusted != Some(id) {
            return Err(DirectoryError::Fenced { path: path.to_path_buf(), id: Some(id), cause });
        }
    }
    let life = JournalLife { accepted: replay.lost(), ..life };
    Ok(Past { checkpoint, life, replay })
}

/// Refuses a fenced directory, unless it is trusted by name. Then files read as they lie on the disk from
/// here on, not as the cache still shows them; the fence stays until the start is through.
fn pass_fence<D: Disk>(
    disk: &D,
    path: &Path,
    config: &DirectoryConfig,
) -> Result<Trust, DirectoryError> {
    let failed = DirectoryError::of(path);
    let Some(cause) = read_fence(disk, path).map_err(&failed)? else {
        return Ok(Trust::NotAskedFor);
    };
    let id = read_identity(disk, path).map_err(&failed)?;
    if id.is_none() || id != config.trusted {
        return Err(DirectoryError::Fenced { path: path.to_path_buf(), id, cause });
    }
    forget_cached(disk, path).map_err(&failed)?;
    Ok(Trust::AsItIs)
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
