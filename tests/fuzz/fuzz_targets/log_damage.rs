//! A directory's lives, told in sentences of four bytes, with damage to its files in between.

#![no_main]

use fuzz::{damage, within};
use libfuzzer_sys::fuzz_target;

const MEMORY: usize = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || damage::tell(bytes));
});
