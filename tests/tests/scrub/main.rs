//! Bits that rot in sealed segments, on real processes: they are found, named and read around.

#[cfg(test)]
mod found;
#[cfg(test)]
mod rotten;
