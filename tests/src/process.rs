use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

/// How long a process may take to listen. Long, for a loaded machine; a healthy one takes 100 ms.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// Log lines that may queue between a process and the test that waits for one of them.
const LINES: usize = 1024;

/// The path of one of our programs: the tests lie beside them in the target directory.
///
/// # Panics
///
/// The program was not built; `tests/run` builds all of them first.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("tests lie in <target>/<profile>/deps");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    path
}

/// A server of ours. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
    addresses: HashMap<String, SocketAddr>,
    seen: Vec<String>,
}

impl Process {
    /// Starts `name` and waits until each of `services` says where it listens.
    ///
    /// # Panics
    ///
    /// It ends, or stays silent for a minute; its log is in the message.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = A>,
        services: &[&str],
    ) -> Self {
        let mut process = Self::spawn(name, arguments);
        while !services.iter().all(|service| process.addresses.contains_key(*service)) {
            process.next_line();
        }
        process
    }

    /// Starts `name` without waiting for anything.
    ///
    /// # Panics
    ///
    /// The system refuses to start it.
    pub fn spawn<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut child = Command::new(program(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (reader, lines) = read_lines(stderr);
        Self {
            name: name.to_owned(),
            child,
            lines,
            reader: Some(reader),
            addresses: HashMap::new(),
            seen: Vec::new(),
        }
    }

    /// Where `service` listens.
    ///
    /// # Panics
    ///
    /// It was not among the services that [`Process::start`] waited for.
    pub fn address(&self, service: &str) -> SocketAddr {
        *self.addresses.get(service).expect("the service listens")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits for the end.
    ///
    /// # Panics
    ///
    /// The process cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Panics
    ///
    /// The process cannot be signalled.
    pub fn terminate(mut self) -> ExitStatus {
        let sent = Command::new("kill").arg(self.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} can be signalled", self.name);
        self.child.wait().expect("the process can be waited for")
    }

    /// Waits until it ends by itself; its exit status and its log.
    ///
    /// # Panics
    ///
    /// The process cannot be waited for.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("the process can be waited for");
        self.seen.extend(self.lines.iter());
        (status, self.seen.join("\n"))
    }

    fn next_line(&mut self) {
        match self.lines.recv_timeout(START_TIMEOUT) {
            Ok(line) => {
                self.note_address(&line);
                self.seen.push(line);
            }
            Err(RecvTimeoutError::Timeout) => panic!("{} stays silent:\n{}", self.name, self.log()),
            Err(RecvTimeoutError::Disconnected) => panic!("{} ended:\n{}", self.name, self.log()),
        }
    }

    fn log(&self) -> String {
        self.seen.join("\n")
    }

    fn note_address(&mut self, line: &str) {
        let Ok(Value::Object(event)) = serde_json::from_str(line) else { return };
        let Some(Value::Object(fields)) = event.get("fields") else { return };
        if fields.get("message").and_then(Value::as_str) != Some("listening") {
            return;
        }
        let text = |name| fields.get(name).and_then(Value::as_str);
        if let (Some(service), Some(address)) = (text("service"), text("address")) {
            let address = address.parse().expect("an address is host:port");
            self.addresses.insert(service.to_owned(), address);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone after this.
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(reader) = self.reader.take() {
            // Make room, or the reader would wait for ever to hand over a line.
            for _line in self.lines.try_iter() {}
            drop(std::mem::replace(&mut self.lines, sync_channel(1).1));
            reader.join().ok();
        }
    }
}

/// Reads a log to its end, so that a full pipe never stops its process.
fn read_lines(stderr: ChildStderr) -> (JoinHandle<()>, Receiver<String>) {
    let (sender, lines) = sync_channel(LINES);
    let reader = thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Full: nobody waits for lines any more.
            sender.try_send(line).ok();
        }
    });
    (reader, lines)
}

/// What a program that ran to its end left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Finished {
    /// Stdout of a program that must have succeeded.
    ///
    /// # Panics
    ///
    /// It failed; its stderr is in the message.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert!(self.status.success(), "{}: {}\n{}", self.status, self.stderr, self.stdout);
        self.stdout
    }

    /// Stderr of a program that must have failed with `code`.
    ///
    /// # Panics
    ///
    /// It ended in another way.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> String {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.stderr, self.stdout);
        self.stderr
    }
}

/// Runs a command to its end, feeding it `input`.
///
/// # Panics
///
/// The command cannot be started.
pub fn run(command: &mut Command, input: &str) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // From a thread of its own: a command that answers while it reads would wait for us for ever.
    let feeder = thread::spawn(move || stdin.write_all(input.as_bytes()).ok());
    let mut stderr = child.stderr.take().expect("stderr is piped");
    let errors = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).ok();
        text
    });
    let mut stdout = String::new();
    let mut output = child.stdout.take().expect("stdout is piped");
    output.read_to_string(&mut stdout).expect("stdout is text");
    let status = child.wait().expect("the command can be waited for");
    feeder.join().expect("the feeder ends");
    Finished { status, stdout, stderr: errors.join().expect("the reader ends") }
}
