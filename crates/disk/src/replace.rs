use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Disk, DiskFile};

/// Ends the name of a file that is being written; whoever finds one at start may remove it.
const UNFINISHED: &str = ".tmp";

/// Makes `path` hold exactly `bytes`, durably: at any crash it holds either these or what it held
/// before.
///
/// # Errors
/// What the disk reports. The old content then still stands, unless the last step, the sync of the
/// directory, is what failed: then either may.
pub fn replace_atomically<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(path);
    match disk.remove_file(&unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = disk.create_new(&unfinished)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&unfinished, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new("")))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(UNFINISHED);
    path.with_file_name(name)
}
