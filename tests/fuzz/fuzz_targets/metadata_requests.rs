//! What brokers and clients ask of a coordinator, one request after the other.

#![no_main]

use fuzz::{metadata, within};
use libfuzzer_sys::fuzz_target;

const MEMORY: usize = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || metadata::follow(bytes));
});
