use std::process::Command;

use e2e::Process;

use crate::lake::{FENCED, Lab, end_of, say};
use crate::sight::{Moment, Watch};

const TRIES: u32 = 5;

/// A run that is stopped at `moment`.
fn zombie(lab: &mut Lab, watch: &Watch, moment: Moment) -> (Process, Vec<String>) {
    for _ in 0..TRIES {
        lab.produce(120);
        let Some((run, sight)) = watch.run_until(lab, moment) else { continue };
        signal(&run, "-STOP");
        let now = watch.sight(&[]);
        say(&format!("stopped at {moment:?}: {sight:?}, {now:?}"));
        return (run, now.runs);
    }
    panic!("{moment:?} was never seen");
}

fn signal(run: &Process, signal: &str) {
    let sent = Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn two_runs_at_once_and_zombies_that_wake_after_their_successors_land_everything_once() {
    let mut lab = Lab::start();
    let watch = Watch::new(&lab);

    let mut fenced = 0;
    for _ in 0..3 {
        lab.produce(120);
        let runs = [lab.start_sink(), lab.start_sink()];
        for run in runs {
            match end_of(run) {
                (Some(0), _) => {}
                (Some(FENCED), said) => {
                    fenced += 1;
                    assert!(said.contains("the next run goes on from there"), "{said}");
                }
                (code, said) => panic!("{code:?}: {said}"),
            }
        }
    }
    assert!(0 < fenced, "no run met another: nothing was tested");

    // It wakes while it stages: its successor has landed the same records meanwhile.
    let (run, _) = zombie(&mut lab, &watch, Moment::Staged(40));
    lab.sink().expect_success();
    signal(&run, "-CONT");
    let (code, said) = end_of(run);
    assert_eq!(code, Some(FENCED), "{said}");

    // It wakes between its commit and the end of its publishing: both publish.
    let (run, _) = zombie(&mut lab, &watch, Moment::Committed);
    lab.produce(120);
    lab.sink().expect_success();
    signal(&run, "-CONT");
    let (code, said) = end_of(run);
    assert_eq!(code, Some(0), "{said}");
    lab.check_nothing_twice();

    // C6: it wakes when its staging was collected. It must not commit offsets without data.
    let (run, runs) = zombie(&mut lab, &watch, Moment::Staged(40));
    for run in &runs {
        watch.collect(run);
    }
    signal(&run, "-CONT");
    let (code, said) = end_of(run);
    assert_eq!(code, Some(FENCED), "{said}");
    assert!(said.contains("was taken for dead"), "{said}");

    lab.check();
}
