use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use crate::process::{Lab, Ran, interrupt};

const PERSON: &str = r#"{"type":"record","name":"person","fields":[
    {"name":"name","type":"string"},{"name":"age","type":"int"}]}"#;

fn json_lines(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One lab for all: each of its topics belongs to one check.
#[test]
fn a_lab_can_be_talked_to() {
    let lab = Lab::start();
    lines_come_back_as_they_were_typed(&lab);
    a_range_is_what_was_asked_for(&lab);
    a_follower_sees_what_comes_until_ctrl_c(&lab);
    ctrl_c_is_heard_by_a_writer_that_nobody_reads(&lab);
    a_binary_payload_does_not_end_the_decoding(&lab);
    a_bad_avro_line_is_told_and_the_rest_is_sent(&lab);
    json_goes_from_topic_to_topic(&lab);
    topics_are_made_described_and_deleted(&lab);
    schemas_are_registered_and_refused(&lab);
    a_lake_is_filled_and_verified(&lab);
    the_cluster_says_how_it_is(&lab);
}

fn lines_come_back_as_they_were_typed(lab: &Lab) {
    let sent = lab.dohle(&["produce", "lines"], "a\n\nb\n");
    assert_eq!((sent.code, sent.stdout.as_str()), (Some(0), ""), "{sent:?}");
    let read = lab.dohle(&["consume", "lines", "--from-beginning", "-e"], "");
    assert_eq!((read.code, read.stdout.as_str()), (Some(0), "a\n\nb\n"), "{read:?}");
}

fn a_range_is_what_was_asked_for(lab: &Lab) {
    let sent = lab.dohle(&["produce", "range", "-K", ":", "--output", "json"], "k:0\nk:1\nk:2\n");
    let offsets: Vec<_> = json_lines(&sent).iter().map(|ack| ack["offset"].as_u64()).collect();
    assert_eq!(offsets, [Some(0), Some(1), Some(2)]);
    for (range, expected) in [
        ("1:", "1@k 2@k "),
        ("-1", "2@k "),
        ("+1:2", "1@k "),
        (":end", "0@k 1@k 2@k "),
        ("@-1h", "0@k 1@k 2@k "),
        ("end", ""),
        // -e leaves at the end, also where the range goes on behind it.
        ("1:100", "1@k 2@k "),
    ] {
        let read = lab.dohle(&["consume", "range", "-e", "-o", range, "-f", "%v@%k "], "");
        assert_eq!((read.code, read.stdout.as_str()), (Some(0), expected), "{range}: {read:?}");
    }
    let beyond = lab.dohle(&["consume", "range", "-o", "99"], "");
    assert_eq!(beyond.code, Some(1));
    assert!(beyond.stderr.contains("99") && beyond.stderr.contains("0..3"), "{beyond:?}");
}

fn a_follower_sees_what_comes_until_ctrl_c(lab: &Lab) {
    assert_eq!(lab.dohle(&["produce", "followed"], "first\n").code, Some(0));
    let mut follower = lab.spawn(&["consume", "followed", "--from-beginning"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    assert_eq!(lab.dohle(&["produce", "followed"], "second\n").code, Some(0));
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    interrupt(&follower);
    assert_eq!(follower.wait().unwrap().code(), Some(130));
}

fn ctrl_c_is_heard_by_a_writer_that_nobody_reads(lab: &Lab) {
    let lines = format!("{}\n", "x".repeat(1000)).repeat(1000);
    assert_eq!(lab.dohle(&["produce", "much"], &lines).code, Some(0));
    let mut stuck = lab.spawn(&["consume", "much", "--from-beginning"]);
    let mut output = stuck.stdout.take().unwrap();
    output.read_exact(&mut [0]).unwrap();
    // The first asks it to finish; pressed again and again it must not stay.
    let ended = (0..5000).find_map(|_| {
        interrupt(&stuck);
        stuck.try_wait().unwrap()
    });
    if ended.is_none() {
        stuck.kill().unwrap();
    }
    assert_eq!(ended.and_then(|ended| ended.code()), Some(130));
}

fn a_binary_payload_does_not_end_the_decoding(lab: &Lab) {
    let schema = r#"{"type":"record","name":"n","fields":[{"name":"n","type":"int"}]}"#;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("n.avsc");
    std::fs::write(&file, schema).unwrap();
    // It seems to name schema 4294967295.
    let binary = r#"{"value_base64":"AP////8B","partition":0}"#;
    assert_eq!(lab.dohle(&["produce", "mixed", "-f", "json"], binary).code, Some(0));
    let avro = format!("--avro=@{}", file.display());
    assert_eq!(lab.dohle(&["produce", "mixed", "-p", "0", &avro], "{\"n\": 7}\n").code, Some(0));
    let read = lab.dohle(&["consume", "mixed", "--from-beginning", "-e", "-f", "json"], "");
    let values: Vec<_> = json_lines(&read).into_iter().map(|line| line["value"].clone()).collect();
    assert_eq!(values, [Value::Null, serde_json::json!({"n": 7})], "{read:?}");
}

fn a_bad_avro_line_is_told_and_the_rest_is_sent(lab: &Lab) {
    let directory = tempfile::tempdir().unwrap();
    let schema = directory.path().join("person.avsc");
    std::fs::write(&schema, PERSON).unwrap();
    let avro = format!("--avro=@{}", schema.display());
    let lines = "{\"name\":\"Quenaz\",\"age\":32}\n{\"name\":\"M\",\"age\":\"16\"}\n\n\
                 {\"name\":\"Marcos\",\"age\":16}\n";
    let sent = lab.dohle(&["produce", "people", &avro], lines);
    assert_eq!(sent.code, Some(1));
    assert!(sent.stderr.contains("line 2: age: expected int"), "{sent:?}");
    let read = lab.dohle(&["consume", "people", "--from-beginning", "-e"], "");
    let expected = "{\"name\":\"Quenaz\",\"age\":32}\n{\"name\":\"Marcos\",\"age\":16}\n";
    assert_eq!(read.stdout, expected, "{read:?}");

    let stopped = lab.dohle(&["produce", "people", "--avro", "--fail-fast"], lines);
    assert_eq!(stopped.code, Some(1));
    let read = lab.dohle(&["consume", "people", "-o", "2:", "-e"], "");
    assert_eq!(read.stdout, "{\"name\":\"Quenaz\",\"age\":32}\n", "nothing after the bad line");
}

fn json_goes_from_topic_to_topic(lab: &Lab) {
    let input = "{\"key\":\"k\",\"value_base64\":\"/wA=\",\"headers\":[{\"key\":\"h\",\
                 \"value\":\"v\"}]}\n{\"key\":\"gone\",\"value\":null}\n";
    assert_eq!(lab.dohle(&["produce", "one", "-f", "json"], input).code, Some(0));
    let read = lab.dohle(&["consume", "one", "-o", ":end", "--output", "json"], "");
    assert_eq!(lab.dohle(&["produce", "two", "-f", "json"], &read.stdout).code, Some(0));
    let copied = lab.dohle(&["consume", "two", "-o", ":end", "--output", "json"], "");
    let without_topic = |ran: &Ran| {
        let mut lines = json_lines(ran);
        for line in &mut lines {
            line.as_object_mut().unwrap().remove("topic");
        }
        lines
    };
    assert_eq!(without_topic(&read), without_topic(&copied));
    assert_eq!(json_lines(&copied)[0]["value_base64"], "/wA=");
    assert_eq!(json_lines(&copied)[1]["value"], Value::Null);
}

fn topics_are_made_described_and_deleted(lab: &Lab) {
    let create = ["topic", "create", "made", "-p", "2", "-c", "retention.ms=1000"];
    assert_eq!(lab.dohle(&create, "").code, Some(0));
    let again = lab.dohle(&create, "");
    assert_eq!(again.code, Some(5), "{again:?}");
    assert_eq!(lab.dohle(&["topic", "create", "made", "--if-not-exists"], "").code, Some(0));
    let described = lab.dohle(&["topic", "describe", "made", "--output", "json"], "");
    let described = &json_lines(&described)[0];
    assert_eq!(described["partitions"].as_array().unwrap().len(), 2);
    let configs = described["configs"].as_array().unwrap();
    assert!(configs.iter().any(|c| c["name"] == "retention.ms" && c["value"] == "1000"));
    assert_eq!(lab.dohle(&["topic", "delete", "made", "--yes"], "").code, Some(0));
    let gone = lab.dohle(&["topic", "describe", "made"], "");
    assert_eq!(gone.code, Some(3));
    assert!(gone.stderr.ends_with("try: dohle topic create made\n"), "{gone:?}");
}

fn schemas_are_registered_and_refused(lab: &Lab) {
    let registered = lab.dohle(&["schema", "register", "p-value", "-", "--output", "json"], PERSON);
    assert_eq!(registered.code, Some(0), "{registered:?}");
    let id = json_lines(&registered)[0]["id"].as_u64().unwrap();
    let got = lab.dohle(&["schema", "get", &format!("#{id}")], "");
    let (got, expected): (Value, Value) =
        (serde_json::from_str(&got.stdout).unwrap(), serde_json::from_str(PERSON).unwrap());
    assert_eq!(got, expected);

    let not_avro = PERSON.replace("\"int\"", "\"integer\"");
    let refused = lab.dohle(&["schema", "register", "p-value", "-"], &not_avro);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("age"), "{refused:?}");
    let incompatible = PERSON.replace("\"int\"", "\"string\"");
    assert_eq!(lab.dohle(&["schema", "check", "p-value", "-"], &incompatible).code, Some(5));
    assert_eq!(lab.dohle(&["schema", "register", "p-value", "-"], &incompatible).code, Some(5));
    assert_eq!(lab.dohle(&["schema", "get", "nobody-value"], "").code, Some(3));
}

fn a_lake_is_filled_and_verified(lab: &Lab) {
    let directory = tempfile::tempdir().unwrap();
    let lake = directory.path().to_str().unwrap();
    let run = ["sink", "run", "downloadhue", "--lake", lake, "--output", "json"];
    let first = lab.dohle(&run, "");
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(json_lines(&first)[0]["commit"]["rows"], 1000);
    assert_eq!(json_lines(&lab.dohle(&run, ""))[0].get("commit"), None, "nothing is new");
    let mistyped = directory.path().join("lakes");
    let looked =
        lab.dohle(&["sink", "verify", "downloadhue", "--lake", mistyped.to_str().unwrap()], "");
    assert_eq!((looked.code, mistyped.exists()), (Some(3), false), "{looked:?}");
    let verify = ["sink", "verify", "downloadhue", "--lake", lake];
    assert_eq!(lab.dohle(&verify, "").code, Some(0));
    let history =
        lab.dohle(&["sink", "history", "downloadhue", "--lake", lake, "--output", "json"], "");
    let file = json_lines(&history)[0][0]["files"][0]["path"].as_str().unwrap().to_owned();
    std::fs::remove_file(directory.path().join(&file)).unwrap();
    let damaged = lab.dohle(&verify, "");
    assert_eq!(damaged.code, Some(1));
    assert!(damaged.stdout.contains(&file), "{damaged:?}");
}

fn the_cluster_says_how_it_is(lab: &Lab) {
    let health = lab.dohle(&["cluster", "health", "--output", "json"], "");
    assert_eq!((health.code, &json_lines(&health)[0]["healthy"]), (Some(0), &Value::Bool(true)));
    let status = lab.dohle(&["coordinator", "status", "--output", "json"], "");
    let status = &json_lines(&status)[0];
    assert_eq!(status["leader"], status["answered_by"]);
    let info = lab.dohle(&["cluster", "info", "--output", "json"], "");
    assert_eq!(json_lines(&info)[0]["cluster_id"], status["cluster_id"]);
}
