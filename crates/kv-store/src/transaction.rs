use crate::KvError;

/// The longest key, in bytes.
pub const MAX_KEY_LEN: usize = 4 * 1024;

/// The longest value, in bytes. sled moves larger ones to files of their own, which is where its
/// durability is weakest.
pub const MAX_VALUE_LEN: usize = 64 * 1024;

/// What a commit checks and changes.
///
/// Where a key is both deleted and put, the put wins; where it is put twice, the later one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Keys and the values they must hold; `None` means absent.
    pub checks: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Keys to take away, before anything is put.
    pub deletes: Vec<Vec<u8>>,
    /// Entries to set, in order.
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Transaction {
    /// A transaction that checks and changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits only if `key` holds exactly `value`.
    #[must_use]
    pub fn expect(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.checks.push((key.into(), Some(value.into())));
        self
    }

    /// Commits only if `key` is not there.
    #[must_use]
    pub fn expect_absent(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.checks.push((key.into(), None));
        self
    }

    /// Sets `key` to `value`.
    #[must_use]
    pub fn put(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.puts.push((key.into(), value.into()));
        self
    }

    /// Takes `key` away; no matter if it is not there.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.deletes.push(key.into());
        self
    }

    /// Whether it changes nothing.
    pub fn is_read_only(&self) -> bool {
        self.deletes.is_empty() && self.puts.is_empty()
    }

    /// Refuses keys and values that no store takes.
    ///
    /// # Errors
    ///
    /// [`KvError::KeyTooLong`] or [`KvError::ValueTooLong`].
    pub(crate) fn validate(&self) -> Result<(), KvError> {
        for (key, value) in &self.puts {
            if MAX_KEY_LEN < key.len() {
                return Err(KvError::KeyTooLong { length: key.len() });
            }
            if MAX_VALUE_LEN < value.len() {
                return Err(KvError::ValueTooLong { key: key.clone(), length: value.len() });
            }
        }
        Ok(())
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a transaction whose check failed changed nothing"]
pub enum Committed {
    /// Every check held; the changes are durable.
    Yes,
    /// A check failed; nothing was changed.
    Conflict {
        /// The first key that did not hold what was expected.
        key: Vec<u8>,
    },
}
