//! The pure part of the sink: plans, partitioners, file names, commit records.
