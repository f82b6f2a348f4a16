use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

/// How long a process may take to listen, or to end when there is nothing left to do. Long, for a
/// loaded machine; a healthy one takes 100 ms.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a command may work, where nothing else is said. Only hangs take longer.
const END_TIMEOUT: Duration = Duration::from_mins(10);
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

/// A program of ours that runs. Dropping it kills it, and fails the test if it ever panicked.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    /// Reads the log to its end, and returns the panics in it.
    reader: Option<JoinHandle<Vec<String>>>,
    /// Disconnected when the log has ended.
    ended: Receiver<()>,
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
        let (sender, lines) = sync_channel(LINES);
        let (until_end, ended) = sync_channel(1);
        let reader = thread::spawn(move || {
            let panics = read_lines(stderr, &sender);
            drop(until_end);
            panics
        });
        Self {
            name: name.to_owned(),
            child,
            lines,
            reader: Some(reader),
            ended,
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

    /// Waits for its end, but no longer than `limit`. Whether it has ended.
    pub fn ends_within(&self, limit: Duration) -> bool {
        self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }

    /// Waits until it ends by itself; its exit status and its log.
    ///
    /// # Panics
    ///
    /// It does not end within a minute.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let has_ended = self.ends_within(START_TIMEOUT);
        self.seen.extend(self.lines.try_iter());
        assert!(has_ended, "{} does not end:\n{}", self.name, self.log());
        let status = self.child.wait().expect("the process can be waited for");
        (status, self.log())
    }

    /// Waits for a line of its log that contains `text`; returns it.
    ///
    /// # Panics
    ///
    /// It ends, or stays silent for a minute; its log is in the message.
    pub fn await_line(&mut self, text: &str) -> String {
        loop {
            self.next_line();
            if let Some(line) = self.seen.last().filter(|line| line.contains(text)) {
                return line.clone();
            }
        }
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
        let panics = self.reader.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        // A test that fails already has its reason.
        if !thread::panicking() {
            assert!(panics.is_empty(), "{} panicked:\n{}", self.name, panics.join("\n"));
        }
    }
}

/// Reads a log to its end, so that a full pipe never stops its process. Returns the panics in it.
fn read_lines(stderr: ChildStderr, to: &SyncSender<String>) -> Vec<String> {
    let mut panics = Vec::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if is_panic(&line) {
            panics.push(line.clone());
        }
        // Full: nobody waits for lines any more.
        to.try_send(line).ok();
    }
    panics
}

/// Whether the line says that a thread panicked, as Rust itself does.
fn is_panic(line: &str) -> bool {
    line.starts_with("thread '") && line.contains("panicked at ")
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
/// The command cannot be started, panics, or takes longer than ten minutes.
pub fn run(command: &mut Command, input: &str) -> Finished {
    run_within(END_TIMEOUT, command, input)
}

/// Runs a command that must end within `limit`, feeding it `input`.
///
/// # Panics
///
/// The command cannot be started, panics, or does not end; then it is killed.
pub fn run_within(limit: Duration, command: &mut Command, input: &str) -> Finished {
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
    let stdout = read_to_end(child.stdout.take().expect("stdout is piped"));
    let stderr = read_to_end(child.stderr.take().expect("stderr is piped"));
    let Ok(stdout) = stdout.recv_timeout(limit) else {
        child.kill().expect("the command can be killed");
        let said = stderr.recv().unwrap_or_default();
        panic!("{command:?} did not end within {} s:\n{said}", limit.as_secs());
    };
    let stderr = stderr.recv().expect("the reader ends");
    let status = child.wait().expect("the command can be waited for");
    feeder.join().expect("the feeder ends");
    assert!(!stderr.lines().any(is_panic), "{command:?} panicked:\n{stderr}");
    Finished { status, stdout, stderr }
}

/// All that a program says there, once it has closed it.
fn read_to_end(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, text) = sync_channel(1);
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).ok();
        sender.send(String::from_utf8_lossy(&all).into_owned()).ok();
    });
    text
}
