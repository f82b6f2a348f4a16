use std::collections::BTreeSet;

use types::{BrokerId, Durability};

/// What the cluster's metadata says about a partition within one leader epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub(crate) in_sync: BTreeSet<BrokerId>,
    pub(crate) min_in_sync: usize,
    pub(crate) durability: Durability,
}

impl Membership {
    /// The in-sync replicas, leader included; how many of them there must be for a record to be
    /// committed (`min.insync.replicas`, but never more than the partition has replicas); and
    /// which of their ends counts.
    pub fn new(
        in_sync: impl IntoIterator<Item = BrokerId>,
        min_in_sync: usize,
        durability: Durability,
    ) -> Self {
        Self { in_sync: in_sync.into_iter().collect(), min_in_sync, durability }
    }

    /// Whether so few are in sync that nothing can be committed.
    pub(crate) fn is_under_min(&self) -> bool {
        self.in_sync.len() < self.min_in_sync
    }
}
