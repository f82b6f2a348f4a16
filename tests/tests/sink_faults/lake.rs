use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::{Cluster, Process, run_within};
use serde_json::Value;

/// Nothing here takes that long; a test that hangs fails.
const PATIENCE: Duration = Duration::from_mins(2);
const SCHEMA: &str = r#"{"type":"record","name":"Event","fields":[
    {"name":"n","type":"long"},{"name":"at","type":"string"}]}"#;
/// Events happen in as many hours, and land in as many directories.
const HOURS: u64 = 200;

/// A cluster with the topic `t`, and a lake to land it in.
pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    schema: PathBuf,
    /// Events produced so far; they are numbered from 0.
    pub(crate) produced: u64,
}

impl Lab {
    pub(crate) fn start() -> Self {
        let cluster = Cluster::start();
        let schema = cluster.dir().join("event.avsc");
        fs::write(&schema, SCHEMA).unwrap();
        cluster.run("topic create t -p 3".split(' '), "").expect_success();
        Self { cluster, schema, produced: 0 }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.cluster.dir().join("lake")
    }

    /// Produces the next `count` events.
    pub(crate) fn produce(&mut self, count: u64) {
        let event = |n: u64| {
            let hour = n % HOURS;
            format!(
                "{{\"n\":{n},\"at\":\"2013-01-{:02}T{:02}:00:00Z\"}}\n",
                1 + hour / 24,
                hour % 24
            )
        };
        let events: String = (self.produced..self.produced + count).map(event).collect();
        let avro = format!("--avro=@{}", self.schema.display());
        let produce = ["produce", "t", &avro];
        run_within(PATIENCE, &mut self.cluster.dohle(produce), &events).expect_success();
        self.produced += count;
    }

    fn sink_arguments(&self) -> Vec<String> {
        let root = self.root().display().to_string();
        let arguments = ["sink", "run", "t", "--lake", &root, "--time-field", "at"];
        arguments.into_iter().chain(["--output", "json"]).map(str::to_owned).collect()
    }

    /// Starts a sink run that may be killed.
    pub(crate) fn start_sink(&self) -> Process {
        let (broker, registry) =
            (self.cluster.broker_address().to_string(), self.cluster.registry_url());
        let common = ["-B", &broker, "--registry", &registry].map(str::to_owned);
        Process::spawn("dohle", common.into_iter().chain(self.sink_arguments()))
    }

    /// Starts the scheduled sink, told these flags besides. Its first run begins at once.
    pub(crate) fn start_service(&self, flags: &[&str]) -> Process {
        let brokers = format!("[\"{}\"]", self.cluster.broker_address());
        let (root, registry) = (self.root().display().to_string(), self.cluster.registry_url());
        let usual = [
            ["--topics", "[\"t\"]"],
            ["--lake", &root],
            ["--time-field", "at"],
            ["--bootstrap-servers", &brokers],
            ["--registry", &registry],
            ["--run-at-start", "true"],
            ["--http-listen", "127.0.0.1:0"],
        ];
        Process::spawn("dohle-sink", usual.as_flattened().iter().chain(flags))
    }

    /// Runs the sink to its end, and returns its report.
    pub(crate) fn sink(&self) -> Value {
        let arguments = self.sink_arguments();
        let mut command = self.cluster.dohle(arguments.iter().map(String::as_str));
        let report = run_within(PATIENCE, &mut command, "").expect_success();
        serde_json::from_str(&report).unwrap()
    }

    /// Runs the sink until there is nothing new, and checks that the lake is sound and holds
    /// every event once.
    pub(crate) fn check(&self) {
        while !self.sink()["commit"].is_null() {}
        let verdict = self.verify();
        assert_eq!(verdict["sound"], true, "{verdict}");
        let quarantined = self.rows("_quarantine/t").len() as u64;
        assert_eq!(verdict["rows"], self.produced + quarantined, "{verdict}");
        let numbers = self.numbers();
        assert!(numbers.iter().copied().eq(0..self.produced), "{}", differences(&numbers));
    }

    /// Checks that whoever reads the lake as it is now sees no event twice.
    pub(crate) fn check_nothing_twice(&self) {
        let numbers = self.numbers();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{}", differences(&numbers));
    }

    /// The numbers of all events that have landed, in order.
    fn numbers(&self) -> Vec<u64> {
        let rows = self.rows("t");
        let mut numbers: Vec<_> = rows.iter().map(|row| row["n"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Checks that the lake is sound by the tool's own word.
    fn verify(&self) -> Value {
        let root = self.root().display().to_string();
        let verify = ["sink", "verify", "t", "--lake", &root, "--output", "json"];
        let verdict = run_within(PATIENCE, &mut self.cluster.dohle(verify), "").expect_success();
        serde_json::from_str(&verdict).unwrap()
    }

    /// Every row of the Avro files in a directory of the lake, as fastavro reads them.
    pub(crate) fn rows(&self, directory: &str) -> Vec<Value> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let python = repository.join("target/test-inputs/venv/bin/python");
        assert!(python.is_file(), "{} is missing: tests/run fetches it", python.display());
        let script = repository.join("tests/lake/rows.py");
        let directory = self.root().join(directory);
        let mut command = Command::new(python);
        let rows = run_within(PATIENCE, command.arg(script).arg(directory), "").expect_success();
        rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
    }
}

/// What is wrong with numbers that should be 0, 1, 2 and so on.
fn differences(sorted: &[u64]) -> String {
    let twice = sorted.windows(2).filter(|pair| pair[0] == pair[1]).count();
    format!("{} rows, {twice} of them twice, the last is {:?}", sorted.len(), sorted.last())
}

#[expect(clippy::print_stdout, reason = "how often what was hit cannot be asserted")]
pub(crate) fn say(what: &str) {
    println!("{what}");
}
