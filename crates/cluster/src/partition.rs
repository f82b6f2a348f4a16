use types::{BrokerId, LeaderEpoch, PartitionEpoch};

/// A partition's place in the cluster.
///
/// `leader`, if any, is in `isr` and unfenced; `isr` is never empty and part of `replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "an epoch of the partition, not of its leader")]
pub struct Partition {
    /// Who holds it, in order of preference.
    pub replicas: Vec<BrokerId>,
    /// The in-sync replicas: each holds everything that was committed.
    pub isr: Vec<BrokerId>,
    /// Who leads it; none while no in-sync replica is alive.
    pub leader: Option<BrokerId>,
    /// Grows with each change of the leader, to none and back too.
    pub leader_epoch: LeaderEpoch,
    /// Grows with each change.
    pub partition_epoch: PartitionEpoch,
}
