use std::net::TcpListener;

use crate::process::dohle;

/// A port of this host that nobody listens on.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_wrong_command_line_exits_with_2_and_prints_nothing() {
    for line in [
        vec![],
        vec!["topics"],
        vec!["consume"],
        vec!["consume", "t", "-o", "later"],
        vec!["consume", "t", "-f", "%q"],
        vec!["topic", "create", "bad!"],
        vec!["topic", "delete", "t"],
        vec!["sink", "run", "t", "--lake", "s3://bucket/lake"],
    ] {
        let ran = dohle(&line, "");
        assert_eq!(ran.code, Some(2), "{line:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{line:?}");
    }
}

#[test]
fn a_cluster_that_is_down_exits_with_4_and_says_what_to_do() {
    let address = nobody();
    for line in [vec!["topic", "list"], vec!["consume", "t"], vec!["cluster", "health"]] {
        let ran = dohle(&[&line[..], &["-B", &address]].concat(), "");
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.stderr.contains(&address), "{ran:?}");
        assert!(ran.stderr.contains("try: dohle lab"), "{ran:?}");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn a_registry_and_a_coordinator_that_are_down_exit_with_4_too() {
    let address = nobody();
    let url = format!("http://{address}");
    assert_eq!(dohle(&["schema", "list", "--registry", &url], "").code, Some(4));
    let ran = dohle(&["coordinator", "status", "--coordinator", &address], "");
    assert_eq!(ran.code, Some(4), "{ran:?}");
}

#[test]
fn a_file_that_is_not_there_is_named_and_exits_with_3() {
    let ran = dohle(&["produce", "t", "--file", "no/such/file"], "");
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("no/such/file"), "{ran:?}");
}

#[test]
fn a_completion_script_is_data() {
    let ran = dohle(&["completion", "bash"], "");
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("dohle"), "{ran:?}");
    assert_eq!(ran.stderr, "");
}

#[test]
fn help_lists_the_exit_codes() {
    let ran = dohle(&["--help"], "");
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("Exit codes"), "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}'), "colours where nobody sees them");
}
