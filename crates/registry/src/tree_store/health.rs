use std::sync::{Mutex, PoisonError};

use tracing::{info, warn};

/// What stands in the way of the store, as far as was seen.
#[derive(Debug, Default)]
pub(crate) struct StoreHealth {
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Seen {
    /// Nobody has asked yet.
    Nothing,
    Trouble(String),
    #[default]
    Answers,
}

impl StoreHealth {
    /// Of a store that nobody has asked anything yet.
    pub(crate) fn unknown() -> Self {
        Self { seen: Mutex::new(Seen::Nothing) }
    }

    /// Notes what was seen. What is new is logged once.
    pub(super) fn set(&self, outcome: Result<(), String>) {
        let now = outcome.map_or_else(Seen::Trouble, |()| Seen::Answers);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*seen, &now) {
            (Seen::Nothing | Seen::Answers, Seen::Trouble(error)) => {
                warn!(error, "coordinators do not answer; they are asked again every second");
            }
            (Seen::Nothing | Seen::Trouble(_), Seen::Answers) => info!("coordinators answer"),
            (Seen::Trouble(_), Seen::Trouble(_))
            | (Seen::Answers, Seen::Answers)
            | (_, Seen::Nothing) => {}
        }
        *seen = now;
    }

    /// Nothing, if it answers.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &*self.seen.lock().unwrap_or_else(PoisonError::into_inner) {
            Seen::Nothing => Some("no coordinator has answered yet".to_owned()),
            Seen::Trouble(error) => Some(error.clone()),
            Seen::Answers => None,
        }
    }
}
