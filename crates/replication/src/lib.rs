//! Leader and follower of a partition as state machines.
