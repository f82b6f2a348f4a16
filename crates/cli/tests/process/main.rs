//! `dohle` as a process: what scripts see of it.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod process;
#[cfg(test)]
mod records;
#[cfg(test)]
mod usage;
