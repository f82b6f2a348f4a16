//! Process life: configuration, tracing, clock and shutdown. What every `main` is made of.

pub mod clock;
pub mod config;
pub mod http;
mod metrics;
pub mod open_files;
pub mod process;
pub mod shutdown;
pub mod telemetry;
pub mod threads;
pub mod vitals;

mod run;

pub use run::{Service, run, run_with_codes};
