use std::sync::{Mutex, PoisonError};

/// What stands in the way of the store, as far as was seen.
#[derive(Debug, Default)]
pub(crate) struct StoreHealth {
    trouble: Mutex<Option<String>>,
}

impl StoreHealth {
    /// Of a store that nobody has asked anything yet.
    pub(crate) fn unknown() -> Self {
        Self { trouble: Mutex::new(Some("no coordinator has answered yet".to_owned())) }
    }

    pub(super) fn set(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Nothing, if it answers.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
