//! The coordinator's tree of nodes, as `ZooKeeper` has it: small data under paths, changed by
//! compare-and-set, some of it for as long as a session lives.
//!
//! [`Tree`] is replicated as the cluster's metadata is: it changes by [`Tree::apply`] alone, one
//! [`Command`] per revision of the log, and the same commands give the same tree everywhere. A
//! command is done as a whole or not at all.
//!
//! Whether a command may be proposed at all ([`Command::validate`], [`Tree::check_room`]) is judged
//! before, so that the limits may change between versions without two coordinators ever disagreeing.
//!
//! Pure: no clock, no randomness, no IO. When a session is over is judged outside.
//!
//! ```
//! use tree::{Command, NodePath, Operation, Tree};
//! use types::Revision;
//!
//! let mut tree = Tree::new();
//! let path = NodePath::new("/test")?;
//! let create = Operation::create(path.clone(), "sample");
//! tree.apply(Revision::new(1), &Command::Transact { operations: vec![create] })?;
//! assert_eq!(tree.node(&path).map(|node| node.data.as_ref()), Some(b"sample".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod command;
mod error;
mod node;
mod path;
mod session;
mod tree;

pub use command::{Command, Expectation, Lifetime, MAX_OPERATIONS, Missing, Naming, Operation};
pub use error::{InvalidPath, Refused, SnapshotError, TreeError};
pub use node::{MAX_DATA_BYTES, Node, NodeVersion};
pub use path::{MAX_PATH_BYTES, NodePath};
pub use session::{Session, SessionId};
pub use tree::{Applied, Event, MAX_NODES, MAX_SESSIONS, MAX_TREE_BYTES, Touched, Tree, What};
