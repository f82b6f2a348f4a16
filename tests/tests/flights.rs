//! The main job on real input: 336,776 flights through registry, broker and sink into a lake by the
//! hour, with the rows read back by fastavro, which is none of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Cluster, inputs, run};

const FLIGHTS: usize = 336_776;

#[test]
fn every_flight_lands_once_in_its_hour() {
    let inputs = inputs();
    let cluster = Cluster::start();
    let lake = format!("file://{}", cluster.dir().join("lake").display());

    cluster.run(["topic", "create", "flights", "--partitions", "3"], "").expect_success();
    let source = run(&mut flights("source", &inputs), "").expect_success();
    assert_eq!(source.lines().count(), FLIGHTS);
    let schema = format!("--avro=@{}", folder().join("flights.avsc").display());
    cluster.run(["produce", "flights", &schema, "-K", r"\t"], &source).expect_success();

    let sink = ["sink", "run", "flights", "--lake", &lake, "--time-field", "time_hour"];
    let report = cluster.run(sink, "").expect_success();
    assert!(report.contains(&format!("{FLIGHTS} rows")), "{report}");
    let again = cluster.run(sink, "").expect_success();
    assert!(again.contains("nothing"), "a second run has nothing to do: {again}");

    let landed = cluster.dir().join("lake/flights");
    let proof = run(flights("check", &inputs).arg(landed), "").expect_success();
    assert!(proof.contains("in 6936 directories: the multiset is the source's"), "{proof}");
    let verdict = cluster.run(["sink", "verify", "flights", "--lake", &lake], "").expect_success();
    assert!(verdict.contains("sound"), "{verdict}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("flights")
}

fn flights(verb: &str, inputs: &Path) -> Command {
    let mut command = Command::new(inputs.join("venv/bin/python"));
    command.arg(folder().join("flights.py")).arg(verb).arg(inputs.join("flights.tar.gz"));
    command
}
