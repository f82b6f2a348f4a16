//! Process life: configuration, tracing, clock and shutdown. What every `main` is made of.

pub mod clock;
pub mod config;
pub mod open_files;
pub mod shutdown;
pub mod telemetry;
pub mod threads;

mod run;

pub use run::{Service, run};
