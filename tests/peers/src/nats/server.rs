//! A NATS server as a process of its own.

use std::io::{self, BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{Builder, JoinHandle};

use super::connection::NatsError;
use crate::error::PeerError;

/// A server that keeps streams in a folder. It is killed when this is dropped.
pub(crate) struct NatsServer {
    pub(crate) address: SocketAddr,
    pub(crate) version: String,
    child: Child,
    /// Its log is read on, or it would stop when the pipe is full.
    log: Option<JoinHandle<()>>,
}

impl NatsServer {
    /// Starts it on a free port of this host, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It is not there, or ends.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<Self, PeerError> {
        let mut child = Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| PeerError::Missing { program: program.to_owned(), source })?;
        let started = child.stderr.take().map_or_else(
            || Err(NatsError::NotReady { log: String::new() }),
            |stderr| ready(BufReader::new(stderr).lines()),
        );
        match started {
            Ok(Started { address, version, log }) => {
                Ok(Self { address, version, child, log: Some(log) })
            }
            Err(error) => {
                end(&mut child);
                Err(error.into())
            }
        }
    }

    /// Its process, for CPU time.
    pub(crate) fn process(&self) -> measure::Server {
        measure::Server::Process(self.child.id())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        end(&mut self.child);
        if let Some(log) = self.log.take() {
            // It has come to the end of the log.
            log.join().ok();
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself; either way it is gone after this.
    child.kill().ok();
    child.wait().ok();
}

struct Started {
    address: SocketAddr,
    version: String,
    log: JoinHandle<()>,
}

/// Reads the log until the server is ready, for where it listens and its version, and has the rest
/// read by a thread.
fn ready(mut log: Lines<BufReader<ChildStderr>>) -> Result<Started, NatsError> {
    let (mut address, mut version, mut seen) = (None, String::new(), String::new());
    while let Some(line) = log.next().transpose()? {
        if let Some((_, told)) = line.split_once("Listening for client connections on ") {
            address = told.trim().parse().ok();
        }
        if let Some((_, told)) = line.split_once("Version:") {
            told.trim().clone_into(&mut version);
        }
        if let Some(address) = address.filter(|_| line.contains("Server is ready")) {
            let log = drained(log)?;
            return Ok(Started { address, version, log });
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    Err(NatsError::NotReady { log: seen })
}

fn drained(log: Lines<BufReader<ChildStderr>>) -> io::Result<JoinHandle<()>> {
    Builder::new().name("nats-log".to_owned()).spawn(move || {
        for line in log {
            if line.is_err() {
                return;
            }
        }
    })
}
