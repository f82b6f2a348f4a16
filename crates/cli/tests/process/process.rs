//! Runs the binary, and a lab that it can talk to.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// How one run of the binary ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dohle"));
    command.args(args).env_remove("DOHLE_BOOTSTRAP_SERVER").env_remove("DOHLE_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub(crate) fn dohle(args: &[&str], input: &str) -> Ran {
    let mut child = command(args).spawn().unwrap();
    // It may leave without reading.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    child.wait_with_output().unwrap().into()
}

/// Ctrl-C.
pub(crate) fn interrupt(child: &Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
}

/// A lab that stays.
pub(crate) struct Lab {
    child: Child,
    events: BufReader<ChildStdout>,
    broker: String,
    registry: String,
    coordinator: String,
    /// Goes with the lab.
    _own: Option<TempDir>,
}

impl Lab {
    /// In a directory of its own, ready to be talked to.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        Self::open(&path, Some(directory))
    }

    pub(crate) fn start_in(directory: &Path) -> Self {
        Self::open(directory, None)
    }

    fn open(directory: &Path, own: Option<TempDir>) -> Self {
        let directory = directory.to_str().unwrap();
        let mut child = command(&["lab", "--dir", directory, "--ports", "0", "--output", "json"])
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        let (broker, registry, coordinator) = Default::default();
        let mut lab = Self { child, events, broker, registry, coordinator, _own: own };
        while let Some(event) = lab.next_event() {
            let address = event["address"].as_str().unwrap_or_default().to_owned();
            match event["service"].as_str() {
                Some("broker") => lab.broker = address,
                Some("registry") => lab.registry = format!("http://{address}"),
                Some("coordinator") => lab.coordinator = address,
                _ => {}
            }
            if event["event"] == "ready" {
                return lab;
            }
        }
        panic!("the lab ended before it was ready");
    }

    fn next_event(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.events.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Runs the binary against this lab.
    pub(crate) fn dohle(&self, args: &[&str], input: &str) -> Ran {
        dohle(&[args, &self.addresses()].concat(), input)
    }

    /// Starts the binary against this lab; what it prints can be read while it runs.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        command(&[args, &self.addresses()].concat()).spawn().unwrap()
    }

    fn addresses(&self) -> [&str; 6] {
        let Self { broker, registry, coordinator, .. } = self;
        ["-B", broker, "--registry", registry, "--coordinator", coordinator]
    }

    /// Ctrl-C; returns how it ended, and the name of its last event.
    pub(crate) fn interrupt(mut self) -> (ExitStatus, String) {
        interrupt(&self.child);
        let mut last = String::new();
        while let Some(event) = self.next_event() {
            last = event["event"].as_str().unwrap().to_owned();
        }
        (self.child.wait().unwrap(), last)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
