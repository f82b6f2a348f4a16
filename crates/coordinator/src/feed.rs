//! What watchers of the metadata are told: the image as it is, and the last changes.
//!
//! The loop publishes, watchers read. A watcher that fell behind the changes that are kept begins
//! anew with a snapshot, so that a slow one costs no memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::{Delta, MetadataImage};
use prost::Message;
use tokio::sync::watch;
use types::Revision;
use wire::convert::{delta_to_proto, image_to_proto};
use wire::v1::coordinator::WatchMetadataResponse;
use wire::v1::coordinator::watch_metadata_response::Content;

/// Whether this coordinator may answer watchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It leads, and has applied an entry of its own term.
    Leading,
    Resting,
}

/// The last changes, up to a size.
#[derive(Debug)]
pub(crate) struct Feed {
    max_bytes: usize,
    inner: Mutex<Inner>,
    /// Counts publications.
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    duty: Duty,
    image: MetadataImage,
    /// The revision before the oldest change.
    floor: Revision,
    changes: VecDeque<Arc<WatchMetadataResponse>>,
    bytes: usize,
}

/// What a watcher at some revision is due.
#[derive(Debug)]
pub(crate) enum Due {
    /// The next change.
    Change(Arc<WatchMetadataResponse>),
    /// Everything.
    Snapshot(MetadataImage),
    /// Nothing, until the feed changes.
    Nothing,
    /// This coordinator does not lead (any more).
    NotLeading,
}

impl Feed {
    /// A feed that keeps encoded changes of at most `max_bytes` together.
    pub(crate) fn new(image: MetadataImage, max_bytes: usize) -> Self {
        let floor = image.revision();
        let changes = VecDeque::new();
        let inner = Inner { duty: Duty::Resting, image, floor, changes, bytes: 0 };
        Self { max_bytes, inner: Mutex::new(inner), changed: watch::Sender::new(0) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that can panic runs under it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes one revision.
    pub(crate) fn publish(&self, image: &MetadataImage, delta: &Delta) {
        let change = WatchMetadataResponse {
            revision: image.revision().get(),
            content: Some(Content::Delta(delta_to_proto(delta))),
        };
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.bytes += change.encoded_len();
        inner.image = image.clone();
        inner.changes.push_back(Arc::new(change));
        while self.max_bytes < inner.bytes
            && let Some(oldest) = inner.changes.pop_front()
        {
            inner.bytes -= oldest.encoded_len();
            inner.floor = Revision::new(oldest.revision);
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

    /// Whether this coordinator leads.
    pub(crate) fn duty(&self) -> Duty {
        self.inner().duty
    }

    /// What the loop last published.
    pub(crate) fn image(&self) -> MetadataImage {
        self.inner().image.clone()
    }

    /// Tells when the feed has changed.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What comes after `revision`.
    pub(crate) fn after(&self, revision: Revision) -> Due {
        let inner = self.inner();
        if inner.duty == Duty::Resting {
            return Due::NotLeading;
        }
        if inner.image.revision() <= revision {
            return Due::Nothing;
        }
        // 0: the caller has nothing, and the changes since the beginning are no snapshot.
        if revision < inner.floor || revision == Revision::ZERO {
            return Due::Snapshot(inner.image.clone());
        }
        let next = inner.changes.partition_point(|change| change.revision <= revision.get());
        inner.changes.get(next).map_or(Due::Nothing, |change| Due::Change(Arc::clone(change)))
    }
}

/// A snapshot as watchers get it.
pub(crate) fn snapshot(image: &MetadataImage) -> WatchMetadataResponse {
    WatchMetadataResponse {
        revision: image.revision().get(),
        content: Some(Content::Snapshot(image_to_proto(image))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feed of `revisions` empty changes.
    fn feed(revisions: u64, max_bytes: usize) -> Feed {
        let feed = Feed::new(MetadataImage::new(), max_bytes);
        feed.set_duty(Duty::Leading);
        let mut image = MetadataImage::new();
        for revision in 1..=revisions {
            image.apply(Revision::new(revision), &Delta::default()).unwrap();
            feed.publish(&image, &Delta::default());
        }
        feed
    }

    fn due(feed: &Feed, revision: u64) -> (&'static str, u64) {
        match feed.after(Revision::new(revision)) {
            Due::Change(change) => ("change", change.revision),
            Due::Snapshot(image) => ("snapshot", image.revision().get()),
            Due::Nothing => ("nothing", revision),
            Due::NotLeading => ("not leading", revision),
        }
    }

    #[test]
    fn a_watcher_gets_every_change_in_order() {
        let feed = feed(5, usize::MAX);
        assert_eq!(due(&feed, 3), ("change", 4));
        assert_eq!(due(&feed, 4), ("change", 5));
        assert_eq!(due(&feed, 5), ("nothing", 5));
    }

    #[test]
    fn who_has_nothing_or_fell_behind_begins_with_a_snapshot() {
        assert_eq!(due(&feed(5, usize::MAX), 0), ("snapshot", 5));
        let small = feed(50, 12);
        assert_eq!(due(&small, 3), ("snapshot", 50));
        assert_eq!(due(&small, 49), ("change", 50));
    }

    #[test]
    fn nobody_is_told_anything_by_a_coordinator_that_does_not_lead() {
        let feed = feed(5, usize::MAX);
        let mut changed = feed.subscribe();
        changed.mark_unchanged();
        feed.set_duty(Duty::Resting);
        assert!(changed.has_changed().unwrap(), "those who wait must hear of it");
        assert_eq!(due(&feed, 3), ("not leading", 3));
    }
}
