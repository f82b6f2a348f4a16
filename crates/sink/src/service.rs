//! Runs on a schedule: what `dohle-sink` does.
//!
//! Runs of one process never overlap: the next one is due when its time comes and the one before has
//! ended; a time that passes during a run is passed over. Those of several processes may overlap, and
//! the commit protocol sees to it that each record lands once.

mod app;
mod config;
mod schedule;
mod tally;

pub use app::{App, BuildError, RunError};
pub use config::{Config, ConfigError, TimeUnit};
pub use schedule::{InvalidSchedule, Schedule};
