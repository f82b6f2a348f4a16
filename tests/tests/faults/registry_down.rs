use std::fs;

use e2e::Cluster;

use crate::tool::{done, refused};

const SCHEMA: &str = r#"{"type":"record","name":"N","fields":[{"name":"n","type":"long"}]}"#;

#[test]
fn whoever_needs_the_registry_says_that_it_is_down_and_nothing_is_done_by_halves() {
    let mut cluster = Cluster::start();
    let schema = cluster.dir().join("n.avsc");
    fs::write(&schema, SCHEMA).unwrap();
    done(&cluster, &format!("produce t --avro=@{}", schema.display()), "{\"n\":1}\n");
    let lake = cluster.dir().join("lake").display().to_string();
    let [run, verify] =
        ["run", "verify"].map(|verb| format!("sink {verb} t --lake {lake} --output json"));

    cluster.kill_registry();
    let url = cluster.registry_url();
    let words = ["the schema registry at", &url, "does not answer", "check that it is up"];
    refused(&cluster, "produce t --avro", "{\"n\":2}\n", 4, &words);
    refused(&cluster, &run, "", 4, &words);
    refused(&cluster, "schema list", "", 4, &words);
    // Reading goes on, and says what it lacks.
    let consumed = cluster.run(["consume", "t", "--from-beginning", "-e"], "");
    assert!(consumed.stderr.contains("Avro is not decoded"), "{}", consumed.stderr);
    assert!(consumed.status.success(), "{}", consumed.stderr);
    // What needs no registry works.
    done(&cluster, "produce plain", "one\n");
    refused(&cluster, &verify, "", 3, &["nothing of t was landed there"]);

    cluster.restart();
    done(&cluster, "produce t --avro", "{\"n\":2}\n");
    assert!(done(&cluster, &run, "").contains(r#""rows":2"#));
    assert!(done(&cluster, &verify, "").contains(r#""rows":2"#));
}
