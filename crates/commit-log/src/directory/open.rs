use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use disk::{Disk, DiskFile, EntryKind, replace_atomically};
use types::{DirectoryId, Timestamp};

use super::Directory;
use super::fence::read_fence;
use crate::checksum::crc32c;
use crate::config::DirectoryConfig;
use crate::error::{Action, DirectoryError, Fenced, StorageFault};
use crate::log::{Recovered, RecoveredLog, Unrecovered, recover, sweep};
use crate::name::Folder;

const LOCK_FILE: &str = "lock";
const IDENTITY_FILE: &str = "directory.meta";
const IDENTITY_MAGIC: [u8; 4] = *b"DLD1";
const IDENTITY_LEN: usize = 4 + 16 + 4;

impl<D: Disk> Directory<D> {
    /// Takes a directory: creates it if it is not there, gives it `fresh_id` (16 random bytes) if
    /// it has none, and recovers every log in it. What the logs then hold is durable.
    ///
    /// # Errors
    /// [`DirectoryError::InUse`] if another process works in it; [`DirectoryError::Fenced`] if a
    /// sync ever failed in it; [`DirectoryError::Unidentified`] if it holds logs but no identity;
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
            return Err(DirectoryError::Fenced { path: path.to_path_buf(), cause });
        }
        let folders = folders(&disk, path).map_err(&failed)?;
        let id = identify(&disk, path, &folders, fresh_id)?;
        let mut directory = Self {
            disk,
            path: path.to_path_buf(),
            id,
            config,
            logs: BTreeMap::new(),
            recovered: Vec::new(),
            damaged: BTreeSet::new(),
            fenced: None,
            lock,
        };
        match directory.take_in_all(&folders, now) {
            Ok(()) => Ok(directory),
            Err(fault) if fault.is_final() => {
                let Fenced { path, cause } = directory.fence(&fault);
                Err(DirectoryError::Fenced { path, cause })
            }
            Err(fault) => Err(failed(fault)),
        }
    }

    fn take_in_all(
        &mut self,
        folders: &[(String, Folder)],
        now: Timestamp,
    ) -> Result<(), StorageFault> {
        for (name, folder) in folders {
            self.take_in(name, folder, now)?;
        }
        // An earlier life may have made or moved folders without living to sync that.
        self.sync_names()
    }

    fn take_in(&mut self, name: &str, folder: &Folder, now: Timestamp) -> Result<(), StorageFault> {
        let path = self.path.join(name);
        let log = match folder {
            Folder::Log(log) => *log,
            Folder::Leftover => return sweep(&self.disk, &path),
            Folder::Foreign => return Ok(()),
        };
        match recover(&self.disk, &path, log, &self.config.log, now) {
            Ok((recovered, report)) => {
                self.logs.insert(log, recovered);
                self.recovered.push(report);
            }
            Err(Unrecovered::Damaged(damage)) => {
                self.damaged.insert(log);
                let outcome = Recovered::Damaged(damage);
                self.recovered.push(RecoveredLog { log, outcome });
            }
            Err(Unrecovered::Storage(fault)) => return Err(fault),
        }
        Ok(())
    }
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

/// Reads which directory this is, or writes it.
fn identify<D: Disk>(
    disk: &D,
    path: &Path,
    folders: &[(String, Folder)],
    fresh_id: DirectoryId,
) -> Result<DirectoryId, DirectoryError> {
    let file_path = path.join(IDENTITY_FILE);
    let failed = DirectoryError::of(path);
    let mut bytes = [0; IDENTITY_LEN];
    match disk.open(&file_path).and_then(|file| file.read_exact_at(&mut bytes, 0)) {
        Ok(()) => {
            if let Some(id) = decode_identity(bytes) {
                return Ok(id);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(failed(Action::Read.failed(&file_path)(error))),
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
