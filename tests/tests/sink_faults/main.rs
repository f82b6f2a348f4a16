//! The sink as a process that is killed, races, and meets payloads that it cannot read: what lands
//! in the lake is what was produced, exactly once. Others read it: fastavro.

#[cfg(test)]
mod kills;
#[cfg(test)]
mod lake;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod races;
#[cfg(test)]
mod service;
#[cfg(test)]
mod sight;
