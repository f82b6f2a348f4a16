use std::sync::Arc;

use tokio::sync::watch;
use types::Offset;

use crate::partitions::View;

/// Word, to come, of more to read in a partition.
#[derive(Debug)]
pub(crate) struct Advance {
    committed: watch::Receiver<Offset>,
    view: watch::Receiver<Arc<View>>,
}

impl Advance {
    /// `committed` beyond what was read, in a partition found in `view`.
    pub(crate) const fn new(
        committed: watch::Receiver<Offset>,
        view: watch::Receiver<Arc<View>>,
    ) -> Self {
        Self { committed, view }
    }

    /// Resolves when more is committed. If the leadership ends instead, resolves once the metadata
    /// has moved on: until then it still names this broker, and whoever read again would find the
    /// same, without end.
    pub(crate) async fn come(mut self) {
        if self.committed.changed().await.is_err() {
            // An error means that the broker stops, which those who read are told.
            drop(self.view.changed().await);
        }
    }
}
