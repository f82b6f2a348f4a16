//! A directory that lives through what an input tells, its files being damaged between its lives.
//!
//! The input is a row of sentences of four bytes. Most say what the directory is to do; some end its
//! life, by closing it, by killing the process or by a loss of power; some damage its files while
//! it is down, as bits rot and file systems lose what they held. What must hold then:
//!
//! - Without damage nothing that was acknowledged is missing, and nothing that a kill could not take
//!   is missing after a kill.
//! - With damage, what was durable by a sync of its file is there, or the log is reported damaged
//!   when it is opened or when it is read. The rest may be taken for a torn tail.
//! - What is there is what was written there, in order, without a gap, and once.
//! - What is derived costs nothing: a damaged index or producer snapshot loses no record and makes
//!   none appear twice.
//! - A start that follows a start finds the same.

mod harm;
mod model;
mod story;

pub use story::tell;
