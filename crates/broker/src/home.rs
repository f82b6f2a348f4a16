//! Which cluster a data directory belongs to. Written once, when its broker first registers: a
//! broker that is pointed at another cluster's coordinators would find none of its topics there,
//! and remove their logs.

use std::io;
use std::path::{Path, PathBuf};

use cluster::ClusterId;
use disk::{Disk, DiskFile, RealDisk, replace_atomically};
use thiserror::Error;

/// The file in the data directory.
const FILE: &str = "cluster-id";

/// A data directory and the coordinators disagree on the cluster.
#[derive(Debug, Error)]
pub enum ForeignCluster {
    /// It is another cluster's.
    #[error(
        "data directory {} belongs to cluster {own}, but the coordinators are of cluster {found}; \
         correct `coordinators`, or start with an empty data directory", directory.display()
    )]
    Other {
        /// The directory.
        directory: PathBuf,
        /// Whose it is.
        own: String,
        /// Whose the coordinators are.
        found: ClusterId,
    },
    /// The file that tells cannot be read or written.
    #[error("{} cannot be used: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
}

/// The data directory, as far as it is not the logs'.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    directory: PathBuf,
}

impl Home {
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Checks that the directory belongs to `cluster`, or makes it so, durably, if it belongs to
    /// none yet.
    pub(crate) async fn belongs_to(&self, cluster: &ClusterId) -> Result<(), ForeignCluster> {
        let (home, cluster) = (self.clone(), cluster.clone());
        let checked = tokio::task::spawn_blocking(move || home.check(cluster)).await;
        checked.unwrap_or_else(|stopped| {
            let source = io::Error::other(stopped);
            Err(ForeignCluster::Unreadable { path: self.directory.join(FILE), source })
        })
    }

    fn check(&self, found: ClusterId) -> Result<(), ForeignCluster> {
        let path = self.directory.join(FILE);
        match read(&path) {
            Ok(own) if own == found.as_str() => Ok(()),
            Ok(own) => Err(ForeignCluster::Other { directory: self.directory.clone(), own, found }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                replace_atomically(&RealDisk, &path, found.as_str().as_bytes())
                    .map_err(|source| ForeignCluster::Unreadable { path, source })
            }
            Err(source) => Err(ForeignCluster::Unreadable { path, source }),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = RealDisk.open(path)?;
    let mut bytes =
        vec![0; ClusterId::MAX_LEN.min(usize::try_from(file.len()?).unwrap_or(usize::MAX))];
    file.read_exact_at(&mut bytes, 0)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_the_first_cluster_it_meets() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let [ours, theirs] = ["ours", "theirs"].map(|name| ClusterId::new(name).unwrap());
        home.check(ours.clone()).unwrap();
        home.check(ours).unwrap();
        let refused = home.check(theirs).unwrap_err().to_string();
        assert!(refused.contains("belongs to cluster ours"), "{refused}");
    }
}
