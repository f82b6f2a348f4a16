use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::{Finished, run_within};
use sink::store::{Deadline, HdfsStore};
use tempfile::TempDir;

/// Two Java programs start in some seconds; on a machine with much else to do it takes a while.
const PATIENCE: Duration = Duration::from_mins(4);

/// What Hadoop's shell may take for a tree of 20,000 files.
const SHELL_PATIENCE: Duration = Duration::from_hours(1);

/// One of the two servers that HDFS is made of here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    NameNode,
    DataNode,
}

impl Server {
    const fn name(self) -> &'static str {
        match self {
            Self::NameNode => "namenode",
            Self::DataNode => "datanode",
        }
    }
}

/// A NameNode and a DataNode of its own for one test, ended with it.
pub(crate) struct Hdfs {
    dir: TempDir,
    url: String,
}

impl Hdfs {
    pub(crate) fn start() -> Self {
        let home = repository().join("target/hdfs");
        assert!(
            home.join("ready").exists(),
            "there is no HDFS: `tests/hdfs/hdfs setup` fetches it"
        );
        let dir = tempfile::Builder::new().prefix("test-").tempdir_in(home).unwrap();
        let mut hdfs = Self { dir, url: String::new() };
        hdfs.url = hdfs.script("start", &[]).expect_success().trim().to_owned();
        hdfs
    }

    /// `hdfs://host:port`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A directory that goes when HDFS goes.
    pub(crate) fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// `kill -9`.
    pub(crate) fn kill(&self, server: Server) {
        self.script("kill", &[server.name()]).expect_success();
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self, server: Server) {
        self.script("pause", &[server.name()]).expect_success();
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self, server: Server) {
        self.script("continue", &[server.name()]).expect_success();
    }

    /// Starts a server that was killed, and waits until it serves.
    pub(crate) fn restart(&self, server: Server) {
        self.script("start", &[server.name()]).expect_success();
    }

    /// Hadoop's own shell.
    pub(crate) fn fs(&self, arguments: &[&str]) -> String {
        self.script("fs", arguments).expect_success()
    }

    /// Hadoop's own administration.
    pub(crate) fn admin(&self, arguments: &[&str]) -> String {
        self.script("admin", arguments).expect_success()
    }

    /// Opens a file for appending in Hadoop's shell, which holds it until it is dropped.
    pub(crate) fn append_forever(&self, path: &str) -> Appender {
        let mut command = Command::new(repository().join("tests/hdfs/hdfs"));
        command.arg("fs").arg(self.dir.path()).args(["-appendToFile", "-", path]);
        Appender(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    fn script(&self, verb: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new(repository().join("tests/hdfs/hdfs"));
        run_within(SHELL_PATIENCE, command.arg(verb).arg(self.dir.path()).args(arguments), "")
    }

    /// A directory in it, as the sink sees it.
    pub(crate) async fn store(&self, path: &str) -> Deadline<HdfsStore> {
        let url = format!("{}{path}", self.url).parse().unwrap();
        let store = HdfsStore::connect(url, PATIENCE).await.unwrap();
        Deadline::new(store, PATIENCE)
    }
}

impl Drop for Hdfs {
    fn drop(&mut self) {
        self.script("stop", &[]);
    }
}

/// A shell that has a file open.
pub(crate) struct Appender(Child);

impl Drop for Appender {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
