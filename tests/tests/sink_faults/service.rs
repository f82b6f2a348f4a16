use crate::lake::{Lab, say};
use crate::sight::{GLANCE, MOMENTS, Moment, Sight, TRIES};

/// Produces something new, starts the service and stops it as soon as its run has come to `moment`.
/// Whether that was seen before the run ended.
fn stop_at(lab: &mut Lab, moment: Moment) -> bool {
    lab.produce(300);
    let before = Sight::of(&lab.root());
    let service = lab.start_service(&["--schedule", "@every 1h"]);
    let mut shown = Sight::of(&lab.root());
    while !shown.shows(moment, before) && before.done == shown.done {
        assert!(!service.ends_within(GLANCE), "it ends by itself: {shown:?}");
        shown = Sight::of(&lab.root());
    }
    let status = service.terminate();
    let after = Sight::of(&lab.root());
    say(&format!("stopped at {moment:?}: {after:?}"));
    assert!(status.success(), "{status}");
    // What it has committed readers have: a step is finished once it was begun.
    assert_eq!(after.records, after.done, "{after:?}");
    let committed = after.records - before.records;
    assert!(committed != 0 || after.published == before.published, "{before:?} {after:?}");
    shown.shows(moment, before)
}

#[test]
fn a_service_that_is_stopped_at_any_moment_of_a_run_leaves_no_step_half_done() {
    let mut lab = Lab::start();
    for moment in MOMENTS {
        let stopped = (0..TRIES).any(|_| stop_at(&mut lab, moment));
        assert!(stopped, "{moment:?} was never seen");
        lab.check_nothing_twice();
    }
    lab.check();
}

#[test]
fn a_service_goes_on_by_its_schedule_and_never_meets_itself() {
    let mut lab = Lab::start();
    let mut service = lab.start_service(&["--schedule", "@every 1s", "--jitter-seconds", "1"]);
    for _ in 0..3 {
        lab.produce(300);
        // This run may have begun before the events were there; the next one has not.
        for _ in 0..2 {
            let ended = service.await_line("run ");
            assert!(ended.contains("run ended"), "{ended}");
        }
    }
    assert!(service.terminate().success());
    lab.check_nothing_twice();
    let landed = lab.rows("t").len() as u64;
    assert_eq!(landed, lab.produced);
    lab.check();
}
