//! The log of one partition, and the data directory that holds many.
//!
//! A [`Directory`] is written by one thread, one [step](Directory::step) at a time: a step writes
//! what it was given to each log and then makes all of it durable at once. Everyone else reads
//! through [`LogReader`]s, which see whole pictures that the writer publishes and never wait for it.
//!
//! ```text
//! <data>/lock  directory.meta  fenced
//! <data>/checkpoint                                                recovery points of all logs
//! <data>/journal/<number>.journal                                  small appends, a second time
//! <data>/<topic-uuid>-<partition>/partition.meta                   log id, start, recovery point
//!                                 <base>-<epoch>.log               batches, as producers sent them
//!                                 <base>-<epoch>.index             once the segment is sealed
//!                                 <base>.producers                 who had written what before it
//! ```
//!
//! What holds at any crash:
//!
//! - An append that was answered with [`Durability::Fsync`](types::Durability::Fsync) is there, in order and once. Its offsets
//!   are never given to other records.
//! - A file holds one epoch, so the listing is the list of epochs, and each batch on disk can be
//!   checked in full: format and checksum, epoch by the file's name, offset by the batch before.
//! - Whatever is wrong behind the *recovery point* is a torn tail and is cut, and what the journal
//!   holds beyond the cut is added; whatever is still missing before the recovery point, or before
//!   something the journal holds, is damage, which is reported and left alone.
//! - After a failed sync nothing in the directory is believed again: it is *fenced*.
//!
//! Nothing here reads a clock, draws a random number, logs or spawns more than the threads that
//! sync files side by side. Which appends are right to make is for `replication` to decide.

mod ballast;
mod checkpoint;
mod checksum;
mod config;
mod directory;
mod duty;
mod error;
mod flaw;
mod index;
mod journal;
mod log;
mod meta;
mod name;
mod producers;
mod reader;
mod resync;
mod room;
mod scan;
pub mod scrub;
mod segment;
mod view;
mod write_behind;

pub use ballast::{Ballast, Released};
pub use config::{
    BallastConfig, DirectoryConfig, JournalConfig, LogConfig, LogOwner, WriteBufferConfig,
};
pub use directory::{
    Append, AppendAt, Appended, Directory, Fresh, JournalFound, NewLog, Upkeep, UpkeepDone,
    UpkeepScope,
};
pub use error::{Action, AppendError, DirectoryError, Fenced, LogError, ReadError, StorageFault};
pub use flaw::{Flaw, FlawKind};
pub use log::{Damage, DamageKind, Recovered, RecoveredLog, TornTail};
pub use name::LogKey;
pub use producers::{
    Note, ProducerLimits, ProducerRefusal, ProducerSnapshot, ProducerStates, SnapshotPoint, Undo,
    Verdict,
};
pub use reader::{LogReader, WithinRead};
pub use room::Room;
pub use view::{EpochStart, SegmentExtent};
