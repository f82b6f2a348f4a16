//! How far a run has come, as whoever looks at the lake can see.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// How often the lake is looked at.
pub(crate) const GLANCE: Duration = Duration::from_micros(100);

/// What can be seen of a run in the lake, in the order in which it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Its staging directory is there.
    Begun,
    /// It has staged files.
    Staged { files: usize },
    /// Its record lies in staging, ready to be renamed.
    Prepared,
    /// Its record is in the log.
    Committed,
    /// Some of its files are where readers look.
    Published { files: usize },
    /// Its commit is marked done.
    Done,
}

/// Moments of a run from its beginning until all of it is published.
pub(crate) const MOMENTS: [Moment; 7] = [
    Moment::Begun,
    Moment::Staged { files: 1 },
    Moment::Staged { files: 100 },
    Moment::Prepared,
    Moment::Committed,
    Moment::Published { files: 1 },
    Moment::Published { files: 100 },
];
/// How often a moment is tried for: it may pass unseen.
pub(crate) const TRIES: u32 = 10;

/// What lies in the lake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) runs: usize,
    pub(crate) staged: usize,
    pub(crate) prepared: usize,
    pub(crate) records: usize,
    pub(crate) done: usize,
    pub(crate) published: usize,
}

impl Sight {
    /// What lies there now.
    pub(crate) fn of(root: &Path) -> Self {
        let mut sight = Self::default();
        for run in list(&root.join("_staging/t")) {
            sight.runs += 1;
            let names = list(&root.join("_staging/t").join(run));
            sight.staged += names.iter().filter(|name| is(name, "avro")).count();
            sight.prepared += names.iter().filter(|name| name.starts_with("commit-")).count();
        }
        for name in list(&root.join("_state/t/log")) {
            sight.records += usize::from(is(&name, "json"));
            sight.done += usize::from(is(&name, "done"));
        }
        sight.published = files_below(&root.join("t"));
        sight
    }

    /// Whether a run that began at `before` has come to `moment`.
    pub(crate) fn shows(self, moment: Moment, before: Self) -> bool {
        match moment {
            Moment::Begun => before.runs < self.runs,
            Moment::Staged { files } => before.staged + files <= self.staged,
            Moment::Prepared => before.prepared < self.prepared,
            Moment::Committed => before.records < self.records,
            Moment::Published { files } => {
                before.records < self.records && before.published + files <= self.published
            }
            Moment::Done => before.records < self.records && before.done < self.done,
        }
    }
}

fn is(name: &str, kind: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == kind)
}

/// The names in a directory, none if it is not there (any more).
fn list(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn files_below(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let count = |entry: fs::DirEntry| {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(&entry.path())
        } else {
            1
        }
    };
    entries.map(count).sum()
}
