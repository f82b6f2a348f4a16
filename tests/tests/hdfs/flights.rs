use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use e2e::{Cluster, inputs, run, run_within};

use crate::lake::say;
use crate::server::{Hdfs, repository};

const FLIGHTS: usize = 336_776;
const LANDED: &str = "/data/lake/flights";
/// By the hour it takes long.
const PATIENCE: Duration = Duration::from_hours(1);

/// The main job on real input, by day: some 1,100 files. `DOHLE_FLIGHTS=hourly` makes it 19,341, at
/// some 30 to 40 files a second, since sixteen are closed at once. The days are those of UTC, where the
/// last evening is of next year.
#[test]
fn every_flight_lands_once_in_its_day() {
    let directories = std::env::var("DOHLE_FLIGHTS").unwrap_or_else(|_| "daily".to_owned());
    let found = if directories == "hourly" { "6936" } else { "366" };
    let inputs = inputs();
    let hdfs = Hdfs::start();
    let cluster = Cluster::start();
    let lake = format!("{}/data/lake", hdfs.url());

    cluster.run(["topic", "create", "flights", "--partitions", "3"], "").expect_success();
    let source = run(&mut flights("source", &inputs), "").expect_success();
    assert_eq!(source.lines().count(), FLIGHTS);
    let folder = repository().join("tests/flights");
    let schema = format!("--avro=@{}", folder.join("flights.avsc").display());
    cluster.run(["produce", "flights", &schema, "-K", r"\t"], &source).expect_success();

    let sink = ["sink", "run", "flights", "--lake", &lake, "--time-field", "time_hour"];
    let sink = sink.into_iter().chain(["--directories", &directories]);
    let report = run_within(PATIENCE, &mut cluster.dohle(sink.clone()), "").expect_success();
    assert!(report.contains(&format!("{FLIGHTS} rows")), "{report}");
    say(&report);
    let again = cluster.run(sink, "").expect_success();
    assert!(again.contains("nothing"), "a second run has nothing to do: {again}");
    let verify = ["sink", "verify", "flights", "--lake", &lake];
    let verdict = run_within(PATIENCE, &mut cluster.dohle(verify), "").expect_success();
    assert!(verdict.contains("sound"), "{verdict}");

    let copy = hdfs.scratch().join("flights");
    bring_back(&hdfs, &copy);
    let proof = run(flights("check", &inputs).arg(copy).arg(&directories), "").expect_success();
    let multiset = format!("in {found} directories: the multiset is the source's");
    assert!(proof.contains(&multiset), "{proof}");
}

/// Copies what has landed by Hadoop's own shell, some months at a time: one shell reads one file after
/// the other.
fn bring_back(hdfs: &Hdfs, copy: &Path) {
    const AT_ONCE: usize = 4;
    let listed = hdfs.fs(&["-ls", "-C", "-d", &format!("{LANDED}/*/*/*")]);
    let months: Vec<&str> = listed.lines().collect();
    for some in months.chunks(AT_ONCE) {
        thread::scope(|scope| {
            for month in some {
                scope.spawn(|| {
                    let below = Path::new(month).strip_prefix(LANDED).unwrap();
                    let year = copy.join(below.parent().unwrap());
                    fs::create_dir_all(&year).unwrap();
                    hdfs.fs(&["-get", month, &year.display().to_string()]);
                });
            }
        });
    }
}

fn flights(verb: &str, inputs: &Path) -> Command {
    let mut command = Command::new(inputs.join("venv/bin/python"));
    let script = repository().join("tests/flights/flights.py");
    command.arg(script).arg(verb).arg(inputs.join("flights.tar.gz"));
    command
}
