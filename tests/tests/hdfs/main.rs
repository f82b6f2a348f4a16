//! The sink and a real HDFS: what its store promises, 336,776 flights by day, and faults of the sink,
//! of the NameNode and of the DataNode. What lands is read back by Hadoop's own shell and fastavro.
//!
//! `tests/run` fetches HDFS (`tests/hdfs/hdfs setup`) and runs these in a step of their own.

#[cfg(test)]
mod advice;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod flights;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod lake;
#[cfg(test)]
#[path = "../../../crates/sink/tests/protocol/law.rs"]
mod law;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod races;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sight;
