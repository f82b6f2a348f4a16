//! Our batches beside those of Kafka's own clients: kafka-python, aiokafka and librdkafka read what
//! we pack, and a broker takes what they pack, by every codec. `tests/kafka/batches.py` is the
//! other side.

#![expect(clippy::unwrap_used, reason = "a test; its helpers are not marked as such")]

use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use e2e::{Cluster, inputs, run};
use record::{Batch, BatchBuilder, Compression, Header, Record};
use serde_json::json;
use types::{Offset, Timestamp};

const RECORDS: u64 = 2000;
const LIBRARIES: [&str; 3] = ["kafka-python", "aiokafka", "librdkafka"];

/// As `record` in `batches.py`.
fn record(number: u64) -> Record {
    let noise = (0..number % 97).map(|at| (number * number + at * (number + 7)) * 37 / 8);
    let noise = noise.map(|word| word.to_le_bytes()[0]);
    let tail = "the same in all of them ".repeat(usize::try_from(number % 7).unwrap());
    let header = |key: &'static str, value: Option<Bytes>| Header { key: key.into(), value };
    let mut headers = vec![
        header("number", Some(number.to_string().into())),
        header("none", None),
        header("", Some(Bytes::new())),
    ];
    headers.truncate(usize::try_from(number % 4).unwrap());
    let millis = 1_700_000_000_000 + number * 13 % 1000;
    Record {
        offset: Offset::new(number),
        timestamp: Timestamp::from_millis(millis.try_into().unwrap()),
        key: (!number.is_multiple_of(3)).then(|| format!("key {number}").into()),
        value: (!number.is_multiple_of(11)).then(|| noise.chain(tail.into_bytes()).collect()),
        headers,
    }
}

fn packed(codec: Compression) -> Batch {
    let mut builder = BatchBuilder::new(codec);
    for Record { timestamp, key, value, headers, .. } in (0..RECORDS).map(record) {
        builder.push(timestamp, key.as_deref(), value.as_deref(), &headers).unwrap();
    }
    builder.build().unwrap()
}

fn batches(verb: &str, folder: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/batches.py");
    let mut command = Command::new(inputs().join("venv/bin/python"));
    run(command.arg(script).arg(verb).arg(folder), "").expect_success()
}

#[test]
fn kafkas_clients_read_what_we_pack() {
    let folder = tempfile::tempdir().unwrap();
    for codec in Compression::ALL {
        fs::write(folder.path().join(format!("{codec}.batch")), packed(*codec).bytes()).unwrap();
    }
    let said = batches("read", folder.path());
    for codec in Compression::ALL {
        for library in LIBRARIES {
            let line = format!("{library} reads {RECORDS} records from {codec}\n");
            assert!(said.contains(&line), "{said}");
        }
    }
}

#[test]
fn what_kafkas_clients_pack_is_what_a_broker_takes() {
    let folder = tempfile::tempdir().unwrap();
    batches("write", folder.path());
    let expected: Vec<_> = (0..RECORDS).map(record).collect();
    for codec in Compression::ALL {
        for library in LIBRARIES {
            let file = folder.path().join(format!("{library}-{codec}.batch"));
            let bytes = Bytes::from(fs::read(&file).unwrap());
            let taken = Batch::split(bytes.clone(), bytes.len()).unwrap();
            assert!(taken.iter().all(|batch| batch.header().compression == *codec), "{library}");
            let read = taken.iter().flat_map(|batch| batch.records().unwrap());
            let read: Result<Vec<_>, _> = read.collect();
            assert!(read.unwrap() == expected, "{} is read otherwise", file.display());
        }
    }
}

/// The way of records through the tool: packed, with headers, and back.
#[test]
fn what_is_produced_packed_is_consumed_as_it_was_given() {
    let cluster = Cluster::start();
    let line = |number: u32| {
        let value = "the same again ".repeat(20);
        let binary = json!({"key_base64": "/wA=", "value_base64": "AP8="});
        let headers = [
            json!({"key": "n", "value": number.to_string()}),
            json!({"key": "n", "value": null}),
            binary,
        ];
        json!({"key": format!("k{number}"), "value": value, "headers": headers}).to_string()
    };
    let lines = (0..500).map(line).collect::<Vec<_>>().join("\n");
    for codec in Compression::ALL {
        let topic = format!("by-{codec}");
        cluster
            .run(["produce", &topic, "-f", "json", "-z", codec.as_str()], &lines)
            .expect_success();
        let consume = ["consume", &topic, "-f", "json", "--from-beginning", "-e"];
        let consumed = cluster.run(consume, "").expect_success();
        let shape = |line: &str| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            let members = record.as_object_mut().unwrap();
            members.retain(|name, _| ["key", "value", "headers"].contains(&name.as_str()));
            record
        };
        let shapes = |text: &str| text.lines().map(shape).collect::<Vec<_>>();
        assert!(shapes(&consumed) == shapes(&lines), "{codec}: {consumed}");
    }
}
