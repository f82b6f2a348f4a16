use cluster::State;
use tree::Tree;

/// All that the coordinators replicate. A clone costs a few reference counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replicated {
    /// The cluster's metadata. Its revision is that of the last entry applied to either.
    pub(crate) cluster: State,
    pub(crate) tree: Tree,
}
