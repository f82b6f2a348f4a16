//! Somebody who keeps the disk busy, as a backup or a download would: what
//! `dd if=/dev/zero bs=1M count=256 conv=fdatasync` does, to a new file again and again.

use std::fs::{File, create_dir, remove_dir_all, remove_file};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use measure::ASIDE_THREADS;
use tokio_util::sync::CancellationToken;

use super::append::blocking;
use super::topic::unexpected;
use crate::exit::Failure;

/// What is written at once.
const WRITE_BYTES: usize = 1 << 20;
/// How many of these a file gets before it is synced and removed: most that it takes of the disk.
const WRITES: u32 = 256;

/// A thread that dirties the disk until it is told to end.
pub(super) struct Dirt {
    folder: PathBuf,
    stop: CancellationToken,
    thread: JoinHandle<io::Result<()>>,
}

impl Dirt {
    /// Begins at once, in a new folder below `folder`.
    ///
    /// # Errors
    ///
    /// There is no folder or no thread to be had.
    pub(super) fn begin(folder: &Path) -> Result<Self, Failure> {
        let folder = folder.join("dirt");
        create_dir(&folder)?;
        let stop = CancellationToken::new();
        let (path, told) = (folder.join("file"), stop.clone());
        let thread =
            Builder::new().name(ASIDE_THREADS.to_owned()).spawn(move || write(&path, &told))?;
        Ok(Self { folder, stop, thread })
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// It had ended before: the disk is full or broken, and what was measured beside it is void.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.stop.cancel();
        let Self { folder, thread, .. } = self;
        blocking(move || {
            thread.join().map_err(|_panic| unexpected("who dirties the disk died"))??;
            Ok(remove_dir_all(folder)?)
        })
        .await
    }
}

fn write(path: &Path, stop: &CancellationToken) -> io::Result<()> {
    let zeros = vec![0; WRITE_BYTES];
    loop {
        let mut file = File::create_new(path)?;
        for _ in 0..WRITES {
            if stop.is_cancelled() {
                return Ok(());
            }
            file.write_all(&zeros)?;
        }
        file.sync_data()?;
        remove_file(path)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_left_when_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let dirt = Dirt::begin(folder.path()).unwrap();
        dirt.end().await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
