//! What a coordinator tells of itself over HTTP.

use std::sync::Arc;

use daemon::vitals::{Detail, Figure, Readiness, Vitals};

use crate::feed::{Duty, Feed};
use crate::tree_feed::TreeFeed;

/// Where it looks when it is asked.
#[derive(Debug)]
pub(crate) struct CoordinatorVitals {
    pub(crate) feed: Arc<Feed>,
    pub(crate) tree: Arc<TreeFeed>,
}

impl Vitals for CoordinatorVitals {
    fn readiness(&self) -> Readiness {
        match self.feed.duty() {
            Duty::Leading => Readiness::Ready,
            Duty::Resting => Readiness::NotReady {
                reasons: vec!["this coordinator does not lead the quorum".to_owned()],
            },
        }
    }

    fn figures(&self, _detail: Detail) -> Vec<Figure> {
        let image = self.feed.image();
        let alive = image.brokers().filter(|broker| broker.is_alive()).count();
        let (_, tree) = self.tree.view();
        let leads = match self.feed.duty() {
            Duty::Leading => 1,
            Duty::Resting => 0,
        };
        vec![
            Figure::gauge("dohle_raft_is_leader", "Whether it leads the quorum", whole(leads)),
            Figure::gauge(
                "dohle_coordinator_revision",
                "The last change of the cluster's metadata",
                whole(image.revision().get()),
            ),
            Figure::gauge(
                "dohle_coordinator_alive_brokers",
                "Brokers that are registered and heard of",
                whole(alive as u64),
            ),
            Figure::gauge(
                "dohle_coordinator_topics",
                "Topics of the cluster",
                whole(image.topic_count() as u64),
            ),
            Figure::gauge(
                "dohle_tree_nodes",
                "Nodes of the tree, its root among them",
                whole(tree.node_count() as u64),
            ),
            Figure::gauge(
                "dohle_tree_bytes",
                "Bytes of paths and data in the tree",
                whole(tree.bytes()),
            ),
            Figure::gauge(
                "dohle_tree_sessions",
                "Sessions of the tree",
                whole(tree.session_count() as u64),
            ),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is counted here stays far below 2^53")]
const fn whole(number: u64) -> f64 {
    number as f64
}
