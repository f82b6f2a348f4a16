use std::time::Duration;

use e2e::Process;

use crate::lake::Lab;

const ROUNDS: u64 = 6;
const CONTENDERS: u64 = 3;
const FENCED: i32 = 75;

#[test]
fn of_runs_that_race_one_lands_each_record_and_the_others_say_who_was_first() {
    let mut lab = Lab::start();
    let mut fenced = 0;
    for round in 0..ROUNDS {
        lab.produce(400);
        let mut runs: Vec<Process> = (0..CONTENDERS).map(|_| lab.start_sink()).collect();
        // In every other round, one of them does not live to see the end.
        if round % 2 == 1
            && let Some(victim) = runs.pop()
            && !victim.ends_within(Duration::from_millis(15 * round))
        {
            victim.kill();
        }
        for run in runs {
            let (status, log) = run.wait();
            match status.code() {
                // It was first, or there was nothing left to do.
                Some(0) => {}
                Some(FENCED) => {
                    fenced += 1;
                    assert!(log.contains("first (commit"), "{log}");
                    assert!(log.contains("the next run goes on from there"), "{log}");
                }
                _ => panic!("{status}: {log}"),
            }
        }
    }
    assert!(0 < fenced, "no run met another: nothing was tested");
    lab.check();
}
