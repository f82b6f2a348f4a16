use clap::{ArgAction, Subcommand};
use types::TopicName;

use super::{pair, topic_name};

/// `dohle topic ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create topics
    Create {
        /// Their names
        #[arg(required = true, value_name = "TOPIC", value_parser = topic_name)]
        topics: Vec<TopicName>,
        /// How many partitions; the broker's num.partitions unless given
        #[arg(short, long, value_name = "N")]
        partitions: Option<u32>,
        /// How many replicas; the broker's default.replication.factor unless given
        #[arg(short, long, value_name = "N")]
        replication_factor: Option<u32>,
        /// A setting, such as retention.ms=86400000; may be repeated
        #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// Leave a topic that exists as it is, and succeed
        #[arg(long)]
        if_not_exists: bool,
        /// Check everything and create nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List topics
    List {
        /// Show the platform's own topics too
        #[arg(long)]
        internal: bool,
    },
    /// Show a topic's partitions and settings
    Describe {
        /// Its name
        #[arg(value_name = "TOPIC", value_parser = topic_name)]
        topic: TopicName,
        /// Show partitions only
        #[arg(long, conflicts_with = "configs")]
        partitions: bool,
        /// Show settings only
        #[arg(long)]
        configs: bool,
    },
    /// Change a topic's settings or add partitions
    Alter {
        /// Its name
        #[arg(value_name = "TOPIC", value_parser = topic_name)]
        topic: TopicName,
        /// A setting to set; may be repeated
        #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// A setting to put back to its default; may be repeated
        #[arg(long, value_name = "NAME", action = ArgAction::Append)]
        unset: Vec<String>,
        /// The new number of partitions; it can only grow
        #[arg(long, value_name = "N")]
        partitions: Option<u32>,
    },
    /// Delete topics with all their records
    Delete {
        /// Their names
        #[arg(required = true, value_name = "TOPIC", value_parser = topic_name)]
        topics: Vec<TopicName>,
    },
}
