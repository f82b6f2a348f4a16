use std::collections::BTreeMap;

use disk::Disk;
use slab::Slab;

use crate::log::Log;
use crate::name::LogKey;

/// The logs of a directory. A key is looked up once; whoever goes on with the log has its place.
#[derive(Debug)]
pub(super) struct Logs<D: Disk> {
    places: BTreeMap<LogKey, Place>,
    logs: Slab<Log<D>>,
}

/// Where a log lies. Its own until the log is removed, and then perhaps another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

impl<D: Disk> Logs<D> {
    pub(super) const fn new() -> Self {
        Self { places: BTreeMap::new(), logs: Slab::new() }
    }

    /// Where the log of this key lies, if there is one.
    pub(super) fn place(&self, key: &LogKey) -> Option<Place> {
        self.places.get(key).copied()
    }

    pub(super) fn at(&self, Place(place): Place) -> Option<&Log<D>> {
        self.logs.get(place)
    }

    pub(super) fn at_mut(&mut self, Place(place): Place) -> Option<&mut Log<D>> {
        self.logs.get_mut(place)
    }

    pub(super) fn get(&self, key: &LogKey) -> Option<&Log<D>> {
        self.at(self.place(key)?)
    }

    pub(super) fn get_mut(&mut self, key: &LogKey) -> Option<&mut Log<D>> {
        self.at_mut(self.place(key)?)
    }

    pub(super) fn contains_key(&self, key: &LogKey) -> bool {
        self.places.contains_key(key)
    }

    /// Takes in a log, in the place of one of the same key.
    pub(super) fn insert(&mut self, key: LogKey, log: Log<D>) {
        self.remove(&key);
        self.places.insert(key, Place(self.logs.insert(log)));
    }

    pub(super) fn remove(&mut self, key: &LogKey) {
        if let Some(Place(place)) = self.places.remove(key) {
            self.logs.try_remove(place);
        }
    }

    /// Every key, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &LogKey> {
        self.places.keys()
    }

    /// Every log, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &Log<D>> {
        self.logs.iter().map(|(_, log)| log)
    }

    /// As [`Logs::values`].
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Log<D>> {
        self.logs.iter_mut().map(|(_, log)| log)
    }
}
