//! A directory whose files hold what the input says.

#![no_main]

use fuzz::{directory, within};
use libfuzzer_sys::fuzz_target;

const MEMORY: usize = 32 << 20;

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || directory::ask(bytes));
});
