use std::fs;
use std::path::Path;
use std::time::Duration;

use daemon::clock::Clock;

use crate::lake::{Lab, say};

/// How often the lake is looked at.
const GLANCE: Duration = Duration::from_micros(100);
/// How often a moment is tried for: it may pass unseen.
const TRIES: u32 = 10;

/// What can be seen of a run in the lake, in the order in which it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
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

/// What lies in the lake.
#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    runs: usize,
    staged: usize,
    prepared: usize,
    records: usize,
    done: usize,
    published: usize,
}

impl Sight {
    fn of(root: &Path) -> Self {
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
    fn shows(self, moment: Moment, before: Self) -> bool {
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

/// Produces something new, starts a run and kills it as soon as it has come to `moment`. Whether
/// that was seen before the run ended.
fn kill_at(lab: &mut Lab, moment: Moment) -> bool {
    lab.produce(300);
    let before = Sight::of(&lab.root());
    let run = lab.start_sink();
    while !run.ends_within(GLANCE) {
        if Sight::of(&lab.root()).shows(moment, before) {
            run.kill();
            say(&format!("killed at {moment:?}: {:?}", Sight::of(&lab.root())));
            return true;
        }
    }
    let (status, log) = run.wait();
    assert!(status.success(), "{log}");
    false
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_finished_or_forgotten_by_the_next() {
    let mut lab = Lab::start();
    let moments = [
        Moment::Begun,
        Moment::Staged { files: 1 },
        Moment::Staged { files: 100 },
        Moment::Prepared,
        Moment::Committed,
        Moment::Published { files: 1 },
        Moment::Published { files: 100 },
        Moment::Done,
    ];
    for moment in moments {
        // In a lake that is in order, and in one that was just left by a kill.
        for _ in 0..2 {
            let killed = (0..TRIES).any(|_| kill_at(&mut lab, moment));
            assert!(killed, "{moment:?} was never seen");
            lab.check_nothing_twice();
        }
        lab.check();
    }
}

#[test]
fn runs_that_are_killed_all_over_land_everything_once() {
    const KILLS: u32 = 40;
    let clock = Clock::new();
    let mut lab = Lab::start();
    lab.produce(3000);
    let began = clock.monotonic();
    lab.sink();
    let whole = clock.monotonic().saturating_sub(began);
    let mut killed = 0;
    for kill in 0..KILLS {
        lab.produce(300);
        let run = lab.start_sink();
        if run.ends_within(whole * kill / KILLS) {
            let (status, log) = run.wait();
            assert!(status.success(), "{log}");
        } else {
            run.kill();
            killed += 1;
        }
    }
    say(&format!("{killed} of {KILLS} were killed within {whole:?}"));
    lab.check();
}
