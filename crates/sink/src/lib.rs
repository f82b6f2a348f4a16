//! Lands topics in a data lake, exactly once.
