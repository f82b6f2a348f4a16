use std::path::Path;
use std::time::Duration;

use e2e::Process;
use lake::LakePath;
use sink::store::{Deadline, EntryKind, FileStore, HdfsStore};
use tokio::runtime::Runtime;

use crate::lake::{Lab, ROOT, end_of};

/// What can be seen of a run in the lake, in the order in which it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Its staging directory is there.
    Begun,
    /// It has so many staged files, or is writing them.
    Staged(usize),
    /// Its record lies in staging, or is being written there.
    Prepared,
    /// Its record is in the log.
    Committed,
    /// So many of its files have left staging.
    Published(usize),
    /// Its commit is marked done.
    Done,
}

/// What lies in the lake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) runs: Vec<String>,
    staged: usize,
    prepared: bool,
    records: usize,
    done: usize,
}

/// Looks at a lake while runs are at work on it.
pub(crate) struct Watch {
    runtime: Runtime,
    store: Deadline<HdfsStore>,
}

impl Watch {
    pub(crate) fn new(lab: &Lab) -> Self {
        let runtime = Runtime::new().unwrap();
        let store = runtime.block_on(lab.hdfs.store(ROOT));
        Self { runtime, store }
    }

    fn list(&self, path: &str) -> Vec<(String, EntryKind)> {
        let listed = self.runtime.block_on(self.store.list(&LakePath::new(path).unwrap()));
        // It may be gone already, or not be there yet.
        let entries = listed.unwrap_or_default();
        entries.into_iter().map(|entry| (entry.name, entry.kind)).collect()
    }

    /// What is there, with the files of the runs that `before` did not know.
    pub(crate) fn sight(&self, before: &[String]) -> Sight {
        let mut sight = Sight::default();
        for (name, _) in self.list("_state/t/log") {
            sight.records += usize::from(is(&name, "json"));
            sight.done += usize::from(is(&name, "done"));
        }
        for (run, _) in self.list("_staging/t") {
            if !before.contains(&run) {
                let names = self.list(&format!("_staging/t/{run}"));
                sight.staged += names.iter().filter(|(name, _)| name.contains(".avro")).count();
                sight.prepared |= names.iter().any(|(name, _)| name.starts_with("commit-"));
            }
            sight.runs.push(run);
        }
        sight
    }

    /// Moves a run's staging away, as another run does that takes it for dead.
    pub(crate) fn collect(&self, run: &str) {
        let at = |text: &str| LakePath::new(text).unwrap();
        self.runtime.block_on(async {
            self.store.make_directories(&at("_trash/t")).await.unwrap();
            let (from, to) = (format!("_staging/t/{run}"), format!("_trash/t/{run}"));
            self.store.rename(&at(&from), &at(&to)).await.unwrap();
            self.store.delete(&at(&to)).await.unwrap();
        });
    }

    /// Starts a run and waits until it has come to `moment`; `None` if it ended before that was
    /// seen.
    pub(crate) fn run_until(&self, lab: &Lab, moment: Moment) -> Option<(Process, Sight)> {
        let before = self.sight(&[]);
        let run = lab.start_sink();
        let mut most = 0;
        while !run.ends_within(Duration::ZERO) {
            let now = self.sight(&before.runs);
            most = most.max(now.staged);
            let committed = before.records < now.records;
            let seen = match moment {
                Moment::Begun => before.runs.len() < now.runs.len(),
                Moment::Staged(files) => files <= now.staged,
                Moment::Prepared => now.prepared,
                Moment::Committed => committed,
                Moment::Published(files) => committed && now.staged + files <= most,
                Moment::Done => committed && before.done < now.done,
            };
            if seen {
                return Some((run, now));
            }
        }
        let (code, said) = end_of(run);
        assert_eq!(code, Some(0), "{said}");
        None
    }
}

fn is(name: &str, kind: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == kind)
}
