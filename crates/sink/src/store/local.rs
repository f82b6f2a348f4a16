use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use lake::LakePath;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Entry, EntryKind, FileStore, FileWriter, Operation, StoreError};

/// A lake in a directory of this machine: `file://`.
///
/// The directory's file system must be able to rename without replacing (ext4, xfs, btrfs, tmpfs).
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: Arc<Path>,
}

/// A file being written on this machine.
#[derive(Debug)]
pub struct LocalWriter {
    /// Away while a write is at work on it.
    file: Option<File>,
    path: LakePath,
}

impl LocalStore {
    /// The lake below `root`, which is made, durably, with the first directory in it: looking at a
    /// lake changes nothing.
    pub fn new(root: &Path) -> Self {
        Self { root: Arc::from(root) }
    }

    fn at(&self, path: &LakePath) -> PathBuf {
        self.root.join(path.as_str())
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &LakePath,
        call: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.at(path);
        blocking(operation, path, move || call(&place)).await
    }
}

/// Runs a system call where it may block.
async fn blocking<T: Send + 'static>(
    operation: Operation,
    path: &LakePath,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result.map_err(|source| answer(operation, path, source)),
        // The runtime is going down, or the call panicked: nobody saw how far it came.
        Err(source) => {
            Err(StoreError::Unknown { operation, path: path.clone(), source: Box::new(source) })
        }
    }
}

fn answer(operation: Operation, path: &LakePath, source: io::Error) -> StoreError {
    let path = path.clone();
    let kind = source.kind();
    if kind == ErrorKind::NotFound {
        StoreError::NotFound { path }
    } else if kind == ErrorKind::AlreadyExists {
        StoreError::AlreadyExists { path }
    } else if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        StoreError::Full { operation, path, source: Box::new(source) }
    } else {
        StoreError::Failed { operation, path, source: Box::new(source) }
    }
}

/// Makes a lake's root and what is missing above it, and syncs their names: what lies below a name
/// that a loss of power takes is lost with it.
fn make_root(root: &Path) -> io::Result<()> {
    let missing: Vec<_> = root.ancestors().take_while(|above| !is_there(above)).collect();
    fs::create_dir_all(root)?;
    for made in missing {
        let above = made.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn is_there(place: &Path) -> bool {
    // The last ancestor of a relative path is the empty one: the working directory.
    place.as_os_str().is_empty() || place.exists()
}

fn kind(metadata: &fs::Metadata) -> EntryKind {
    if metadata.is_dir() { EntryKind::Directory } else { EntryKind::File { len: metadata.len() } }
}

impl FileStore for LocalStore {
    type Writer = LocalWriter;

    async fn create(&self, path: &LakePath) -> Result<LocalWriter, StoreError> {
        let create = |place: &Path| OpenOptions::new().write(true).create_new(true).open(place);
        let file = self.run(Operation::Create, path, create).await?;
        Ok(LocalWriter { file: Some(file), path: path.clone() })
    }

    async fn rename(&self, from: &LakePath, to: &LakePath) -> Result<(), StoreError> {
        let target = self.at(to);
        let rename = move |place: &Path| {
            renameat_with(CWD, place, CWD, &target, RenameFlags::NOREPLACE).map_err(Into::into)
        };
        match self.run(Operation::Rename, from, rename).await {
            Err(StoreError::AlreadyExists { .. }) => {
                Err(StoreError::AlreadyExists { path: to.clone() })
            }
            answer => answer,
        }
    }

    async fn make_directories(&self, path: &LakePath) -> Result<(), StoreError> {
        let root = Arc::clone(&self.root);
        let make = move |place: &Path| {
            make_root(&root)?;
            fs::create_dir_all(place)
        };
        self.run(Operation::MakeDirectories, path, make).await
    }

    async fn list(&self, path: &LakePath) -> Result<Vec<Entry>, StoreError> {
        let list = |place: &Path| {
            let mut entries = Vec::new();
            for entry in fs::read_dir(place)? {
                let entry = entry?;
                let kind = match entry.metadata() {
                    Ok(metadata) => kind(&metadata),
                    // Gone since the directory was read.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                // A name that is not UTF-8 is a stranger's, and still nothing to hide.
                entries.push(Entry { name: entry.file_name().to_string_lossy().into(), kind });
            }
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        };
        self.run(Operation::List, path, list).await
    }

    async fn stat(&self, path: &LakePath) -> Result<Option<EntryKind>, StoreError> {
        match self.run(Operation::Stat, path, |place| fs::metadata(place)).await {
            Ok(metadata) => Ok(Some(kind(&metadata))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, path: &LakePath, position: u64, max: usize) -> Result<Bytes, StoreError> {
        let read = move |place: &Path| {
            let file = File::open(place)?;
            let left = file.metadata()?.len().saturating_sub(position);
            let mut piece = vec![0; usize::try_from(left).unwrap_or(max).min(max)];
            file.read_exact_at(&mut piece, position)?;
            Ok(Bytes::from(piece))
        };
        self.run(Operation::Read, path, read).await
    }

    async fn delete(&self, path: &LakePath) -> Result<(), StoreError> {
        let delete = |place: &Path| match fs::symlink_metadata(place) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(place),
            Ok(_) => fs::remove_file(place),
            Err(error) => Err(error),
        };
        match self.run(Operation::Delete, path, delete).await {
            Err(StoreError::NotFound { .. }) => Ok(()),
            answer => answer,
        }
    }

    async fn sync_directory(&self, path: &LakePath) -> Result<(), StoreError> {
        let sync = |place: &Path| File::open(place)?.sync_all();
        self.run(Operation::SyncDirectory, path, sync).await
    }
}

impl LocalWriter {
    fn take(&mut self, operation: Operation) -> Result<File, StoreError> {
        let broken = || answer(operation, &self.path, io::Error::other("an earlier write failed"));
        self.file.take().ok_or_else(broken)
    }
}

impl FileWriter for LocalWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let mut file = self.take(Operation::Write)?;
        let write = move || file.write_all(&bytes).map(|()| file);
        self.file = Some(blocking(Operation::Write, &self.path, write).await?);
        Ok(())
    }

    async fn close(mut self) -> Result<(), StoreError> {
        let file = self.take(Operation::Close)?;
        blocking(Operation::Close, &self.path, move || file.sync_all()).await
    }
}
