//! Keeps the cluster's metadata by Raft.
