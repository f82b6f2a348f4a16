use daemon::clock::Clock;

use crate::lake::{Lab, say};
use crate::sight::{GLANCE, MOMENTS, Moment, Sight, TRIES};

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
    for moment in MOMENTS.into_iter().chain([Moment::Done]) {
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
