//! The ledger: what was acknowledged is there, once, where the acknowledgement said, however often
//! the broker and the coordinator are killed.

#[cfg(test)]
mod history;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod random;
#[cfg(test)]
mod writers;
