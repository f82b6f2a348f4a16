use crate::{Committed, KvError, Transaction};

/// One entry of a store.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// A durable ordered map from keys to values.
///
/// # Law
///
/// - Keys are ordered by their bytes.
/// - A commit happens wholly or not at all, also over a crash.
/// - When [`commit`](Self::commit) returns [`Committed::Yes`], the transaction has survived a loss
///   of power. Nobody reads it before that: what was read once is never taken back.
/// - Commits are totally ordered, and a transaction's checks hold at its place in that order.
/// - After a write or a sync failed, the store refuses everything with [`KvError::Failed`] until
///   it is opened again: what the disk then holds is not known. A store in other processes
///   ([`KvError::Remote`]) goes on as soon as they do.
pub trait KvStore: Send + Sync + 'static {
    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// [`KvError::Failed`] after an earlier failure, [`KvError::Io`], [`KvError::Corrupted`] or
    /// [`KvError::Remote`] if reading fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// Up to `limit` entries whose keys begin with `prefix`, in key order, behind `after`
    /// (exclusive) if it is given. All of them are of one moment.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, KvError>;

    /// Applies a transaction if all its checks hold.
    ///
    /// # Errors
    ///
    /// [`KvError::KeyTooLong`] and [`KvError::ValueTooLong`] change nothing; after any other error
    /// it is unknown whether the transaction lasts.
    fn commit(&self, transaction: Transaction) -> Result<Committed, KvError>;
}
