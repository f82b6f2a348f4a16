use super::Append;
use super::logs::Place;
use crate::name::LogKey;

/// How a log becomes durable, if it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    File,
    Journal,
}

/// What a step does to one log.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) key: LogKey,
    /// `None` if there is no such log.
    pub(super) place: Option<Place>,
    /// Bytes of the batches that are to be added.
    pub(super) bytes: u64,
    /// Appends that have any.
    pub(super) appends: u64,
    pub(super) route: Route,
    /// Whether any of them added something.
    pub(super) grew: Grew,
}

/// Whether a step added anything to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grew {
    Yes,
    No,
}

/// Every log of a step once, by key: few that lie side by side are found sooner than among all logs.
#[derive(Debug)]
pub(super) struct TouchedLogs(Vec<Touched>);

impl TouchedLogs {
    /// The logs of these appends, which lie where `place` says.
    pub(super) fn of(appends: &[Append], place: impl Fn(&LogKey) -> Option<Place>) -> Self {
        let touched = appends.iter().map(|append| {
            let bytes = append.batches.iter().map(|batch| batch.bytes().len() as u64);
            let bytes = bytes.fold(0, u64::saturating_add);
            let appends = u64::from(!append.batches.is_empty());
            let (place, route, grew) = (None, Route::File, Grew::No);
            Touched { key: append.log, place, bytes, appends, route, grew }
        });
        let mut touched: Vec<Touched> = touched.collect();
        touched.sort_unstable_by_key(|touched| touched.key);
        touched.dedup_by(|next, kept| {
            let is_same = next.key == kept.key;
            if is_same {
                kept.bytes = kept.bytes.saturating_add(next.bytes);
                kept.appends += next.appends;
            }
            is_same
        });
        for touched in &mut touched {
            touched.place = place(&touched.key);
        }
        Self(touched)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Touched> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Touched> {
        self.0.iter_mut()
    }

    pub(super) fn get(&self, key: &LogKey) -> Option<&Touched> {
        self.0.get(self.0.binary_search_by_key(key, |touched| touched.key).ok()?)
    }

    pub(super) fn get_mut(&mut self, key: &LogKey) -> Option<&mut Touched> {
        let found = self.0.binary_search_by_key(key, |touched| touched.key).ok()?;
        self.0.get_mut(found)
    }

    /// Where the logs lie that go this way.
    pub(super) fn places(&self, route: Route) -> impl Iterator<Item = Place> {
        let touched = self.0.iter().filter(move |touched| touched.route == route);
        touched.filter_map(|touched| touched.place)
    }

    pub(super) fn has_any(&self, route: Route) -> bool {
        self.0.iter().any(|touched| touched.route == route)
    }
}

#[cfg(test)]
mod tests {
    use record::{Batch, BatchBuilder, Compression};
    use types::{LeaderEpoch, PartitionId, Timestamp, TopicId};

    use super::*;
    use crate::directory::AppendAt;

    fn key(partition: u32) -> LogKey {
        LogKey { topic_id: TopicId::from_bytes([7; 16]), partition: PartitionId::new(partition) }
    }

    fn batch() -> Batch {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(Timestamp::from_millis(1), None, Some(b"touches"), &[]).unwrap();
        builder.build().unwrap()
    }

    fn append(partition: u32, batches: usize) -> Append {
        let (log, batches) = (key(partition), vec![batch(); batches]);
        Append { log, epoch: LeaderEpoch::ZERO, batches, at: AppendAt::End }
    }

    #[test]
    fn each_log_is_there_once_with_all_that_is_to_be_added() {
        let appends = [append(2, 1), append(0, 2), append(2, 3), append(1, 0), append(0, 0)];
        let touched = TouchedLogs::of(&appends, |_| None);
        let size = batch().bytes().len() as u64;
        let found: Vec<_> =
            touched.iter().map(|it| (it.key, it.bytes / size, it.appends)).collect();
        assert_eq!(found, [(key(0), 2, 1), (key(1), 0, 0), (key(2), 4, 2)]);
        assert_eq!(touched.get(&key(2)).map(|it| it.bytes), Some(4 * size));
        assert!(touched.get(&key(3)).is_none());
    }
}
