//! Starts real processes, waits for what they say, and kills them.
//!
//! Every process listens on port 0 and writes the address it got as one line of its JSON log; the
//! harness reads it there, so that nothing waits by sleeping and no two tests share a port.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what the harness cannot do fails the test that asked"
)]

use std::path::{Path, PathBuf};

mod cluster;
mod process;

pub use cluster::Cluster;
pub use process::{Finished, Process, program, run, run_within};

/// What `tests/run` fetched: real input, and a Python with programs that are not ours.
///
/// # Panics
///
/// It did not run.
pub fn inputs() -> PathBuf {
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-inputs");
    assert!(inputs.join("ready").exists(), "test inputs are missing: `tests/run` fetches them");
    inputs.canonicalize().expect("it exists")
}
