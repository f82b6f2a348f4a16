use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::{Cluster, Finished, Process, run_within};
use serde_json::Value;

use crate::server::{Hdfs, repository};

/// Nothing here takes that long, not even a run that waits for a NameNode in vain.
const PATIENCE: Duration = Duration::from_mins(4);
const SCHEMA: &str = r#"{"type":"record","name":"Event","fields":[
    {"name":"n","type":"long"},{"name":"at","type":"string"}]}"#;
/// Events happen in as many hours, and land in as many directories.
const HOURS: u64 = 40;
/// Where the lake lies.
pub(crate) const ROOT: &str = "/lake";
pub(crate) const FENCED: i32 = 75;

/// A cluster with the topic `t`, and a lake in HDFS to land it in.
pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    pub(crate) hdfs: Hdfs,
    schema: PathBuf,
    /// Events produced so far; they are numbered from 0.
    produced: u64,
    readings: u32,
}

impl Lab {
    pub(crate) fn start() -> Self {
        let hdfs = Hdfs::start();
        let cluster = Cluster::start();
        let schema = cluster.dir().join("event.avsc");
        fs::write(&schema, SCHEMA).unwrap();
        cluster.run("topic create t -p 3".split(' '), "").expect_success();
        Self { cluster, hdfs, schema, produced: 0, readings: 0 }
    }

    /// Produces the next `count` events.
    pub(crate) fn produce(&mut self, count: u64) {
        let event = |n: u64| {
            let (day, hour) = (1 + n % HOURS / 24, n % HOURS % 24);
            format!("{{\"n\":{n},\"at\":\"2013-01-{day:02}T{hour:02}:00:00Z\"}}\n")
        };
        let events: String = (self.produced..self.produced + count).map(event).collect();
        let avro = format!("--avro=@{}", self.schema.display());
        let produce = ["produce", "t", &avro];
        run_within(PATIENCE, &mut self.cluster.dohle(produce), &events).expect_success();
        self.produced += count;
    }

    fn arguments(&self, verb: &str) -> Vec<String> {
        let lake = format!("{}{ROOT}", self.hdfs.url());
        let words = ["sink", verb, "t", "--lake", &lake, "--output", "json"];
        words.into_iter().map(str::to_owned).collect()
    }

    fn run_arguments(&self) -> Vec<String> {
        let mut arguments = self.arguments("run");
        arguments.extend(["--time-field", "at"].map(str::to_owned));
        arguments
    }

    /// Starts a sink run that may be killed, or stopped.
    pub(crate) fn start_sink(&self) -> Process {
        let broker = self.cluster.broker_address().to_string();
        let registry = self.cluster.registry_url();
        let common = ["-B", &broker, "--registry", &registry].map(str::to_owned);
        Process::spawn("dohle", common.into_iter().chain(self.run_arguments()))
    }

    /// The command of a sink run.
    pub(crate) fn command(&self) -> Command {
        let arguments = self.run_arguments();
        self.cluster.dohle(arguments.iter().map(String::as_str))
    }

    /// Runs the sink to its end.
    pub(crate) fn sink(&self) -> Finished {
        run_within(PATIENCE, &mut self.command(), "")
    }

    /// Runs the sink until there is nothing new, and checks that the lake is sound and holds every
    /// event once, as Hadoop's shell and fastavro read it.
    pub(crate) fn check(&mut self) {
        loop {
            let report: Value = serde_json::from_str(&self.sink().expect_success()).unwrap();
            if report["commit"].is_null() {
                break;
            }
        }
        let arguments = self.arguments("verify");
        let mut verify = self.cluster.dohle(arguments.iter().map(String::as_str));
        let verdict = run_within(PATIENCE, &mut verify, "").expect_success();
        let verdict: Value = serde_json::from_str(&verdict).unwrap();
        assert_eq!(verdict["sound"], true, "{verdict}");
        assert_eq!(verdict["rows"], self.produced, "{verdict}");
        let numbers = self.numbers();
        assert!(numbers.iter().copied().eq(0..self.produced), "{}", differences(&numbers));
    }

    /// Checks that whoever reads the lake as it is now sees no event twice.
    pub(crate) fn check_nothing_twice(&mut self) {
        let numbers = self.numbers();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{}", differences(&numbers));
    }

    /// The numbers of all events that have landed, in order.
    fn numbers(&mut self) -> Vec<u64> {
        self.readings += 1;
        let copy = self.hdfs.scratch().join(format!("copy-{}", self.readings));
        let topic = format!("{ROOT}/t");
        self.hdfs.fs(&["-get", &topic, &copy.display().to_string()]);
        let mut numbers: Vec<_> =
            rows(&copy).iter().map(|row| row["n"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Waits for the end of a run, and returns its exit code and what it said.
pub(crate) fn end_of(run: Process) -> (Option<i32>, String) {
    assert!(run.ends_within(PATIENCE), "a sink run does not end");
    let (status, said) = run.wait();
    (status.code(), said)
}

/// Every row of the Avro files below a directory of this machine, as fastavro reads them.
fn rows(directory: &Path) -> Vec<Value> {
    let python = e2e::inputs().join("venv/bin/python");
    let script = repository().join("tests/lake/rows.py");
    let mut command = Command::new(python);
    let rows = run_within(PATIENCE, command.arg(script).arg(directory), "").expect_success();
    rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
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
