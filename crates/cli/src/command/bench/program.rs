//! Our other programs, as processes that can be killed.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::exit::{Exit, Failure};

/// A program that runs; dropped, it is killed.
pub(super) struct Program {
    child: Child,
    pid: u32,
}

impl Program {
    /// Starts the program of this name that lies beside this one, with a configuration of its own.
    /// What it logs goes into a file beside that.
    ///
    /// # Errors
    ///
    /// It was not built, or cannot be started.
    pub(super) fn start(name: &str, folder: &Path, config: &str) -> Result<Self, Failure> {
        let own = std::env::current_exe()?;
        let program = own.with_file_name(name);
        if !program.is_file() {
            let message = format!("{} is missing", program.display());
            return Err(Failure::new(Exit::Other, message)
                .within("build it beside this program: cargo build --release --workspace --bins"));
        }
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, config)?;
        let log = fs::File::create(folder.join(format!("{name}.log")))?;
        let child = Command::new(&program)
            .arg("--config")
            .arg(&file)
            // A line for each partition would be measured too.
            .env("DOHLE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("a program ended at once"))?;
        Ok(Self { child, pid })
    }

    /// Its process.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub(super) async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}
