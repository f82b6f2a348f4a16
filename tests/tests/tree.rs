//! `dohle tree` and the four-letter words, as those type them who know `ZooKeeper`.

#![expect(clippy::unwrap_used, reason = "a test; its helpers are not marked as such")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use e2e::{Finished, Process, program, run_within};

/// Longer than any command here takes.
const LIMIT: Duration = Duration::from_mins(1);

/// A coordinator, told everything by flags.
fn coordinator(data: &Path, listen: SocketAddr) -> Process {
    let (listen, data) = (listen.to_string(), data.display().to_string());
    let flags = ["--listen", &listen, "--data-dir", &data, "--zookeeper-port", "0"];
    let more = ["--http-listen", "127.0.0.1:0"];
    Process::start("dohle-coordinator", [&flags[..], &more].concat(), &["coordinator", "zookeeper"])
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn command(coordinator: SocketAddr, line: &str) -> Command {
    let mut command = Command::new(program("dohle"));
    command.args(["--coordinator", &coordinator.to_string(), "tree"]).args(line.split(' '));
    command
}

fn dohle(coordinator: SocketAddr, line: &str) -> Finished {
    run_within(LIMIT, &mut command(coordinator, line), "")
}

/// A command that goes on; dropped, it is killed with -9.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    notes: BufReader<ChildStderr>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let notes = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, notes }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// A watch that sees whatever comes from now on.
    fn watch(coordinator: SocketAddr, line: &str) -> Self {
        let mut watch = Self::start(command(coordinator, line));
        let note = watch.note();
        assert!(note.starts_with("watching "), "{note}");
        watch
    }

    fn note(&mut self) -> String {
        let mut note = String::new();
        self.notes.read_line(&mut note).unwrap();
        note
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_words_of_a_course_do_what_they_say_and_outlast_kill_9() {
    let data = tempfile::tempdir().unwrap();
    let process = coordinator(data.path(), any());
    let address = process.address("coordinator");
    let typed = "create /test sample\nget /test\nset /test bar\nget /test\nls /\n";
    let shell = run_within(LIMIT, &mut command(address, "shell"), typed);
    let said = shell.expect_success();
    let words: Vec<_> = said.lines().collect();
    assert_eq!(words, ["Created /test", "sample", "bar", "[test]"]);

    process.kill();
    let process = coordinator(data.path(), address);
    assert_eq!(dohle(address, "get /test").expect_success(), "bar\n");
    // The version that the set gave it; a second one that does not know of it is refused.
    let stale = dohle(address, "set -v 0 /test late").expect_code(5);
    assert!(stale.contains("/test") && stale.contains("version"), "{stale}");
    dohle(address, "delete /test").expect_success();
    assert_eq!(dohle(address, "ls /").expect_success(), "[]\n");
    let missing = dohle(address, "get /test").expect_code(3);
    assert!(missing.contains("/test"), "{missing}");
    assert_eq!(missing.lines().filter(|line| line.starts_with("error")).count(), 1, "{missing}");
    assert!(process.terminate().success());
}

#[test]
fn sequential_nodes_count_on_and_a_node_with_children_stays() {
    let data = tempfile::tempdir().unwrap();
    let process = coordinator(data.path(), any());
    let address = process.address("coordinator");
    dohle(address, "create /queue x").expect_success();
    for number in 0..3 {
        let made = dohle(address, "create -s /queue/n- x").expect_success();
        assert_eq!(made, format!("Created /queue/n-{number:010}\n"));
    }
    let full = dohle(address, "delete /queue").expect_code(5);
    assert_eq!(full.trim_end(), "error: Node not empty: /queue");
    dohle(address, "deleteall /queue").expect_success();
}

#[test]
fn what_a_killed_shell_held_goes_with_its_session() {
    let data = tempfile::tempdir().unwrap();
    let process = coordinator(data.path(), any());
    let address = process.address("coordinator");
    let mut shell = Running::start(command(address, "shell --session-timeout 1s"));
    shell.say("create -e /here me");
    assert_eq!(shell.line(), "Created /here");
    let mut watch = Running::watch(address, "watch -n 1 /here");
    drop(shell);
    assert_eq!(watch.line(), "deleted /here");
    assert_eq!(dohle(address, "ls /").expect_success(), "[]\n");
}

#[test]
fn a_watch_goes_on_over_a_restart_of_the_coordinator() {
    let data = tempfile::tempdir().unwrap();
    let process = coordinator(data.path(), any());
    let address = process.address("coordinator");
    dohle(address, "create /config one").expect_success();
    let mut watch = Running::watch(address, "watch /config");
    dohle(address, "set /config two").expect_success();
    assert_eq!(watch.line(), "changed /config");
    process.kill();
    // One that finds nobody says so, and goes on.
    let note = watch.note();
    assert!(note.starts_with("warning: ") && note.contains(&address.to_string()), "{note}");
    let _process = coordinator(data.path(), address);
    dohle(address, "create /config/of x").expect_success();
    assert_eq!(watch.line(), "created /config/of");
}

#[test]
fn four_letters_are_answered_on_the_port_that_a_flag_names() {
    let data = tempfile::tempdir().unwrap();
    let process = coordinator(data.path(), any());
    dohle(process.address("coordinator"), "create /a x").expect_success();
    let ask = |word: &str| {
        let mut stream = TcpStream::connect(process.address("zookeeper")).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(word.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert_eq!(ask("ruok"), "imok");
    for word in ["stat", "srvr"] {
        let answer = ask(word);
        assert!(answer.contains("Mode: ") && answer.contains("Node count: "), "{word}: {answer}");
    }
    let mntr = ask("mntr");
    assert!(mntr.lines().any(|line| line.starts_with("zk_znode_count\t")), "{mntr}");
}

#[test]
fn a_coordinator_that_is_not_there_is_named_in_one_line() {
    let data = tempfile::tempdir().unwrap();
    let process = coordinator(data.path(), any());
    let address = process.address("coordinator");
    process.kill();
    let finished = run_within(LIMIT, &mut command(address, "ls /"), "");
    assert!(!finished.status.success());
    let said = finished.stderr;
    assert!(said.contains(&address.to_string()), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error")).count(), 1, "{said}");
}
