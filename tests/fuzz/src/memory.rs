use std::alloc::System;
use std::panic;
use std::sync::Once;

use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Acts with at most so many bytes of memory beyond what is held already. One byte more fails to be
/// allocated, which ends the process.
pub fn within<T>(bytes: usize, act: impl FnOnce() -> T) -> T {
    static TOLD: Once = Once::new();
    TOLD.call_once(free_reports);
    let limit = MEMORY.allocated().saturating_add(bytes);
    MEMORY.set_limit(limit).expect("nobody else allocates");
    let answer = act();
    lift();
    answer
}

fn lift() {
    MEMORY.set_limit(usize::MAX).expect("no limit is above every other");
}

/// Lifts the limit before a panic is told. A backtrace takes more than inputs may, and running out
/// of memory while one is written waits for a lock for ever: the standard library wants to write
/// another one, and holds that lock already.
fn free_reports() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        lift();
        report(panicked);
    }));
}
