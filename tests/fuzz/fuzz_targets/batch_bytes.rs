//! Bytes as a producer, a broker or a disk might give them, taken for batches: as they came, and
//! with right lengths and checksums.

#![no_main]

use bytes::Bytes;
use fuzz::{batches, sealing, within};
use libfuzzer_sys::fuzz_target;

/// Codecs take up to some megabytes to work with, whatever a batch claims.
const MEMORY: usize = 32 << 20;

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || {
        batches::ask(&Bytes::copy_from_slice(bytes));
        let mut sealed = bytes.to_vec();
        sealing::batches(&mut sealed);
        batches::ask(&sealed.into());
    });
});
