//! Appending to a log and finding an offset in it.

fn main() {}
