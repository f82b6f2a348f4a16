use rpds::RedBlackTreeMapSync;
use types::{BrokerId, DirectoryId, Revision};

use crate::{ClusterError, ClusterId, Command, Delta, Incarnation, MetadataImage, ProducerIdBlock};

mod brokers;
#[cfg(test)]
mod tests;
mod topics;

/// Which process and which directory a broker's registration was made from. Not for brokers to
/// know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The life of the process.
    pub incarnation: Incarnation,
    /// The data directory, whose lock it held.
    pub directory: DirectoryId,
}

/// All that the coordinators replicate. A clone costs a few reference counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    image: MetadataImage,
    identities: RedBlackTreeMapSync<BrokerId, Identity>,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// What a command does, before it is done.
#[derive(Debug, Default)]
struct Change {
    cluster_id: Option<ClusterId>,
    identity: Option<(BrokerId, Identity)>,
    delta: Delta,
}

impl State {
    /// The state before the first command.
    pub fn new() -> Self {
        Self { image: MetadataImage::new(), identities: RedBlackTreeMapSync::new_sync() }
    }

    /// Puts a snapshot together.
    pub fn from_parts(
        image: MetadataImage,
        identities: impl IntoIterator<Item = (BrokerId, Identity)>,
    ) -> Self {
        Self { image, identities: identities.into_iter().collect() }
    }

    /// The part of it that everyone may know.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Where a broker last registered from.
    pub fn identity(&self, broker: BrokerId) -> Option<&Identity> {
        self.identities.get(&broker)
    }

    /// Applies the command that stands at `revision` of the log, and says what it changed.
    /// Revisions grow from call to call, but need not be dense.
    ///
    /// # Errors
    ///
    /// The command's conditions do not hold (any more). It then changed nothing but the revision,
    /// here as on every other coordinator.
    pub fn apply(&mut self, revision: Revision, command: &Command) -> Result<Delta, ClusterError> {
        debug_assert!(self.image.revision() < revision, "the log is applied in order, once");
        let decided = self.change(revision, command);
        self.image.pass(revision);
        let change = decided?;
        self.image.put(&change.delta);
        if let Some(cluster_id) = change.cluster_id {
            self.image.set_cluster_id(cluster_id);
        }
        if let Some((broker, identity)) = change.identity {
            self.identities.insert_mut(broker, identity);
        }
        Ok(change.delta)
    }

    /// Notes that the log entry at `revision` was not a command.
    pub fn pass(&mut self, revision: Revision) {
        self.image.pass(revision);
    }

    fn change(&self, revision: Revision, command: &Command) -> Result<Change, ClusterError> {
        match command {
            Command::InitCluster { cluster_id } => self.init(cluster_id),
            Command::RegisterBroker(registration) => self.register(revision, registration),
            Command::FenceBroker { broker, epoch } => self.fence(*broker, *epoch),
            Command::UnfenceBroker { broker, epoch } => self.unfence(*broker, *epoch),
            Command::CreateTopic { name, id, assignments, configs } => {
                self.create_topic(name, *id, assignments, configs)
            }
            Command::DeleteTopic { topic } => self.delete_topic(*topic),
            Command::CreatePartitions { topic, expected, assignments } => {
                self.create_partitions(*topic, *expected, assignments)
            }
            Command::AlterConfigs { topic, set, unset } => self.alter_configs(*topic, set, unset),
            // That it stands there is all.
            Command::AllocateProducerIds => ProducerIdBlock::of(revision)
                .map(|_block| Change::default())
                .ok_or(ClusterError::ProducerIdsUsedUp),
        }
    }

    fn init(&self, cluster_id: &ClusterId) -> Result<Change, ClusterError> {
        if self.image.cluster_id().is_some() {
            return Err(ClusterError::Initialised);
        }
        Ok(Change { cluster_id: Some(cluster_id.clone()), ..Change::default() })
    }
}
