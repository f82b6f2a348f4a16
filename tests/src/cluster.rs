use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Finished, Process, program, run};

/// One coordinator, one broker and one registry, each a process of its own, on one directory.
#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    coordinator: Option<Process>,
    broker: Option<Process>,
    registry: Option<Process>,
    /// Kept over restarts, as in a real cluster: clients know these.
    coordinator_address: SocketAddr,
    broker_address: SocketAddr,
    registry_address: SocketAddr,
    /// Keys of the broker's configuration beyond the addresses and the directory, as TOML.
    broker_settings: String,
}

impl Cluster {
    /// Starts all three on an empty directory.
    ///
    /// # Panics
    ///
    /// One of them does not come up.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary directory"), "")
    }

    /// Starts all three in `dir`, where each has a directory and a TOML file of its name. The
    /// broker is told `broker_settings` besides, as TOML. They serve when this returns.
    ///
    /// # Panics
    ///
    /// One of them does not come up.
    pub fn start_in(dir: TempDir, broker_settings: &str) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let coordinator = start_coordinator(dir.path(), any);
        let coordinator_address = coordinator.address("coordinator");
        let broker = start_broker(dir.path(), any, coordinator_address, broker_settings);
        let registry = start_registry(dir.path(), any);
        let cluster = Self {
            coordinator_address,
            broker_address: broker.address("broker"),
            registry_address: registry.address("registry"),
            dir,
            coordinator: Some(coordinator),
            broker: Some(broker),
            registry: Some(registry),
            broker_settings: broker_settings.to_owned(),
        };
        // A broker listens before the coordinator has heard of it.
        let healthy = ["cluster", "health", "--watch", "--exit-when-healthy"];
        cluster.run(healthy, "").expect_success();
        cluster
    }

    /// Where everything lies.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the broker answers.
    pub const fn broker_address(&self) -> SocketAddr {
        self.broker_address
    }

    /// The registry's base URL.
    pub fn registry_url(&self) -> String {
        format!("http://{}", self.registry_address)
    }

    /// The broker's process id.
    ///
    /// # Panics
    ///
    /// It is not running.
    pub fn broker_id(&self) -> u32 {
        self.broker.as_ref().expect("the broker runs").id()
    }

    /// Waits for a line of the broker's log that contains `text`; returns it.
    ///
    /// # Panics
    ///
    /// It is not running, or says nothing of the kind.
    pub fn await_broker_line(&mut self, text: &str) -> String {
        self.broker.as_mut().expect("the broker runs").await_line(text)
    }

    /// `kill -9` of the broker.
    pub fn kill_broker(&mut self) {
        self.broker.take().into_iter().for_each(Process::kill);
    }

    /// `kill -9` of the coordinator.
    pub fn kill_coordinator(&mut self) {
        self.coordinator.take().into_iter().for_each(Process::kill);
    }

    /// `kill -9` of the registry.
    pub fn kill_registry(&mut self) {
        self.registry.take().into_iter().for_each(Process::kill);
    }

    /// Starts the broker and kills it (`kill -9`) after that time, wherever its start has come by
    /// then.
    ///
    /// # Panics
    ///
    /// It is running, or ends by itself.
    pub fn kill_broker_while_it_starts(&mut self, after: Duration) {
        assert!(self.broker.is_none(), "kill it first");
        let file = self.broker_config("");
        let starting = Process::spawn("dohle-broker", ["--config".as_ref(), file.as_os_str()]);
        assert!(!starting.ends_within(after), "the broker ended by itself");
        starting.kill();
    }

    /// Starts what is not running, each at its old address.
    ///
    /// # Panics
    ///
    /// One of them does not come up.
    pub fn restart(&mut self) {
        let dir = self.dir.path();
        self.coordinator.get_or_insert_with(|| start_coordinator(dir, self.coordinator_address));
        self.broker.get_or_insert_with(|| {
            let (at, coordinator) = (self.broker_address, self.coordinator_address);
            start_broker(dir, at, coordinator, &self.broker_settings)
        });
        self.registry.get_or_insert_with(|| start_registry(dir, self.registry_address));
    }

    /// Waits until the broker ends by itself; its exit status and its log.
    ///
    /// # Panics
    ///
    /// It does not.
    pub fn broker_ends(&mut self) -> (ExitStatus, String) {
        self.broker.take().expect("the broker runs").wait()
    }

    /// Starts the broker, told `more` besides, which is to end by itself; its exit status and its
    /// log.
    ///
    /// # Panics
    ///
    /// It does not.
    pub fn broker_refuses(&mut self, more: &str) -> (ExitStatus, String) {
        let file = self.broker_config(more);
        let arguments = ["--config".as_ref(), file.as_os_str()];
        Process::spawn("dohle-broker", arguments).wait()
    }

    /// Starts the broker, told `more` besides, at its old address.
    ///
    /// # Panics
    ///
    /// It does not come up.
    pub fn start_broker(&mut self, more: &str) {
        let file = self.broker_config(more);
        let arguments = ["--config".as_ref(), file.as_os_str()];
        self.broker = Some(Process::start("dohle-broker", arguments, &["broker"]));
    }

    fn broker_config(&self, more: &str) -> PathBuf {
        let settings = format!("{more}{}", self.broker_settings);
        let (at, coordinator) = (self.broker_address, self.coordinator_address);
        let text = broker_text(self.dir.path(), at, coordinator, &settings);
        write_config("broker", self.dir.path(), &text)
    }

    /// The command `dohle` with the addresses of this cluster.
    pub fn dohle<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(program("dohle"));
        command
            .arg("-B")
            .arg(self.broker_address.to_string())
            .arg("--registry")
            .arg(self.registry_url())
            .args(arguments);
        command
    }

    /// Runs `dohle` to its end.
    ///
    /// # Panics
    ///
    /// It cannot be started.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, input: &str) -> Finished {
        run(&mut self.dohle(arguments), input)
    }
}

fn start_coordinator(dir: &Path, listen: SocketAddr) -> Process {
    let data = dir.join("coordinator");
    let text = format!("listen = \"{listen}\"\ndata_dir = \"{}\"\n", data.display());
    start("coordinator", dir, &text)
}

fn start_broker(
    dir: &Path,
    listen: SocketAddr,
    coordinator: SocketAddr,
    settings: &str,
) -> Process {
    start("broker", dir, &broker_text(dir, listen, coordinator, settings))
}

fn broker_text(dir: &Path, listen: SocketAddr, coordinator: SocketAddr, settings: &str) -> String {
    let data = dir.join("broker");
    format!(
        "listen = \"{listen}\"\ndata_dir = \"{}\"\ncoordinators = [\"{coordinator}\"]\n{settings}",
        data.display()
    )
}

fn start_registry(dir: &Path, listen: SocketAddr) -> Process {
    let data = dir.join("registry");
    let text = format!("listen = \"{listen}\"\ndata_dir = \"{}\"\n", data.display());
    start("registry", dir, &text)
}

fn start(service: &str, dir: &Path, config: &str) -> Process {
    let file = write_config(service, dir, config);
    let arguments = ["--config".as_ref(), file.as_os_str()];
    Process::start(&format!("dohle-{service}"), arguments, &[service])
}

fn write_config(service: &str, dir: &Path, config: &str) -> PathBuf {
    let file = dir.join(format!("{service}.toml"));
    fs::write(&file, config).expect("the configuration can be written");
    file
}
