//! The registry over real HTTP: what Confluent's clients send, and what they must get.

#[cfg(test)]
mod compatibility;
#[cfg(test)]
mod course;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod interleaving;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod references;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod subjects;
