use std::time::Duration;

use e2e::Process;

use crate::lake::{Lab, end_of, say};
use crate::server::Server;
use crate::sight::{Moment, Watch};

const TRIES: u32 = 5;
const UNREACHABLE: i32 = 4;

/// A run that has just come to `moment`.
fn run_at(lab: &mut Lab, watch: &Watch, moment: Moment) -> Process {
    for _ in 0..TRIES {
        lab.produce(120);
        if let Some((run, _)) = watch.run_until(lab, moment) {
            return run;
        }
    }
    panic!("{moment:?} was never seen");
}

/// A run that was hit goes on when the server is back, or says what to do.
fn lives_or_says(run: Process, what: &str, advice: &[&str]) {
    let (code, said) = end_of(run);
    say(&format!("{what}: exit code {code:?}: {said}"));
    match code {
        Some(0) => {}
        Some(UNREACHABLE) => assert_says(&said, advice),
        _ => panic!("{what}: {code:?}: {said}"),
    }
}

fn ends_and_says(run: Process, what: &str, advice: &[&str]) {
    let (code, said) = end_of(run);
    say(&format!("{what}: {said}"));
    assert_eq!(code, Some(UNREACHABLE), "{what}: {said}");
    assert_says(&said, advice);
}

/// An error says one of these, and that running again is enough.
fn assert_says(said: &str, advice: &[&str]) {
    assert!(advice.iter().any(|words| said.contains(words)), "{said}");
    assert!(said.contains("run again") && said.contains("nothing is lost"), "{said}");
    assert!(!said.contains("\tat org.apache"), "a stack trace: {said}");
}

#[test]
fn a_namenode_that_dies_or_hangs_costs_nothing() {
    let mut lab = Lab::start();
    let watch = Watch::new(&lab);
    let gone = ["does not answer", "safe mode", "connection to", "gave no answer within"];

    let run = run_at(&mut lab, &watch, Moment::Staged(10));
    lab.hdfs.kill(Server::NameNode);
    lab.hdfs.restart(Server::NameNode);
    lives_or_says(run, "NameNode restarted in mid-stage", &gone);

    let run = run_at(&mut lab, &watch, Moment::Published(10));
    lab.hdfs.kill(Server::NameNode);
    let down = lab.sink().expect_code(UNREACHABLE);
    say(&format!("NameNode down: {down}"));
    assert!(down.contains("check the address and that it runs"), "{down}");
    assert!(down.contains(lab.hdfs.url()), "{down}");
    lab.hdfs.restart(Server::NameNode);
    lives_or_says(run, "NameNode restarted in mid-publish", &gone);
    lab.check();

    let run = run_at(&mut lab, &watch, Moment::Staged(10));
    lab.hdfs.pause(Server::NameNode);
    assert!(!run.ends_within(Duration::from_secs(8)), "it waits for an answer");
    lab.hdfs.go_on(Server::NameNode);
    let (code, said) = end_of(run);
    assert_eq!(code, Some(0), "{said}");

    // What it was asked for before it hung it does when it wakes, long after the run has ended.
    let run = run_at(&mut lab, &watch, Moment::Prepared);
    lab.hdfs.pause(Server::NameNode);
    let hanging = lab.sink().expect_code(UNREACHABLE);
    assert!(hanging.contains("gave no answer within"), "{hanging}");
    ends_and_says(run, "NameNode hangs", &["gave no answer within"]);
    lab.hdfs.go_on(Server::NameNode);
    lab.check();
}

#[test]
fn a_datanode_that_is_lost_while_it_is_written_to_costs_nothing() {
    let mut lab = Lab::start();
    let watch = Watch::new(&lab);
    let gone = ["dfsadmin -report", "connection to"];

    let run = run_at(&mut lab, &watch, Moment::Staged(10));
    lab.hdfs.kill(Server::DataNode);
    lab.hdfs.restart(Server::DataNode);
    lives_or_says(run, "DataNode restarted", &gone);
    lab.check();

    let run = run_at(&mut lab, &watch, Moment::Staged(10));
    lab.hdfs.kill(Server::DataNode);
    ends_and_says(run, "DataNode gone", &gone);
    lab.hdfs.restart(Server::DataNode);
    lab.check();
}
