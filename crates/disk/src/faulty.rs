//! A disk in memory that takes every freedom the law of [`Disk`] grants.

mod misfortune;
mod node;
mod random;
mod state;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Disk, DiskFile, Entry, LockError, Space};
use node::NodeId;
use state::State;

/// A disk in memory whose misfortunes are drawn from a seed.
///
/// Left alone it works, with reads that are often short. [`FaultyDisk::lose_power`] drops what was
/// not synced, in any combination; [`FaultyDisk::cut_power_after`] lets that happen in the middle of
/// whatever is going on; [`FaultyDisk::fail`] plans a single error; [`FaultyDisk::set_capacity`]
/// makes it small. Clones are the same disk. Used by one thread, the same calls on the same seed
/// always end the same way.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

/// One open file of a [`FaultyDisk`]. After a loss of power every operation on it fails.
#[derive(Debug)]
pub struct FaultyFile {
    disk: FaultyDisk,
    node: NodeId,
    life: u64,
}

/// A held lock of a [`FaultyDisk`]. A loss of power takes it away.
#[derive(Debug)]
pub struct FaultyLock {
    disk: FaultyDisk,
    path: PathBuf,
    life: u64,
}

/// Kinds of operations that a fault can be planned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`DiskFile::read_at`]
    Read,
    /// [`DiskFile::write_all_vectored_at`]; a failing one leaves any part of it behind.
    Write,
    /// [`DiskFile::sync_data`]; a failing one keeps any part and forgets the rest.
    SyncData,
    /// [`Disk::sync_dir`]; as above.
    SyncDir,
    /// The opening of a directory for [`Disk::sync_dir`]: whatever error is planned, it is that no more
    /// files can be open, and nothing was tried.
    OpenDir,
    /// [`DiskFile::set_len`]
    SetLen,
    /// [`Disk::create_new`] and [`Disk::create_dir`]
    Create,
    /// [`Disk::rename`]
    Rename,
    /// [`Disk::remove_file`] and [`Disk::remove_dir`]
    Remove,
}

/// One error to come.
#[derive(Clone, Debug)]
pub struct PlannedFault {
    /// What is to fail.
    pub operation: Operation,
    /// Only on paths that contain this text; empty for all. A file counts by the name it was
    /// opened or created under.
    pub path_contains: String,
    /// How many such operations succeed before.
    pub after: u32,
    /// What the caller sees.
    pub error: io::ErrorKind,
}

impl FaultyDisk {
    /// An empty disk with a root directory `/`.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))) }
    }

    /// Takes the power away and brings it back: what was not synced is lost in any combination,
    /// locks are gone, open files are dead, planned faults are forgotten.
    pub fn lose_power(&self) {
        self.state().lose_power();
    }

    /// Takes the power away during the operation that follows `operations` further changes (writes,
    /// syncs, namings). From then on everything fails until [`FaultyDisk::lose_power`].
    pub fn cut_power_after(&self, operations: u32) {
        self.state().misfortune().cut_power_after(operations);
    }

    /// Whether a planned cut has come, so that everything fails.
    pub fn is_without_power(&self) -> bool {
        self.state().misfortune().is_without_power()
    }

    /// Plans one error.
    pub fn fail(&self, fault: PlannedFault) {
        self.state().misfortune().plan(fault);
    }

    /// Planned errors that have not come yet.
    pub fn faults_to_come(&self) -> usize {
        self.state().misfortune().faults_to_come()
    }

    /// Takes planned errors back that have not come yet.
    pub fn forget_faults(&self) {
        self.state().misfortune().forget();
    }

    /// Bytes that all files hold together.
    pub fn used(&self) -> u64 {
        self.state().used_in_all()
    }

    /// Limits what all files may hold together; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().set_capacity(bytes);
    }

    /// Flips one bit of a file, durably and without anyone noticing.
    ///
    /// # Errors
    /// `NotFound` if there is no such file, `UnexpectedEof` if it ends before `position`.
    pub fn rot(&self, path: &Path, position: u64) -> io::Result<()> {
        self.state().rot(path, position)
    }

    /// Makes a byte of a file unreadable, for good: a read ends before it, and fails at it.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    pub fn spoil(&self, path: &Path, position: u64) -> io::Result<()> {
        self.state().spoil(path, position)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere must not hide its own message behind this one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, node: NodeId, life: u64) -> FaultyFile {
        FaultyFile { disk: self.clone(), node, life }
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;
    type Lock = FaultyLock;

    fn create_new(&self, path: &Path) -> io::Result<FaultyFile> {
        let mut state = self.state();
        let node = state.create_file(path)?;
        Ok(self.file(node, state.life()))
    }

    fn open(&self, path: &Path) -> io::Result<FaultyFile> {
        let mut state = self.state();
        let node = state.open(path)?;
        Ok(self.file(node, state.life()))
    }

    fn open_uncached(&self, path: &Path) -> io::Result<FaultyFile> {
        self.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.state().list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().create_dir(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.state().remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().remove_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().sync_dir(dir)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.state().space(dir)
    }

    fn lock(&self, path: &Path) -> Result<FaultyLock, LockError> {
        let life = self.state().lock(path)?;
        Ok(FaultyLock { disk: self.clone(), path: path.to_path_buf(), life })
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.disk.state().read(self.node, self.life, buffer, position)
    }

    fn write_all_vectored_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        for slice in slices.iter() {
            bytes.extend_from_slice(slice);
        }
        self.disk.state().write(self.node, self.life, &bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().sync_data(self.node, self.life)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.state().set_len(self.node, self.life, len)
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.disk.state().forget_cached(self.node, self.life)
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.state().len(self.node, self.life)
    }
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.disk.state().unlock(&self.path, self.life);
    }
}
