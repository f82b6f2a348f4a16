//! Brokers with two listeners, each a process of its own.

#[cfg(test)]
mod refused;
#[cfg(test)]
mod told;
