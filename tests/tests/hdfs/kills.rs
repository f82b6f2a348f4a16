use crate::lake::{Lab, say};
use crate::sight::{Moment, Watch};

/// How often a moment is tried for: it may pass unseen.
const TRIES: u32 = 5;

#[test]
fn a_run_that_is_killed_at_any_step_is_finished_or_forgotten_by_the_next() {
    let mut lab = Lab::start();
    let watch = Watch::new(&lab);
    let moments = [
        Moment::Begun,
        Moment::Staged(1),
        Moment::Staged(40),
        Moment::Prepared,
        Moment::Committed,
        Moment::Published(1),
        Moment::Published(40),
        Moment::Done,
    ];
    for moment in moments {
        let mut tries = 0;
        loop {
            tries += 1;
            lab.produce(120);
            if let Some((run, sight)) = watch.run_until(&lab, moment) {
                run.kill();
                say(&format!("killed at {moment:?}: {sight:?}"));
                break;
            }
            assert!(tries < TRIES, "{moment:?} was never seen");
        }
        if matches!(moment, Moment::Published(_)) {
            lab.check_nothing_twice();
        }
    }
    lab.check();
}
