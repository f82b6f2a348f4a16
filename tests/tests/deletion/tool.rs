//! `dohle topic delete-records`.

use std::fs;

use e2e::{Cluster, Finished};

fn dohle(cluster: &Cluster, line: &str) -> Finished {
    cluster.run(line.split(' '), "")
}

/// Topic `t` with three records in each of its two partitions.
fn cluster() -> Cluster {
    let cluster = Cluster::start();
    dohle(&cluster, "topic create t --partitions 2").expect_success();
    for partition in ["0", "1"] {
        let line = format!("produce t --partition {partition}");
        cluster.run(line.split(' '), "a\nb\nc\n").expect_success();
    }
    cluster
}

/// First offsets of the partitions of `t`.
fn starts(cluster: &Cluster) -> Vec<u64> {
    let described = dohle(cluster, "topic describe t --partitions --output json").expect_success();
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    let partitions = described["partitions"].as_array().unwrap();
    partitions.iter().map(|partition| partition["log_start_offset"].as_u64().unwrap()).collect()
}

#[test]
fn records_are_deleted_in_the_partitions_named_or_in_all() {
    let cluster = cluster();
    let line = "topic delete-records t --partition 1 --before-offset 2 --yes --output json";
    let deleted = dohle(&cluster, line).expect_success();
    assert_eq!(deleted.trim(), r#"[{"topic":"t","partition":1,"low_watermark":2}]"#);
    assert_eq!(starts(&cluster), [0, 2]);
    dohle(&cluster, "topic delete-records t --before-offset end -y").expect_success();
    assert_eq!(starts(&cluster), [3, 3]);
}

#[test]
fn kafkas_file_names_partitions_and_offsets() {
    let cluster = cluster();
    let file = cluster.dir().join("offsets.json");
    let text = r#"{"partitions": [{"topic": "t", "partition": 0, "offset": 1},
                                  {"topic": "t", "partition": 1, "offset": -1}], "version": 1}"#;
    fs::write(&file, text).unwrap();
    let line = format!("topic delete-records --offset-json-file {} -y", file.display());
    dohle(&cluster, &line).expect_success();
    assert_eq!(starts(&cluster), [1, 3]);
}

#[test]
fn what_cannot_be_is_refused_by_code_and_nobody_is_asked_twice() {
    let cluster = cluster();
    let refused = |line: &str, code, word: &str| {
        let said = dohle(&cluster, line).expect_code(code);
        assert!(said.contains(word), "{line}: {said}");
    };
    refused("topic delete-records t -p 0 --before-offset 2", 2, "add --yes");
    refused("topic delete-records t -p 0 --before-offset 9 -y", 1, "up to 3");
    refused("topic delete-records t -p 7 --before-offset 1 -y", 3, "t-7");
    refused("topic delete-records u -p 0 --before-offset 1 -y", 3, "u");
    refused("topic delete-records t --before-offset 1 -y", 2, "add --partition");
    refused("topic delete-records t -p 0 -y", 2, "--before-offset");
    refused("topic delete-records --before-offset 1 -y", 2, "TOPIC");
    refused("topic delete-records --offset-json-file /nowhere -y", 3, "/nowhere");
    // One partition fails: the other is done, and the command failed.
    let file = cluster.dir().join("offsets.json");
    let text = r#"{"partitions": [{"topic": "t", "partition": 0, "offset": 2},
                                  {"topic": "t", "partition": 1, "offset": 4}]}"#;
    fs::write(&file, text).unwrap();
    let line = format!("topic delete-records --offset-json-file {} -y", file.display());
    refused(&line, 1, "offset 4 of t-1");
    assert_eq!(starts(&cluster), [2, 0]);
}
