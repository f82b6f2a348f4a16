use std::time::Duration;

use e2e::{Cluster, run_within};

/// A command that has nothing to wait for is through long before; one that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `dohle` with `input`; it must leave with `code` and say all of `words` on stderr.
#[track_caller]
pub(crate) fn refused(cluster: &Cluster, line: &str, input: &str, code: i32, words: &[&str]) {
    let said = run_within(PATIENCE, &mut cluster.dohle(line.split(' ')), input).expect_code(code);
    for word in words {
        assert!(said.contains(word), "dohle {line} does not say {word:?}:\n{said}");
    }
}

/// Runs `dohle` with `input`; it must succeed. Returns its stdout.
#[track_caller]
pub(crate) fn done(cluster: &Cluster, line: &str, input: &str) -> String {
    run_within(PATIENCE, &mut cluster.dohle(line.split(' ')), input).expect_success()
}
