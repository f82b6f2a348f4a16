//! `dohle`.
fn main() {}
