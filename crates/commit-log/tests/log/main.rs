//! What a log promises, on a disk that takes every freedom it has.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a claim whose setting fails has failed"
)]

mod ballast;
mod deletion;
mod durability;
mod harness;
mod histories;
mod journal;
mod names;
mod producing;
mod reading;
mod real;
mod recovery;
mod refusals;
mod room;
mod scrub;
mod segments;
mod write_behind;
