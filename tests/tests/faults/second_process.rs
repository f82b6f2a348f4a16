//! Directories and broker ids belong to one process.

use std::fs;

use e2e::{Cluster, Process};

/// Starts `program` with what `config` says; it must give up, and say all of `words`.
#[track_caller]
fn gives_up(cluster: &Cluster, program: &str, config: &str, words: &[&str]) {
    let file = cluster.dir().join("second.toml");
    fs::write(&file, config).unwrap();
    let second = Process::spawn(program, ["--config".as_ref(), file.as_os_str()]);
    let (status, log) = second.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    for word in words {
        assert!(log.contains(word), "{program} does not say {word:?}:\n{log}");
    }
}

/// What the running `service` was told. Its port is any, so a second one does not stumble there.
fn config_of(cluster: &Cluster, service: &str) -> String {
    fs::read_to_string(cluster.dir().join(format!("{service}.toml"))).unwrap()
}

#[test]
fn a_directory_in_use_is_named_with_what_to_do() {
    let cluster = Cluster::start();
    for service in ["coordinator", "broker", "registry"] {
        let directory = cluster.dir().join(service).display().to_string();
        let words = [&directory, "is in use by", "another directory"];
        gives_up(&cluster, &format!("dohle-{service}"), &config_of(&cluster, service), &words);
    }
    // Whoever was there first is not disturbed.
    cluster.run(["produce", "t"], "one\n").expect_success();
    assert_eq!(
        cluster.run(["consume", "t", "--from-beginning", "-e"], "").expect_success(),
        "one\n"
    );
    cluster.run(["schema", "list"], "").expect_success();
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    let cluster = Cluster::start();
    let taken = cluster.broker_address().to_string();
    let elsewhere = cluster.dir().join("elsewhere").display().to_string();
    for service in ["coordinator", "broker", "registry"] {
        let own = cluster.dir().join(service).display().to_string();
        let config = config_of(&cluster, service).replace(&own, &elsewhere);
        let config = config.replace("127.0.0.1:0", &taken);
        let words = ["cannot listen on", &taken, "in use", "choose another address"];
        gives_up(&cluster, &format!("dohle-{service}"), &config, &words);
    }
}

#[test]
fn a_broker_id_in_use_is_named_with_what_to_do() {
    let cluster = Cluster::start();
    let first = cluster.dir().join("broker").display().to_string();
    let elsewhere = cluster.dir().join("elsewhere").display().to_string();
    let config = config_of(&cluster, "broker").replace(&first, &elsewhere);
    let words = ["broker 1 is alive", "another broker id", "stop that one"];
    gives_up(&cluster, "dohle-broker", &config, &words);
    cluster.run(["produce", "t"], "one\n").expect_success();
    assert_eq!(
        cluster.run(["consume", "t", "--from-beginning", "-e"], "").expect_success(),
        "one\n"
    );
}
