use std::path::{Path, PathBuf};

use disk::{Disk, LockError, RealDisk};

use crate::exit::{Exit, Failure};

/// Where a lab keeps everything, for as long as it runs its own.
pub(super) struct Home {
    root: PathBuf,
    _lock: <RealDisk as Disk>::Lock,
}

impl Home {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    ///
    /// Another lab runs there, or the directory cannot be used.
    pub(super) fn open(root: &Path) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| {
            let failure = Failure::from(error);
            let message = format!("the lab's directory {} cannot be used", root.display());
            failure.within(&message).next("lab --dir ./another-lab")
        };
        std::fs::create_dir_all(root).map_err(unusable)?;
        let root = root.canonicalize().map_err(unusable)?;
        let lock = RealDisk.lock(&root.join("lab.lock")).map_err(|error| match error {
            LockError::Held { holder, .. } => {
                let holder = holder.map_or_else(String::new, |holder| format!(" ({holder})"));
                let root = root.display();
                let message = format!("another lab runs in {root}{holder}; stop it first");
                Failure::new(Exit::Conflict, message).next("lab --dir ./another-lab --ports 0")
            }
            LockError::Io { source, .. } => unusable(source),
        })?;
        Ok(Self { root, _lock: lock })
    }

    /// The directory itself, as an absolute path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn coordinator(&self) -> PathBuf {
        self.root.join("coordinator")
    }

    pub(super) fn broker(&self) -> PathBuf {
        self.root.join("broker")
    }

    pub(super) fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    pub(super) fn lake(&self) -> PathBuf {
        self.root.join("lake")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_labs_never_share_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = Home::open(folder.path()).unwrap();
        let Err(Failure::Error { exit, message, next }) = Home::open(folder.path()) else {
            panic!("the directory was given out twice");
        };
        assert_eq!(exit, Exit::Conflict);
        assert!(message.contains("another lab runs in"), "{message}");
        assert!(next.is_some());
        drop(first);
        assert!(Home::open(folder.path()).is_ok());
    }

    #[test]
    fn a_file_in_the_directory_s_place_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let Err(Failure::Error { message, .. }) = Home::open(file.path()) else {
            panic!("a file was taken for a directory");
        };
        assert!(message.contains(&file.path().display().to_string()), "{message}");
    }
}
