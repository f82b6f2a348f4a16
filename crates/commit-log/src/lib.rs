//! The log of one partition and the data directory that holds many.
