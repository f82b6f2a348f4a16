//! A small durable ordered store: keys to values, changed by atomic transactions.
//!
//! Two implementations obey one law, written at [`KvStore`]: [`SledStore`] keeps its data in one
//! directory, [`MemoryStore`] keeps it for the life of the process (simulations, tests).
//!
//! What it does not do: hold values over [`MAX_VALUE_LEN`] (the caller cuts them up), many
//! writers at once (a commit waits for the one before it), or anything on a record's path.
//!
//! ```
//! use kv_store::{Committed, KvStore, MemoryStore, Transaction};
//!
//! let store = MemoryStore::default();
//! let first = Transaction::new().expect_absent("id/1").put("id/1", "person");
//! assert_eq!(store.commit(first.clone())?, Committed::Yes);
//! assert_eq!(store.commit(first)?, Committed::Conflict { key: b"id/1".to_vec() });
//! # Ok::<(), kv_store::KvError>(())
//! ```

mod error;
mod memory_store;
mod sled_store;
mod store;
mod transaction;

#[cfg(test)]
mod tests;

pub use error::{CorruptionCause, KvError};
pub use memory_store::MemoryStore;
pub use sled_store::SledStore;
pub use store::{KeyValue, KvStore};
pub use transaction::{Committed, MAX_KEY_LEN, MAX_VALUE_LEN, Transaction};
