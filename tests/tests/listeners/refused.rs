//! Listeners that cannot be.

use std::net::TcpListener;
use std::process::Command;

use e2e::{program, run};

/// Starts a broker with these `listeners`, told by its environment; it must give up and say all of
/// `words`.
#[track_caller]
fn gives_up(listeners: &str, words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(program("dohle-broker"));
    command
        .env("DOHLE_BROKER_LISTEN", "127.0.0.1:0")
        .env("DOHLE_BROKER_DATA_DIR", dir.path().join("broker"))
        .env("DOHLE_BROKER_LISTENERS", listeners);
    let said = run(&mut command, "").expect_code(1);
    for word in words {
        assert!(said.contains(word), "{word:?} is not said:\n{said}");
    }
}

#[test]
fn a_listener_that_cannot_be_says_what_would_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let listener = |name: &str, rest: &str| format!(r#"{{name="{name}",{rest}}}"#);
    let at = |address: &str| format!(r#"listen="{address}",advertised="localhost:9193""#);
    gives_up(
        &format!("[{}]", listener("EXTERNAL", &at(&taken.to_string()))),
        &["cannot listen on", &taken.to_string(), "listener EXTERNAL", "in use", "its `listen`"],
    );
    gives_up(
        &format!("[{}]", listener("EXTERNAL", r#"listen="0.0.0.0:0",advertised="0.0.0.0:9193""#)),
        &["listener EXTERNAL", "advertised is", "no client can connect to"],
    );
    gives_up(
        &format!("[{}]", listener("EXTERNAL", r#"listen="0.0.0.0:0""#)),
        &["listener EXTERNAL", "set advertised"],
    );
    let two = [listener("EXTERNAL", &at("127.0.0.1:0")), listener("EXTERNAL", &at("127.0.0.1:0"))];
    gives_up(&format!("[{}]", two.join(",")), &["two with the name EXTERNAL"]);
}
