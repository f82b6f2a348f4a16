//! Starts real processes, waits for what they say, and kills them.
//!
//! Every process listens on port 0 and writes the address it got as one line of its JSON log; the
//! harness reads it there, so that nothing waits by sleeping and no two tests share a port.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what the harness cannot do fails the test that asked"
)]

mod cluster;
mod process;

pub use cluster::Cluster;
pub use process::{Finished, Process, program, run, run_within};
