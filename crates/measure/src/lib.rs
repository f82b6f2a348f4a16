//! What a measurement is made of, whatever is measured: CPU time of two sides, latencies of an open
//! loop, figures over rounds, and what they are held to.
//!
//! Two sides do the same by turns, so that whatever else the machine is busy with meets both. A
//! [`Turn`] is what one of them did; a [`Comparison`] is taken within rounds and then over them; a
//! [`Score`] says whether that is what was wanted.

mod cpu;
mod latency;
mod resources;
mod score;
mod text;
mod turn;

pub use cpu::{ASIDE_THREADS, CpuTime, Server};
pub use latency::{Begin, Done, Latencies, Percentiles, Schedule, open_loop};
pub use resources::Resources;
pub use score::{Condition, Cpu, Goal, Score, Task, Unit, Verdict};
pub use text::{grouped, micros};
pub use turn::{Comparison, Spread, Throughput, Turn};
