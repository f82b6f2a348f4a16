//! The ledger: every record that was handed over is there, once, in its order and where its
//! acknowledgement said, however often the broker and the coordinator are killed.

#[cfg(test)]
mod history;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod random;
#[cfg(test)]
mod writers;
