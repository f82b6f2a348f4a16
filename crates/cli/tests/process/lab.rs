use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::process::{Lab, Ran, dohle};

fn demo(directory: &Path) -> Vec<Value> {
    let directory = directory.to_str().unwrap();
    let ran = dohle(&["lab", "--dir", directory, "--ports", "0", "--exit", "--output", "json"], "");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|event| event["event"] == name).unwrap()
}

/// First and end offset of each partition.
fn spans(event: &Value) -> Vec<(u64, u64)> {
    let offset = |span: &Value, name: &str| span[name].as_u64().unwrap();
    let spans = event["partitions"].as_array().unwrap();
    spans.iter().map(|span| (offset(span, "from"), offset(span, "to"))).collect()
}

#[test]
fn a_second_lab_continues_where_the_first_one_was() {
    let directory = tempfile::tempdir().unwrap();
    let first = demo(directory.path());
    let second = demo(directory.path());

    assert_eq!(event(&first, "produced")["records"], 1000);
    let (before, after) = (spans(event(&first, "produced")), spans(event(&second, "produced")));
    assert!(before.iter().all(|(from, _)| *from == 0), "{before:?}");
    for ((_, end), (from, _)) in before.iter().zip(&after) {
        assert_eq!(end, from, "no offset is given out twice, and none is left out");
    }

    // Each run landed what was new, and nothing else.
    for events in [&first, &second] {
        assert_eq!(event(events, "landed")["rows"], 1000);
        assert_eq!(spans(event(events, "landed")), spans(event(events, "produced")));
    }
    assert_eq!(event(&second, "lake")["rows"], 2000);
    assert_eq!(event(&second, "registered")["schema_id"], event(&first, "registered")["schema_id"]);
    assert_eq!(second.last().unwrap()["event"], "stopped");
}

#[test]
fn two_labs_in_one_directory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab::start_in(directory.path());
    let path = directory.path().to_str().unwrap();
    let Ran { code, stdout, stderr } = dohle(&["lab", "--dir", path, "--ports", "0"], "");
    assert_eq!((code, stdout.as_str()), (Some(5), ""), "{stderr}");
    assert!(
        stderr.contains("another lab runs in") && stderr.contains("try: dohle lab"),
        "{stderr}"
    );
    drop(lab);
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let directory = tempfile::tempdir().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let path = directory.path().to_str().unwrap();
    // Coordinator, broker and registry in turn: what started before it must be stopped again.
    for ports in [format!("{port},0,0"), format!("0,{port},0"), format!("0,0,{port}")] {
        let Ran { code, stderr, .. } = dohle(&["lab", "--dir", path, "--ports", &ports], "");
        assert_eq!(code, Some(5), "{stderr}");
        assert!(
            stderr.contains(&format!("port {port} ")) && stderr.contains("--ports"),
            "{stderr}"
        );
    }
}

#[test]
fn ctrl_c_drains_every_service() {
    let (status, last) = Lab::start().interrupt();
    assert!(status.success(), "{status}");
    assert_eq!(last, "stopped");
}
