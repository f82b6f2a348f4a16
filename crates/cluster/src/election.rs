//! Who leads a partition: the first in-sync replica that is alive, in order of preference. There
//! is no other: without one the partition is offline.

use types::BrokerId;

use crate::Partition;

/// What a change of the brokers did to a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Unchanged,
    Changed(Partition),
    /// An epoch has reached its last number.
    EpochsUsedUp,
}

/// The leader that `replicas` and `isr` give.
pub(crate) fn elect(
    replicas: &[BrokerId],
    isr: &[BrokerId],
    is_alive: impl Fn(BrokerId) -> bool,
) -> Option<BrokerId> {
    replicas.iter().copied().find(|id| isr.contains(id) && is_alive(*id))
}

/// Settles a partition after the brokers changed: a leader that is still alive stays, else there
/// is an election.
pub(crate) fn settle(
    partition: &Partition,
    isr: Vec<BrokerId>,
    is_alive: impl Fn(BrokerId) -> bool,
) -> Effect {
    let stays = partition.leader.filter(|id| isr.contains(id) && is_alive(*id));
    let leader = stays.or_else(|| elect(&partition.replicas, &isr, is_alive));
    let new_epoch = leader != partition.leader;
    if !new_epoch && isr == partition.isr {
        return Effect::Unchanged;
    }
    let leader_epoch =
        if new_epoch { partition.leader_epoch.next() } else { Some(partition.leader_epoch) };
    match (leader_epoch, partition.partition_epoch.next()) {
        (Some(leader_epoch), Some(partition_epoch)) => Effect::Changed(Partition {
            replicas: partition.replicas.clone(),
            isr,
            leader,
            leader_epoch,
            partition_epoch,
        }),
        (None, _) | (_, None) => Effect::EpochsUsedUp,
    }
}
