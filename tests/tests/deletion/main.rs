//! Deleting records, on real processes: under readers, and with the broker killed behind the
//! answer.

#[cfg(test)]
mod kills;
#[cfg(test)]
mod numbered;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod tool;
