//! One file of a log, as its writer and its readers share it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use disk::{Disk, DiskFile, is_out_of_space, replace_atomically};

use crate::duty::{Background, Duty};
use crate::error::{Action, StorageFault};
use crate::index::{self, FOOTER_LEN, Index, IndexEntry, Seal};
use crate::name::{SegmentName, snapshot_file};
use crate::scan::scan;
use crate::write_behind::WriteBehind;

/// One file of a log and its index. Stays readable after its removal for those who hold it.
#[derive(Debug)]
pub(crate) struct Segment<D: Disk> {
    name: SegmentName,
    path: PathBuf,
    file: WriteBehind<D::File>,
    disk: D,
    index: RwLock<SegmentIndex>,
    duty: Duty,
}

#[derive(Debug)]
enum SegmentIndex {
    /// In memory only: the segment is not sealed.
    Held(Index),
    /// In its own file; read when first asked.
    Stored,
    /// In its own file, and in memory since it was asked.
    Read(Index),
}

impl<D: Disk> Segment<D> {
    pub(crate) fn create(disk: &D, folder: &Path, name: SegmentName) -> Result<Self, StorageFault> {
        let path = folder.join(name.log_file());
        let file = disk.create_new(&path).map_err(Action::Create.failed(&path))?;
        let index = RwLock::new(SegmentIndex::Held(Index::default()));
        let file = WriteBehind::new(file);
        Ok(Self { name, path, file, disk: disk.clone(), index, duty: Duty::default() })
    }

    pub(crate) fn open(disk: &D, folder: &Path, name: SegmentName) -> Result<Self, StorageFault> {
        let path = folder.join(name.log_file());
        let file = disk.open(&path).map_err(Action::Open.failed(&path))?;
        let index = RwLock::new(SegmentIndex::Stored);
        let file = WriteBehind::new(file);
        Ok(Self { name, path, file, disk: disk.clone(), index, duty: Duty::default() })
    }

    pub(crate) fn name(&self) -> SegmentName {
        self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &WriteBehind<D::File> {
        &self.file
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.path.with_file_name(self.name.index_file())
    }

    /// Where it is stored what was known of producers before the segment.
    pub(crate) fn snapshot_path(&self) -> PathBuf {
        self.path.with_file_name(snapshot_file(self.name.base))
    }

    /// Makes durable what was appended, whether it was written to the file before or not.
    pub(crate) fn sync(&self) -> Result<(), StorageFault> {
        self.flush()?;
        self.duty.sync(&self.path, || self.file.sync_data())
    }

    /// As [`Segment::sync`], for whoever does not own the log.
    pub(crate) fn sync_in_background(&self) -> Result<Background, StorageFault> {
        self.duty.in_background(&self.path, || {
            self.flush()?;
            self.file.sync_data().map_err(Action::Sync.failed(&self.path))
        })
    }

    /// Writes to the file what waits in memory.
    pub(crate) fn flush(&self) -> Result<(), StorageFault> {
        self.file.flush().map_err(Action::Write.failed(&self.path))
    }

    /// Stores the index, durably. Recovery believes a segment that has one, so the segment must be
    /// durable.
    pub(crate) fn store_index_in_background(&self, seal: Seal) -> Result<Background, StorageFault> {
        let bytes = self.with_index(|index| index::encode(index, seal))?;
        let path = self.index_path();
        self.duty.in_background(&self.path, || replace(&self.disk, &path, &bytes))
    }

    /// Stores what was known of producers before the segment, durably. All that it speaks of must
    /// be durable. Waits while another thread does.
    pub(crate) fn store_snapshot(&self, snapshot: &[u8]) -> Result<Background, StorageFault> {
        let path = self.snapshot_path();
        self.duty.in_background(&self.path, || replace(&self.disk, &path, snapshot))
    }

    /// From here on nothing is done to it in the background.
    pub(crate) fn retire(&self) {
        self.duty.retire();
    }

    /// It is to stay after all.
    pub(crate) fn resume(&self) {
        self.duty.resume();
    }

    /// Reads the footer of the stored index; `None` if there is no valid one.
    pub(crate) fn read_seal(&self) -> Result<Option<Seal>, StorageFault> {
        let path = self.index_path();
        let read = |file: &D::File| {
            let len = file.len()?;
            let Some(footer_at) = len.checked_sub(FOOTER_LEN as u64) else { return Ok(None) };
            let mut footer = [0; FOOTER_LEN];
            file.read_exact_at(&mut footer, footer_at)?;
            Ok(index::decode_footer(&footer, len))
        };
        match self.disk.open(&path).and_then(|file| read(&file)) {
            Ok(seal) => Ok(seal),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Action::Read.failed(&path)(error)),
        }
    }

    /// Takes an index into memory, in place of what there was.
    pub(crate) fn hold_index(&self, index: Index) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = SegmentIndex::Held(index);
    }

    /// Whether the index lies in a file of its own, so that nothing changes here any more.
    pub(crate) fn is_sealed(&self) -> bool {
        !matches!(
            &*self.index.read().unwrap_or_else(PoisonError::into_inner),
            SegmentIndex::Held(_)
        )
    }

    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    /// Leaves the index to its file.
    pub(crate) fn release_index(&self) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = SegmentIndex::Stored;
    }

    /// Notes a batch that was appended.
    pub(crate) fn note(&self, interval: u32, entry: IndexEntry) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *index {
            SegmentIndex::Held(index) => index.note(interval, entry),
            // Appends go to segments whose index is in memory; a lost entry would only cost time.
            SegmentIndex::Stored | SegmentIndex::Read(_) => {}
        }
    }

    /// Asks the index, reading or rebuilding it if it is not in memory.
    pub(crate) fn with_index<T>(&self, ask: impl Fn(&Index) -> T) -> Result<T, StorageFault> {
        match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            SegmentIndex::Held(index) | SegmentIndex::Read(index) => return Ok(ask(index)),
            SegmentIndex::Stored => {}
        }
        let index = self.load_index()?;
        let answer = ask(&index);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = SegmentIndex::Read(index);
        Ok(answer)
    }

    fn load_index(&self) -> Result<Index, StorageFault> {
        let path = self.index_path();
        let stored = match self.disk.open(&path).and_then(|file| read_all(&file)) {
            Ok(bytes) => index::decode(&bytes).map(|(index, _)| index),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Action::Read.failed(&path)(error)),
        };
        match stored {
            Some(index) => Ok(index),
            None => self.rebuild_index(),
        }
    }

    /// Derives the index from the headers of the segment.
    fn rebuild_index(&self) -> Result<Index, StorageFault> {
        scan(&self.file, self.name, REBUILD_INTERVAL, types::Offset::MAX)
            .map(|scan| scan.index)
            .map_err(Action::Read.failed(&self.path))
    }
}

/// Replaces a small file that goes with a log, durably.
pub(crate) fn replace<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> Result<(), StorageFault> {
    replace_atomically(disk, path, bytes).map_err(|source| {
        // Which step it was is not told; all but a full disk may have been the sync.
        let action = if is_out_of_space(&source) { Action::Write } else { Action::Sync };
        action.failed(path)(source)
    })
}

/// Distance of entries in an index that was lost; what the log was configured with is not known
/// here, and any distance answers rightly.
const REBUILD_INTERVAL: u32 = 4096;

fn read_all<F: DiskFile>(file: &F) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
