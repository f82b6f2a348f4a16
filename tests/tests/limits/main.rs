//! Limits that hold: whatever clients do, and however many they are, a broker's memory stays within
//! what `docs/limits.md` says, and those who behave are served.

#[cfg(test)]
mod flood;
#[cfg(test)]
mod healthy;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod slow_readers;
