//! What readers and watchers of the tree are told: the tree as it is, and the last changes.
//!
//! The loop publishes, watchers read. One that fell behind the changes that are kept is told so, so
//! that a slow one costs no memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tree::{Event, Tree, What};
use types::Revision;

use crate::feed::Duty;

/// What one revision changed.
#[derive(Debug)]
pub(crate) struct TreeChange {
    pub(crate) revision: Revision,
    pub(crate) events: Vec<Event>,
}

/// The last changes, up to a size.
#[derive(Debug)]
pub(crate) struct TreeFeed {
    max_bytes: usize,
    inner: Mutex<Inner>,
    /// Counts publications of changes.
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    duty: Duty,
    revision: Revision,
    tree: Tree,
    /// The revision before the oldest change.
    floor: Revision,
    changes: VecDeque<Arc<TreeChange>>,
    bytes: usize,
}

/// What a watcher at some revision is due.
#[derive(Debug)]
pub(crate) enum TreeDue {
    /// The next change.
    Change(Arc<TreeChange>),
    /// Nothing up to this revision.
    Nothing(Revision),
    /// The changes after this revision are all that is held.
    Behind(Revision),
    /// This coordinator does not lead (any more).
    NotLeading,
}

impl TreeFeed {
    /// A feed that keeps changes of at most `max_bytes` together.
    pub(crate) fn new(revision: Revision, tree: Tree, max_bytes: usize) -> Self {
        let (duty, floor, changes) = (Duty::Resting, revision, VecDeque::new());
        let inner = Inner { duty, revision, tree, floor, changes, bytes: 0 };
        Self { max_bytes, inner: Mutex::new(inner), changed: watch::Sender::new(0) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that can panic runs under it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes one revision.
    pub(crate) fn publish(&self, revision: Revision, tree: &Tree, events: Vec<Event>) {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.revision = revision;
        inner.tree = tree.clone();
        if events.is_empty() {
            return;
        }
        inner.bytes += weight(&events);
        inner.changes.push_back(Arc::new(TreeChange { revision, events }));
        while self.max_bytes < inner.bytes
            && let Some(oldest) = inner.changes.pop_front()
        {
            inner.bytes -= weight(&oldest.events);
            inner.floor = oldest.revision;
        }
        drop(guard);
        self.notify();
    }

    /// Lets watchers in, or sends them away.
    pub(crate) fn set_duty(&self, duty: Duty) {
        let before = std::mem::replace(&mut self.inner().duty, duty);
        if before != duty {
            self.notify();
        }
    }

    fn notify(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The tree as it was last published.
    pub(crate) fn view(&self) -> (Revision, Tree) {
        let inner = self.inner();
        (inner.revision, inner.tree.clone())
    }

    /// Tells when there are changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What comes after `revision`.
    pub(crate) fn after(&self, revision: Revision) -> TreeDue {
        let inner = self.inner();
        if inner.duty == Duty::Resting {
            return TreeDue::NotLeading;
        }
        if revision < inner.floor {
            return TreeDue::Behind(inner.floor);
        }
        let next = inner.changes.partition_point(|change| change.revision <= revision);
        let change = inner.changes.get(next);
        change
            .map_or(TreeDue::Nothing(inner.revision), |change| TreeDue::Change(Arc::clone(change)))
    }
}

/// Bytes of memory that keeping a change takes, roughly.
fn weight(events: &[Event]) -> usize {
    const OVERHEAD: usize = 128;
    let data = |event: &Event| match &event.what {
        What::Created(node) | What::Changed(node) => node.data.len(),
        What::Deleted => 0,
    };
    events.iter().map(|event| OVERHEAD + event.path.as_str().len() + data(event)).sum()
}

#[cfg(test)]
mod tests {
    use tree::{Command, NodePath, Operation};

    use super::*;

    /// A feed of `revisions` creations, after recovery at revision 10.
    fn feed(revisions: u64, max_bytes: usize) -> TreeFeed {
        let mut tree = Tree::new();
        let feed = TreeFeed::new(Revision::new(10), tree.clone(), max_bytes);
        feed.set_duty(Duty::Leading);
        for revision in (11..=10 + revisions).map(Revision::new) {
            let path = NodePath::new(&format!("/n{revision}")).unwrap();
            let operations = vec![Operation::create(path, "data")];
            let applied = tree.apply(revision, &Command::Transact { operations }).unwrap();
            feed.publish(revision, &tree, applied.events);
        }
        feed
    }

    fn due(feed: &TreeFeed, revision: u64) -> (&'static str, u64) {
        match feed.after(Revision::new(revision)) {
            TreeDue::Change(change) => ("change", change.revision.get()),
            TreeDue::Nothing(revision) => ("nothing", revision.get()),
            TreeDue::Behind(floor) => ("behind", floor.get()),
            TreeDue::NotLeading => ("not leading", 0),
        }
    }

    #[test]
    fn a_watcher_gets_every_change_in_order() {
        let feed = feed(5, usize::MAX);
        assert_eq!(due(&feed, 10), ("change", 11));
        assert_eq!(due(&feed, 14), ("change", 15));
        assert_eq!(due(&feed, 15), ("nothing", 15));
    }

    #[test]
    fn who_knows_less_than_is_held_is_told_so() {
        assert_eq!(due(&feed(5, usize::MAX), 9), ("behind", 10));
        let small = feed(50, 3 * 140);
        assert_eq!(due(&small, 11), ("behind", 57));
        assert_eq!(due(&small, 57), ("change", 58));
    }

    #[test]
    fn what_changes_no_node_moves_the_revision_and_wakes_nobody() {
        let feed = feed(1, usize::MAX);
        let mut changed = feed.subscribe();
        changed.mark_unchanged();
        feed.publish(Revision::new(12), &feed.view().1, Vec::new());
        assert_eq!(due(&feed, 11), ("nothing", 12));
        assert!(!changed.has_changed().unwrap());
    }

    #[test]
    fn nobody_is_told_anything_by_a_coordinator_that_does_not_lead() {
        let feed = feed(5, usize::MAX);
        feed.set_duty(Duty::Resting);
        assert_eq!(due(&feed, 12), ("not leading", 0));
    }
}
