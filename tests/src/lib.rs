//! Harness that starts real processes.
