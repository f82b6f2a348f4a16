//! Stores partitions and serves them.
