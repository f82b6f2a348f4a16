use types::BrokerId;

use crate::{ClusterError, MetadataImage};

/// Places new partitions round robin over the brokers that are alive. It begins where the last
/// topic left off, so that many topics of one partition spread too.
pub(super) fn place(
    image: &MetadataImage,
    partitions: u32,
    replication_factor: u32,
) -> Result<Vec<Vec<BrokerId>>, ClusterError> {
    let alive: Vec<BrokerId> =
        image.brokers().filter(|broker| broker.is_alive()).map(|broker| broker.id).collect();
    let factor = usize::try_from(replication_factor).unwrap_or(usize::MAX);
    if factor == 0 || alive.len() < factor {
        let alive = u32::try_from(alive.len()).unwrap_or(u32::MAX);
        return Err(ClusterError::ReplicationFactor { given: replication_factor, alive });
    }
    let placed: usize = image.topics().map(|topic| topic.partitions.len()).sum();
    let from = |first: usize| alive.iter().copied().cycle().skip(first % alive.len());
    let count = usize::try_from(partitions).unwrap_or(usize::MAX);
    Ok((0..count).map(|partition| from(placed + partition).take(factor).collect()).collect())
}
