//! The leader of one partition, as a pure state machine.
//!
//! The caller owns time, disk and network. It feeds an [`Input`] and the moment it happened, and
//! carries out the returned [`Effect`]s in order; nothing else happens. What the log could not
//! say by itself is decided here: how far a partition is committed (the high watermark), and
//! when each producer may be told so.
//!
//! This crate deliberately knows nothing of records, files or leases: a payload passes through
//! it unseen, and a broker that has lost its lease simply does not ask.
//!
//! ```
//! use std::time::Duration;
//! use replication::{Acks, Appended, Effect, Input, Leader, LogEnds, Membership, Produce};
//! use types::{BrokerId, Durability, LeaderEpoch, Offset};
//!
//! let broker = BrokerId::new(1);
//! let membership = Membership::new([broker], 1, Durability::Fsync);
//! let mut leader = Leader::start(broker, LeaderEpoch::new(4), membership, LogEnds::default());
//!
//! let produce =
//!     Produce { payload: "batch", reply: "who asked", acks: Acks::All, deadline: Duration::MAX };
//! let mut effects: Vec<Effect<_, _, String>> = Vec::new();
//! leader.step(Input::Produce(produce), Duration::ZERO, &mut effects);
//! assert_eq!(effects, [Effect::Append { epoch: LeaderEpoch::new(4), payload: "batch" }]);
//!
//! let end = Offset::new(3);
//! let appended = Appended { base_offset: Offset::ZERO, end, durable_end: end };
//! leader.step(Input::Appended(appended), Duration::ZERO, &mut effects);
//! assert_eq!(effects.get(1), Some(&Effect::HighWatermark(end)));
//! ```

mod error;
mod leader;
mod membership;
mod pending;

pub use error::ProduceError;
pub use leader::{Acknowledged, Appended, Effect, Input, Leader, LogEnds, Produce};
pub use membership::Membership;
pub use pending::Acks;
