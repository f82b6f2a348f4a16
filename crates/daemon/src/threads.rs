//! How many threads run a service's tasks.

use std::num::NonZeroUsize;
use std::{env, io, thread};

use tokio::runtime::{Builder, Runtime};

/// What tokio itself goes by where nothing else is said.
const OVERRIDE: &str = "TOKIO_WORKER_THREADS";

/// A runtime for a service that has a busy thread of its own beside its tasks, which gets a core:
/// on two cores a task that wakes another one then finds it on the same thread, instead of waking
/// the other core for it. `TOKIO_WORKER_THREADS` overrides how many threads there are.
///
/// # Errors
///
/// The system has no threads to give.
pub fn beside_a_writer(name: &str) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if env::var_os(OVERRIDE).is_none() {
        builder.worker_threads(all_but_one(thread::available_parallelism()?));
    }
    builder.thread_name(name).enable_all().build()
}

fn all_but_one(cores: NonZeroUsize) -> usize {
    cores.get().saturating_sub(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_is_left_and_one_thread_at_least() {
        let threads = |cores| all_but_one(NonZeroUsize::new(cores).unwrap());
        assert_eq!([1, 2, 3, 16].map(threads), [1, 1, 2, 15]);
    }
}
